"""Writes and reads on both ensembles behind one sidecar, then waits with its ephemerals up."""
import logging
import sys

from kazoo.client import KazooClient

logging.basicConfig(level=logging.WARNING)
client = KazooClient(sys.argv[1])
client.start(timeout=20)
for path in sys.argv[2:]:
    client.create(path, b"here", ephemeral=True)
    assert client.get(path)[0] == b"here"
print("written")
sys.stdin.readline()
