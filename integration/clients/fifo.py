"""Thousands of pipelined mixed operations, alternating between two ensembles by a seeded pattern.

Completions must come in the order of submission, and every result must be the one a model of two
trees predicts: values, versions, sequence numbers, owners and errors.
"""

import random
import threading
from dataclasses import dataclass, field

from kazoo import exceptions as ke
from kazoo.protocol import serialization as op
from kazoo.security import OPEN_ACL_UNSAFE

from common import Failure, Sides, arguments, call, check, client, equal, run

ACL = OPEN_ACL_UNSAFE
NAMES = "abcdefgh"


@dataclass
class Node:
    value: bytes
    owner: int = 0
    version: int = 0
    created: int = 0  # children ever created: the next sequence number
    deleted: int = 0
    children: set = field(default_factory=set)

    def stat(self):
        return (self.version, self.created + self.deleted, self.owner, len(self.value), len(self.children))


def seen(stat):
    return (stat.version, stat.cversion, stat.ephemeralOwner, stat.dataLength, stat.numChildren)


class Tree:
    """What ZooKeeper does to one subtree used by one client only."""

    def __init__(self, root, session):
        self.root, self.session = root, session
        self.nodes = {root: Node(b"")}

    def node(self, path):
        if path not in self.nodes:
            raise ke.NoNodeError
        return self.nodes[path]

    def at_version(self, path, version):
        node = self.node(path)
        if version not in (-1, node.version):
            raise ke.BadVersionError
        return node

    def create(self, path, value, flags):
        parent_path = path.rpartition("/")[0]
        parent = self.node(parent_path)
        if flags & 2:
            path += f"{parent.created:010d}"
        if path in self.nodes:
            raise ke.NodeExistsError
        if parent.owner:
            raise ke.NoChildrenForEphemeralsError
        self.nodes[path] = Node(value, self.session if flags & 1 else 0)
        parent.children.add(path.rpartition("/")[2])
        parent.created += 1
        return path

    def delete(self, path, version):
        if self.at_version(path, version).children:
            raise ke.NotEmptyError
        del self.nodes[path]
        parent, _, name = path.rpartition("/")
        self.nodes[parent].children.remove(name)
        self.nodes[parent].deleted += 1
        return True

    def set(self, path, value, version):
        node = self.at_version(path, version)
        node.value, node.version = value, node.version + 1
        return node.stat()

    def multi(self, operations):
        saved = {p: Node(**{**vars(n), "children": set(n.children)}) for p, n in self.nodes.items()}
        results = []
        for index, operation in enumerate(operations):
            try:
                results.append(self.apply(operation))
            except ke.ZookeeperError as error:
                self.nodes = saved
                rest = len(operations) - index - 1
                return [ke.RolledBackError] * index + [type(error)] + [ke.RuntimeInconsistency] * rest
        return results

    def apply(self, request):
        match request:
            case op.Create(path, data, _, flags):
                return self.create(path, data, flags)
            case op.Create2(path, data, _, flags):
                made = self.create(path, data, flags)
                return made, self.nodes[made].stat()
            case op.Delete(path, version):
                return self.delete(path, version)
            case op.SetData(path, data, version):
                return self.set(path, data, version)
            case op.CheckVersion(path, version):
                self.at_version(path, version)
                return True
            case op.Exists(path, _):
                return self.nodes[path].stat() if path in self.nodes else None
            case op.GetData(path, _):
                return self.node(path).value, self.node(path).stat()
            case op.GetChildren(path, _):
                return sorted(self.node(path).children)
            case op.GetChildren2(path, _):
                return sorted(self.node(path).children), self.node(path).stat()
            case op.GetACL(path):
                return list(ACL), self.node(path).stat()
            case op.Sync(path):
                return path
            case op.Transaction(operations):
                return self.multi(operations)
        raise AssertionError(request)


def expectation(tree, request):
    try:
        return tree.apply(request)
    except ke.ZookeeperError as error:
        return type(error)


