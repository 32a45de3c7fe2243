"""A part of kazoo's own published tests, run against a given address instead of a cluster of theirs.

The tests come with the installed package. Only the harness is replaced: where it would start
servers it is told of ours, and a test that stops or starts a server is skipped. With several
`--prefix` the tests' namespaces lie below each in turn. `--baseline` compares with the result of
an earlier run (say, on the ensemble itself) and fails on any difference.
"""

import argparse
import importlib.util
import json
import os
import sys
import types
import uuid
from pathlib import Path

import faulthandler
import pytest

MODULES = ["client", "lock", "election", "queue", "barrier", "counter", "party", "partitioner", "cache", "watchers",
           "lease", "interrupt"]


class Server:
    running = True

    def __init__(self, address):
        self.address = address

    def stop(self, *_):
        pytest.skip("stops a server")

    run = stop


class Cluster(list):
    """Stands where kazoo.testing.common.ZookeeperCluster would."""

    def start(self):
        pytest.skip("starts servers")

    def terminate(self):
        """After every class; there is nothing of ours to end."""

    def get_logs(self):
        return []

    def get_ssl_client_configuration(self):
        pytest.skip("needs TLS servers")


def replace_harness(addresses, prefixes):
    # The original module wants Java keystores and OpenSSL, for servers nobody starts here.
    common = types.ModuleType("kazoo.testing.common")
    common.ZookeeperCluster = Cluster
    sys.modules["kazoo.testing.common"] = common
    from kazoo.testing import harness

    cluster = Cluster(Server(address) for address in addresses)
    harness.get_global_cluster = lambda: cluster

    class Uuid:
        """The harness names a test's namespace "/kazootests" + uuid4().hex and chroots into it."""

        count = 0

        def uuid4(self):
            Uuid.count += 1
            return types.SimpleNamespace(hex=f"-{Uuid.count}-{uuid.uuid4().hex}")

    harness.uuid = Uuid()
    stock = harness.KazooTestHarness.setup_zookeeper

    def setup_zookeeper(self, **options):
        if options.get("use_ssl"):
            pytest.skip("needs TLS servers")
        prefix = prefixes[Uuid.count % len(prefixes)].rstrip("/")
        original = harness.KazooTestHarness.servers
        # `servers + namespace` is how the harness forms its hosts; the prefix goes in between.
        harness.KazooTestHarness.servers = property(lambda h: ",".join(s.address for s in h.cluster) + prefix)
        try:
            stock(self, **options)
        finally:
            harness.KazooTestHarness.servers = original

    harness.KazooTestHarness.setup_zookeeper = setup_zookeeper
    from kazoo.tests import test_client

    test_client.TestReconfig = pytest.mark.skip(reason="needs reconfigEnabled and a super user")(test_client.TestReconfig)


class Record:
    def __init__(self):
        self.outcome, self.seconds = {}, {}

    def pytest_runtest_logreport(self, report):
        name = report.nodeid.split("/")[-1]
        self.seconds[name] = self.seconds.get(name, 0) + report.duration
        if report.when == "call" or report.outcome != "passed":
            if self.outcome.get(name, ("passed",))[0] == "passed":
                reason = ""
                if report.failed:
                    reason = str(report.longrepr).strip().splitlines()[-1]
                elif report.skipped:
                    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
                self.outcome[name] = (report.outcome, reason)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connect", required=True, action="append", help="address; several make a cluster of several")
    parser.add_argument("--prefix", action="append", help="where the tests' namespaces lie; may be repeated")
    parser.add_argument("--modules", nargs="*", default=MODULES)
    parser.add_argument("-k", dest="select", default="", help="as pytest's")
    parser.add_argument("--baseline", help="JSON of an earlier run to be equal to")
    parser.add_argument("--output", help="write the result here too")
    parser.add_argument("--limit", type=float, default=1200.0)
    args = parser.parse_args()
    faulthandler.dump_traceback_later(args.limit, exit=True)
    from kazoo.client import KazooClient

    for prefix in args.prefix or []:
        c = KazooClient(args.connect[0])
        c.start()
        c.ensure_path(prefix)
        c.stop(), c.close()
    replace_harness(args.connect, args.prefix or [""])
    tests = Path(importlib.util.find_spec("kazoo").origin).parent / "tests"
    record = Record()
    code = pytest.main(
        ["-p", "no:cacheprovider", "-q", "--tb=short", "-W", "ignore", *(["-k", args.select] if args.select else []),
         *(str(tests / f"test_{name}.py") for name in args.modules)],
        plugins=[record],
    )
    by = lambda outcome: {n: why for n, (o, why) in sorted(record.outcome.items()) if o == outcome}
    result = {"passed": sorted(by("passed")), "failed": by("failed"), "skipped": by("skipped"),
              "slowest": dict(sorted(((n, round(s, 1)) for n, s in record.seconds.items()), key=lambda x: -x[1])[:5])}
    line = json.dumps(result)
    if args.output:
        Path(args.output).write_text(line + "\n")
    different = []
    if args.baseline:
        before = json.loads(Path(args.baseline).read_text().splitlines()[-1])
        old = {n: o for o in ("passed", "failed", "skipped") for n in before[o]}
        new = {n: o for o in ("passed", "failed", "skipped") for n in result[o]}
        different = sorted(f"{n}: {old.get(n)} -> {new.get(n)}" for n in old | new if old.get(n) != new.get(n))
    sys.stdout.flush()
    if code not in (0, 1):
        print(f"FAILED kazoo_suite: pytest ended with {code!r}", file=sys.stderr, flush=True)
    if different:
        print("FAILED kazoo_suite: not as in the baseline:", *different, sep="\n  ", file=sys.stderr, flush=True)
    print(line, flush=True)
    os._exit(1 if different or code not in (0, 1) else 0)


if __name__ == "__main__":
    main()
