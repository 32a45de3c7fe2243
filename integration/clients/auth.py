"""Digest identities reach both ensembles, whether they were added before or after the first touch.

kazoo takes the reply to an auth packet for the reply to its oldest request, so that the place of
auth replies in the pipeline can be seen from outside: one out of place ends the client. A stock
server does put them out of place; `--stock` leaves that part out.
"""

from kazoo import exceptions as ke
from kazoo.client import KazooState
from kazoo.protocol.connection import _CONNECTION_DROP
from kazoo.security import CREATOR_ALL_ACL, OPEN_ACL_UNSAFE, make_digest_acl, make_digest_acl_credential

import threading

from common import Sides, arguments, check, client, equal, refused, run

ANNE, BERT = ("digest", "anne:a"), ("digest", "bert:b")
ANNE_ID, BERT_ID = (make_digest_acl_credential(*name.split(":")) for _, name in (ANNE, BERT))


def protect(c, path, tag):
    """A node for Anne by name, and one for whoever `c` is."""
    c.create(f"{path}/{tag}-anne", b"secret", acl=[make_digest_acl("anne", "a", all=True)])
    c.create(f"{path}/{tag}-mine", b"secret", acl=CREATOR_ALL_ACL)
    t = c.transaction()
    t.create(f"{path}/{tag}-multi", b"secret", acl=CREATOR_ALL_ACL)
    equal(t.commit(), [f"{path}/{tag}-multi"], "a protected create in a transaction")
    return [f"{path}/{tag}-{kind}" for kind in ("anne", "mine", "multi")]


def allowed(c, node):
    version = c.get(node)[1].version
    c.set(node, b"secret", version=version)
    c.create(f"{node}/child", b"")
    equal(c.get_children(node), ["child"], "children of a protected node")
    c.delete(f"{node}/child")
    c.set_acls(node, c.get_acls(node)[0])


def denied(c, node):
    attempts = {
        "get": lambda: c.get(node),
        "children": lambda: c.get_children(node),
        "set": lambda: c.set(node, b"x"),
        "create below": lambda: c.create(f"{node}/x"),
        "set_acls": lambda: c.set_acls(node, OPEN_ACL_UNSAFE),
    }
    for what, attempt in attempts.items():
        refused(ke.NoAuthError, attempt, f"{what} of {node} by a stranger")
    t = c.transaction()
    t.set_data(node, b"x")
    equal([type(r) for r in t.commit()], [ke.NoAuthError], f"a stranger's transaction on {node}")


def identities(c, node):
    return {acl.id.id for acl in c.get_acls(node)[0]}


def in_the_pipeline(args, sides, rounds):
    """auth between reads and writes of both sides, nothing waited for."""
    c = client(args.connect)
    owner = client(args.connect, auth_data=[ANNE])
    for path in sides.both:
        owner.create(f"{path}/gate", b"secret", acl=[make_digest_acl("anne", "a", all=True)])
        c.sync(path)
    order, submitted = [], []

    def submit(what, result):
        index = len(submitted)
        submitted.append((what, result))
        result.rawlink(lambda _: order.append(index))

    first, second = sides.both
    for number in range(rounds):
        for path in (first, second):
            submit("denied" if number == 0 else "open", c.get_async(f"{path}/gate"))
            submit("plain", c.set_async(path, b"%d" % number))
        submit("auth", c.add_auth_async(*(ANNE if number == 0 else ("digest", f"user{number}:x"))))
        for path in (second, first):
            submit("open", c.get_async(f"{path}/gate"))
            submit("plain", c.get_async(path))
    for index, (what, result) in enumerate(submitted):
        try:
            value = result.get(timeout=args.patience)
            check(what != "denied", f"request {index} was let in before the credentials")
            if what == "auth":
                equal(value, True, "auth reply")
            elif what == "open":
                equal(value[0], b"secret", "a protected value")
        except ke.NoAuthError:
            equal(what, "denied", f"request {index} was refused; it is")
    c.sync(first)
    equal(order, list(range(len(submitted))), "order of completions")
    c.stop(), owner.stop()
    return len(submitted)


def reconnected(c, nodes, patience):
    """kazoo replays its credentials; on every ensemble they hold again."""
    back = threading.Event()
    down = threading.Event()

    def listen(state):
        if state != KazooState.CONNECTED:
            down.set()
        elif down.is_set():
            back.set()

    c.add_listener(listen)
    session = c.client_id[0]
    c._call(_CONNECTION_DROP, None)  # as kazoo's own tests do
    check(back.wait(patience), "no reconnect")
    c.remove_listener(listen)
    equal(c.client_id[0], session, "session after a reconnect")
    for node in nodes:
        c.retry(allowed, c, node)


def main(args):
    stranger = client(args.connect)
    sides = Sides(args, stranger, "auth")
    early = client(args.connect, auth_data=[ANNE])  # sent while connecting
    middle = client(args.connect)
    middle.add_auth(*ANNE)  # before the remote ensemble is touched
    late = client(args.connect)
    for path in sides.both:
        late.get(path), stranger.get(path)
    late.add_auth(*ANNE)  # after
    nodes = []
    for c, tag in ((early, "early"), (middle, "middle"), (late, "late")):
        for path in sides.both:
            nodes += protect(c, path, tag)
    for c in (early, middle, late, stranger):
        for path in sides.both:
            c.sync(path)
    for node in nodes:
        for c in (early, middle, late):
            allowed(c, node)
        equal(identities(early, node), {ANNE_ID}, f"identities in the ACL of {node}")
        denied(stranger, node)

    # A second identity: `auth:` expands to both; each alone opens what it may.
    late.add_auth(*BERT)
    for path in sides.both:
        late.create(f"{path}/both", b"secret", acl=CREATOR_ALL_ACL)
        equal(identities(late, f"{path}/both"), {ANNE_ID, BERT_ID}, f"identities in the ACL of {path}/both")
        late.create(f"{path}/bert", b"secret", acl=[make_digest_acl("bert", "b", all=True)])
    bert = client(args.connect, auth_data=[BERT])
    for path in sides.both:
        bert.sync(path)
        allowed(bert, f"{path}/both"), allowed(bert, f"{path}/bert")
        denied(bert, f"{path}/early-anne")
        early.sync(path)
        allowed(early, f"{path}/both"), denied(early, f"{path}/bert")
    refused(ke.InvalidACLError, lambda: stranger.create(f"{sides.local}/x", acl=CREATOR_ALL_ACL), "auth: of nobody, home")
    refused(ke.InvalidACLError, lambda: stranger.create(f"{sides.remote}/x", acl=CREATOR_ALL_ACL), "auth: of nobody, remote")

    # The look from outside: the ensembles themselves refuse and admit as they do through the sidecar.
    for direct, prefix in sides.outside():
        direct.sync(prefix)
        denied(direct, f"{prefix}/early-mine")
        direct.add_auth(*ANNE)
        allowed(direct, f"{prefix}/early-mine")

    piped = None if args.stock else in_the_pipeline(args, sides, args.rounds)
    reconnected(late, [f"{path}/{n}" for path in sides.both for n in ("both", "bert", "early-anne")], args.patience)
    for c in (early, late):
        equal(c.client_state, "CONNECTED", "state at the end")
    sides.clean(late)
    return {"nodes": len(nodes), "pipelined": piped}


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--stock", action="store_true", help="no auth packets in the pipeline: kazoo dies of stock servers")
    parser.add_argument("--rounds", type=int, default=20)
    run(main, parser)
