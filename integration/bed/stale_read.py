"""Writes at one server, reads at another until the write shows, and says how long that took."""
import logging
import sys
import time

from kazoo.client import KazooClient

logging.basicConfig(level=logging.WARNING)
writer_address, reader_address, path = sys.argv[1:]
writer, reader = KazooClient(writer_address), KazooClient(reader_address)
writer.start(timeout=20)
reader.start(timeout=20)
writer.create(path, b"old")
reader.sync(path)
assert reader.get(path)[0] == b"old"

stale_reads = 0
written = time.monotonic()
writer.set(path, b"new")
while reader.get(path)[0] == b"old":
    stale_reads += 1
stale_for = time.monotonic() - written

writer.set(path, b"newer")
reader.sync(path)
print(stale_reads, stale_for, "synced" if reader.get(path)[0] == b"newer" else "not synced")
for client in (writer, reader):
    client.stop()
