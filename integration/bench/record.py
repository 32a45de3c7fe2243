"""Records what a kazoo client and a stock server say to each other, for hot_path.rs to repeat.

    record.py HOST:PORT > kazoo.frames

One frame a line: `>` from the client or `<` from the server, then its payload in hexadecimal. The
handshake and the end of the session are left out.
"""

import socket
import sys
import threading

from kazoo.client import KazooClient

lines = []
lock = threading.Lock()


def frames(source, sink, mark):
    """Passes frames on, each recorded before it is."""
    while True:
        head = source.recv(4, socket.MSG_WAITALL)
        if len(head) < 4:
            break
        payload = source.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
        with lock:
            lines.append(f"{mark} {payload.hex()}")
        sink.sendall(head + payload)
    sink.shutdown(socket.SHUT_WR)


def relay(listener, server):
    client, _ = listener.accept()
    upstream = socket.create_connection(server)
    threading.Thread(target=frames, args=(client, upstream, ">"), daemon=True).start()
    frames(upstream, client, "<")


def work(zk):
    """What applications do most: configuration, a lock, presence."""
    zk.ensure_path("/app/config")
    zk.ensure_path("/app/locks")
    zk.create("/app/config/flags", b"x" * 200)
    changed = threading.Event()
    zk.get("/app/config/flags", watch=lambda event: changed.set())
    zk.set("/app/config/flags", b"y" * 200)
    changed.wait(10)
    mine = zk.create("/app/locks/n-", b"host:1234", ephemeral=True, sequence=True)
    for _ in range(3):
        zk.get_children("/app/locks")
        zk.exists("/app/config/flags")
        for pending in [zk.get_async("/app/config/flags") for _ in range(20)]:
            pending.get()
    zk.sync("/app/config/flags")
    with zk.transaction() as transaction:
        transaction.check("/app/config/flags", 1)
        transaction.set_data("/app/config/flags", b"z" * 200)
    zk.delete(mine)
    zk.delete("/app/config/flags")


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=relay, args=(listener, (host, int(port))), daemon=True).start()
    zk = KazooClient(f"127.0.0.1:{listener.getsockname()[1]}")
    zk.start()
    with lock:
        lines.clear()
    work(zk)
    with lock:
        print("\n".join(lines))
    zk.stop()


main()