def normal(request, result):
    """A reply in the terms of the model."""
    if isinstance(result, Exception):
        return type(result)
    match request:
        case op.Exists():
            return result and seen(result)
        case op.SetData():
            return seen(result)
        case op.GetChildren():
            return sorted(result)
        case op.GetChildren2():
            return sorted(result[0]), seen(result[1])
        case op.Create2() | op.GetData() | op.GetACL():
            return result[0], seen(result[1])
        case op.Transaction(operations):
            return [normal(o, r) for o, r in zip(operations, result, strict=True)]
    return result


class Workload:
    def __init__(self, tree, chance):
        self.tree, self.chance, self.count = tree, chance, 0

    def path(self):
        """A node at depth one or two, existing or not, or one of the sequential ones."""
        top = f"{self.tree.root}/{self.chance.choice(NAMES)}"
        if self.chance.random() < 0.5:
            return top
        known = [p for p in self.tree.nodes if p.startswith(top + "/")]
        if known and self.chance.random() < 0.5:
            return self.chance.choice(known)
        return f"{top}/{self.chance.choice(NAMES)}"

    def value(self):
        self.count += 1
        return b"%d:" % self.count + b"x" * self.chance.randrange(40)

    def version(self, path):
        node = self.tree.nodes.get(path)
        right = node.version if node else 0
        return self.chance.choice([-1, -1, right, right, right + 7])

    def update(self):
        path, draw = self.path(), self.chance.random()
        if draw < 0.35:
            flags = self.chance.choice([0, 0, 0, 1])
            return op.Create(path, self.value(), ACL, flags)
        if draw < 0.75:
            return op.SetData(path, self.value(), self.version(path))
        return op.Delete(path, self.version(path))

    def request(self):
        path, draw = self.path(), self.chance.random()
        if draw < 0.35:
            return self.update()
        if draw < 0.42:
            return op.Create(f"{path.rpartition('/')[0]}/s-", self.value(), ACL, self.chance.choice([2, 2, 3]))
        if draw < 0.45:
            return op.Create2(path, self.value(), ACL, self.chance.choice([0, 1, 2]))
        if draw < 0.62:
            return op.GetData(path, None)
        if draw < 0.72:
            return op.Exists(path, None)
        if draw < 0.76:
            return op.Exists(f"{path}/missing", None)
        if draw < 0.82:
            return op.GetChildren(path, None)
        if draw < 0.86:
            return op.GetChildren2(path, None)
        if draw < 0.88:
            return op.GetACL(path)
        if draw < 0.91:
            return op.Sync(path)
        checks = [op.CheckVersion(p, self.version(p)) for p in [self.path()] if self.chance.random() < 0.3]
        return op.Transaction(checks + [self.update() for _ in range(self.chance.randrange(1, 4))])


def main(args):
    c = client(args.connect)
    sides = Sides(args, c, "fifo")
    chance = random.Random(args.seed)
    loads = [Workload(Tree(path, c.client_id[0]), chance) for path in sides.both]
    expected, results, order, everything = [], [], [], threading.Event()

    def submit(load, index):
        request = load.request()
        expected.append((request, expectation(load.tree, request)))
        result = call(c, request)
        results.append(result)
        result.rawlink(lambda _: arrived(index))

    def arrived(index):
        order.append(index)
        if len(order) == args.ops:
            everything.set()

    switches = index = 0
    while index < args.ops:
        load = loads[switches % 2]
        for _ in range(min(chance.randint(1, args.longest_run), args.ops - index)):
            submit(load, index)
            index += 1
        switches += 1
    check(everything.wait(args.limit - 10), f"only {len(order)} of {args.ops} completions arrived")

    for position, index in enumerate(order):
        equal(index, position, f"completion number {position} is of the request submitted as number")
    errors = 0
    for index, ((request, want), result) in enumerate(zip(expected, results)):
        found = normal(request, result.exception if not result.successful() else result.value)
        errors += isinstance(want, type)
        if found != want:
            raise Failure(f"request {index} {request!r}: found {found!r}, the model says {want!r}")
    session = c.client_id[0]
    sides.clean(c)
    return {"ops": args.ops, "switches": switches - 1, "errors_as_predicted": errors, "session": f"{session:#x}"}


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--ops", type=int, default=6000)
    parser.add_argument("--longest-run", type=int, default=5, help="requests in a row to one side")
    parser.add_argument("--seed", type=int, default=1)
    run(main, parser)
