"""A stock kazoo that was told to use TLS: nodes, watches and ephemerals on both sides."""

from kazoo.client import KazooClient

import ssl
import threading

from common import arguments, check, equal, eventually, run


def connected(args):
    c = KazooClient(
        hosts=args.connect,
        timeout=30,
        use_ssl=True,
        verify_certs=True,
        ca=args.ca,
        certfile=args.certificate,
        keyfile=args.key,
    )
    c.start(timeout=args.patience)
    return c


def main(args):
    c = connected(args)
    check(isinstance(c._connection._socket, ssl.SSLSocket), "this is TLS")
    for path in (args.local, args.remote):
        c.ensure_path(path)
        c.create(f"{path}/node", b"one")
        changed = threading.Event()
        value, stat = c.get(f"{path}/node", watch=lambda _: changed.set())
        equal((value, stat.version), (b"one", 0), "a new node")
        c.set(f"{path}/node", b"two" * 10_000)
        check(changed.wait(args.patience), f"no event for {path}/node")
        equal(c.get(f"{path}/node")[0], b"two" * 10_000, "a long value")
        c.create(f"{path}/ephemeral", b"", ephemeral=True)
        equal(c.exists(f"{path}/ephemeral").owner_session_id, c.client_id[0], "owner")
    other = connected(args)
    c.stop(), c.close()
    for path in (args.local, args.remote):
        gone = lambda: other.sync(path) and not other.exists(f"{path}/ephemeral")
        eventually(gone, args.patience, f"end of {path}/ephemeral")
    for path in (args.local, args.remote):
        other.delete(path, recursive=True)
    other.stop(), other.close()
    return {}


if __name__ == "__main__":
    parser = arguments(__doc__)
    for file in ("--ca", "--certificate", "--key"):
        parser.add_argument(file, required=True)
    run(main, parser)
