"""Reads at an observer, frozen and let go by the test, what was written at another server."""
import logging
import sys
import time

from kazoo.client import KazooClient

logging.basicConfig(level=logging.WARNING)
writer_address, reader_address = sys.argv[1:]
writer = KazooClient(writer_address, timeout=40)
reader = KazooClient(reader_address, timeout=40)
writer.start(timeout=20)
reader.start(timeout=20)
print("connected")
sys.stdin.readline()
writer.create("/frozen")
for _ in range(100):
    assert reader.exists("/frozen") is None
print("stale")
sys.stdin.readline()
while reader.exists("/frozen") is None:
    time.sleep(0.01)
print("fresh")
