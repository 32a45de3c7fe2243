"""A client of both ensembles whose home server is killed by the test: its session goes on."""
import logging
import sys
import threading

from kazoo.client import KazooClient, KazooState

logging.basicConfig(level=logging.WARNING)
address, local, remote = sys.argv[1:]
client = KazooClient(address, timeout=20)
states, back = [], threading.Event()


def listen(state):
    states.append(state)
    if state == KazooState.CONNECTED and KazooState.SUSPENDED in states:
        back.set()


client.start(timeout=20)
client.add_listener(listen)
session = client.client_id
client.create(local, b"before", ephemeral=True)
client.create(remote, b"before")
print("ready")
sys.stdin.readline()
assert back.wait(30), states
assert client.client_id == session, (client.client_id, session)
assert client.retry(client.exists, local).ephemeralOwner == session[0]
assert client.retry(client.get, local)[0] == b"before"
client.retry(client.set, local, b"after")
assert client.retry(client.get, remote)[0] == b"before"
client.retry(client.set, remote, b"after")
assert client.retry(client.get, remote)[0] == b"after"
assert KazooState.LOST not in states, states
client.stop()
print("done")
