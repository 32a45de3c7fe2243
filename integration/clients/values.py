"""Values of every size, null ones, and replies larger than any request may be, on both ensembles.

Requests up to the frame limit (0xfffff bytes of payload) pass; one byte more costs the connection,
not the session, as it does with a stock server.
"""

import random
import threading

from kazoo import exceptions as ke
from kazoo.client import KazooState
from kazoo.protocol.serialization import Create, SetData
from kazoo.security import OPEN_ACL_UNSAFE

from common import Sides, arguments, call, check, client, equal, refused, run

LIMIT = 0xFFFFF  # jute.maxbuffer as servers come


def overhead(path):
    """Bytes of a setData request that are not data: header, path with length, data's length, version."""
    return 8 + 4 + len(path) + 4 + 4


def sizes(c, path, seed):
    chance = random.Random(seed)
    node = c.create(f"{path}/value", b"")
    equal(c.get(node)[0], b"", "an empty value")
    top = LIMIT - overhead(node)
    for size in (1, 2, 1023, 4096, 65535, 65536, 500_000, 1_000_000, top - 1, top, 0):
        value = chance.randbytes(size)
        equal(c.set(node, value).dataLength, size, "dataLength")
        check(c.get(node)[0] == value, f"a value of {size} bytes came back different")
    return top


def null(c, path):
    """kazoo's own methods insist on bytes; its request objects do not."""
    made = call(c, Create(f"{path}/null", None, OPEN_ACL_UNSAFE, 0)).get(timeout=30)
    value, stat = c.get(made)
    check(value is None, f"a null value came back as {value!r}")
    equal(stat.dataLength, 0, "length of a null value")
    check(stat.version == 0 and stat.czxid > 0, "the Stat behind a null value")
    c.set(made, b"x")
    call(c, SetData(made, None, -1)).get(timeout=30)
    value, stat = c.get(made)
    check(value is None and stat.version == 2, f"null set: {value!r} {stat}")
    c.set(made, b"")
    equal(c.get(made)[0], b"", "empty, which is not null")


def interleaved(c, both, patience):
    """Large values one behind the other, the sides alternating, nothing waited for."""
    value = bytes(range(256)) * 2000
    writes = [c.set_async(f"{path}/value", value + b"%d" % i) for i in range(4) for path in both]
    reads = [c.get_async(f"{path}/value") for _ in range(4) for path in both]
    for result in writes:
        result.get(timeout=patience)
    for result in reads:
        check(result.get(timeout=patience)[0] == value + b"3", "a large value came back different")


def oversize(c, path, top, patience):
    session = c.client_id
    back, down = threading.Event(), threading.Event()

    def listen(state):
        if state == KazooState.CONNECTED and down.is_set():
            back.set()
        elif state != KazooState.CONNECTED:
            down.set()

    c.add_listener(listen)
    c.create(f"{path}/witness", b"", ephemeral=True)
    refused(ke.ConnectionLoss, lambda: c.set_async(f"{path}/value", b"x" * (top + 1)).get(timeout=patience), "an oversize set")
    check(back.wait(patience), "no reconnect after an oversize request")
    c.remove_listener(listen)
    equal(c.client_id, session, "session after an oversize request")
    equal(c.retry(c.exists, f"{path}/witness").ephemeralOwner, session[0], "the ephemeral after an oversize request")
    c.delete(f"{path}/witness")
    check(c.retry(c.exists, f"{path}/value"), "the side after an oversize request")


def children(c, path, count):
    for start in range(0, count, 500):
        t = c.transaction()
        for number in range(start, min(start + 500, count)):
            t.create(f"{path}/many/{'n' * 110}{number:06d}")
        check(all(isinstance(r, str) for r in t.commit()), "creating many children")
    names = sorted(c.get_children(f"{path}/many"))
    equal(names, [f"{'n' * 110}{number:06d}" for number in range(count)], "many children")
    names, stat = c.get_children(f"{path}/many", include_data=True)
    equal((len(names), stat.numChildren), (count, count), "many children with their stat")
    return sum(len(name) + 4 for name in names)


def main(args):
    c = client(args.connect)
    sides = Sides(args, c, "values")
    for path in sides.both:
        top = sizes(c, path, args.seed)
        null(c, path)
    interleaved(c, sides.both, args.patience)
    for path in sides.both:
        c.ensure_path(f"{path}/many")
        reply = children(c, path, args.children)
    check(reply > LIMIT or args.children < 10_000, "the list of children should exceed a request's limit")
    for path in sides.both:
        oversize(c, path, LIMIT - overhead(f"{path}/value"), args.patience)
    c.stop()
    c = client(args.connect)
    for path in sides.both:
        c.sync(path)
        while batch := c.get_children(f"{path}/many")[:500]:
            t = c.transaction()
            for name in batch:
                t.delete(f"{path}/many/{name}")
            t.commit()
    sides.clean(c)
    return {"largest_value": top, "largest_reply": reply}


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--children", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    run(main, parser)
