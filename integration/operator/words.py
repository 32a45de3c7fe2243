"""Stock monitoring and client libraries read the sidecar's words.

words.py SERVER SIDECAR: what is read of the one has to be read of the other, by kazoo and by the
patterns that monitoring programs use.
"""

import re
import socket
import sys

from kazoo.client import KazooClient

# go-zookeeper's FLWSrvr (flw.go); its pattern of the version expects a date as servers before 3.6
# wrote it, which neither a server of today nor the sidecar does.
GO_LATENCY = r"^Latency min/avg/max: (\d+)/([0-9.]+)/(\d+)"
GO_TRAFFIC = r"^Received: (\d+).*\n^Sent: (\d+).*\n^Connections: (\d+).*\n^Outstanding: (\d+)"
GO_STATE = r"^Zxid: (0x[A-Za-z0-9]+).*\n^Mode: (\w+).*\n^Node count: (\d+)"
VERSION = r"^Zookeeper version: (\d+\.\d+\.\d+)[^,]*, built on (.+)$"
SRVR = [VERSION, GO_LATENCY, GO_TRAFFIC, GO_STATE]

# Telegraf's inputs.zookeeper.
MNTR = r"^zk_(\w[\w.\-]*)\s+([\w.\-]+)"

# What the plugins of Nagios, Zabbix and Datadog ask for of every server.
EXPECTED = {
    "zk_version", "zk_server_state", "zk_avg_latency", "zk_max_latency", "zk_min_latency",
    "zk_packets_received", "zk_packets_sent", "zk_outstanding_requests", "zk_znode_count",
    "zk_num_alive_connections", "zk_open_file_descriptor_count", "zk_max_file_descriptor_count",
    "zk_uptime",
}  # fmt: skip

# A line of `stat` and of `cons`.
CLIENT = r"^ /[\d.]+:\d+\[\d+\]\(queued=\d+,recved=\d+,sent=\d+"


def ask(address, word):
    """The answer as nc would print it."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as stream:
        stream.sendall(word)
        answer = b""
        while chunk := stream.recv(8192):
            answer += chunk
    return answer.decode()


def by_kazoo(address):
    """The facts kazoo has of whom it is connected to."""
    client = KazooClient(hosts=address)
    client.start(timeout=20)
    try:
        mntr = client.command(b"mntr")
        facts = dict(line.split("\t") for line in mntr.splitlines() if "\t" in line)
        assert client.command(b"ruok") == "imok"
        return client.server_version(), facts
    finally:
        client.stop()
        client.close()


def main():
    server, sidecar = sys.argv[1:]
    for word in (b"srvr", b"stat"):
        for pattern in SRVR:
            found = [re.search(pattern, ask(at, word), re.MULTILINE) for at in (server, sidecar)]
            assert all(found), (word, pattern, ask(sidecar, word))
        # The same release, built at the same time.
        versions = [re.search(VERSION, ask(at, word), re.M).groups() for at in (server, sidecar)]
        assert versions[0] == versions[1], versions
    mine, theirs = by_kazoo(sidecar), by_kazoo(server)
    assert mine[0] == theirs[0], (mine[0], theirs[0])
    missing = EXPECTED - mine[1].keys()
    assert not missing, missing
    strange = {key for key in mine[1].keys() - theirs[1].keys() if "zoonet" not in key}
    assert not strange, strange
    for line in ask(sidecar, b"mntr").splitlines():
        assert re.match(MNTR, line), line
    # Somebody to list.
    client = KazooClient(hosts=sidecar)
    client.start(timeout=20)
    for word in (b"stat", b"cons"):
        assert re.search(CLIENT, ask(sidecar, word), re.M), ask(sidecar, word)
        assert re.search(CLIENT, ask(server, word), re.M), ask(server, word)
    client.stop()
    client.close()
    print("ok")


main()
