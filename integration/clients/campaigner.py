"""A stock kazoo client that a fault campaign watches: it holds an ephemeral on each side for as long as its
session lives, does versioned writes, keeps a view of a node by its watch, and says what became of all that.

Each line on standard input asks for a report, one JSON object. What it says: `lost`, how often its session
was lost; `ready`, whether the present session has its ephemerals; `acked`, per path the last value that a
server said it wrote; `view`, per path the value its watch has brought; `wrong`, what no fault excuses;
`errors`, requests that failed, and `slowest`, seconds, of those that did not (since the last report).
"""

import argparse
import json
import logging
import os
import sys
import threading
import time

from kazoo.client import KazooClient, KazooState
from kazoo import exceptions as ke


class Campaigner:
    def __init__(self, args):
        self.name = args.name
        self.tops = args.tops
        self.client = KazooClient(args.connect, timeout=args.timeout,
                                  connection_retry={"max_tries": -1, "delay": 0.05, "backoff": 2, "max_delay": 0.5},
                                  command_retry={"max_tries": 0})
        self.lost = 0
        self.owned = 0
        self.acked, self.view = {}, {}
        self.writes = 0
        self.wrong, self.errors = [], []
        self.slowest = 0.0
        self.lock = threading.Lock()
        self.fresh = threading.Event()

    def start(self):
        self.client.add_listener(self.listen)
        self.client.start(timeout=60)
        for work in [self.own] + [lambda top=top: self.write(top) for top in self.tops] \
                + [lambda top=top: self.watch(top) for top in self.tops]:
            threading.Thread(target=self.guarded, args=(work,), daemon=True).start()

    def listen(self, state):
        if state == KazooState.LOST:
            self.lost += 1
        elif state == KazooState.CONNECTED:
            self.fresh.set()

    def guarded(self, work):
        try:
            work()
        except BaseException as error:  # a bug of ours must not look like health
            self.wrong.append(f"thread ended: {error!r}")

    def call(self, function, *arguments, **options):
        """The result, or None where the request failed, which is noted."""
        began = time.monotonic()
        try:
            result = function(*arguments, **options)
        except (ke.BadVersionError, ke.NodeExistsError, ke.NoNodeError):
            raise
        except Exception as error:
            with self.lock:
                self.errors.append(f"{type(error).__name__} {function.__name__} {arguments[0]}")
            time.sleep(0.1)
            return None
        with self.lock:
            self.slowest = max(self.slowest, time.monotonic() - began)
        return result

    def session(self):
        return self.client.client_id[0] if self.client.client_id else 0

    def own(self):
        while True:
            self.fresh.wait()
            self.fresh.clear()
            while (session := self.session()) != self.owned:
                if session and all(self.own_one(f"{top}/own/{self.name}", session) for top in self.tops):
                    self.owned = session
                else:
                    time.sleep(0.1)

    def own_one(self, path, session):
        try:
            if self.call(self.client.create, path, b"", ephemeral=True):
                return True
        except ke.NodeExistsError:
            stat = self.call(self.client.exists, path)
            return bool(stat) and stat.ephemeralOwner == session
        return False

    def write(self, top):
        path = f"{top}/write-{self.name}"
        known, doubt, in_doubt = None, True, 0.0
        while True:
            if doubt:
                try:
                    if self.call(self.client.sync, path) is None:
                        continue
                    known = self.call(self.client.get, path)
                except ke.NoNodeError:
                    if path in self.acked:
                        self.wrong.append(f"{path} is gone")
                    try:
                        self.call(self.client.create, path, b"0")
                    except ke.NodeExistsError:
                        pass
                    continue
                if known is None:
                    continue
                found = int(known[0])
                if found < self.acked.get(path, 0):
                    self.wrong.append(f"{path} is {found} after {self.acked[path]} was acknowledged")
                number, version, doubt = found, known[1].version, False
            try:
                stat = self.call(self.client.set, path, str(number + 1).encode(), version=version)
            except ke.BadVersionError:
                # A write in doubt may still be applied after it was looked for, by the server it was given to.
                if time.monotonic() > in_doubt + 30:
                    self.wrong.append(f"{path}: bad version though nothing was in doubt")
                doubt = True
                continue
            if stat is None:
                doubt, in_doubt = True, time.monotonic()
                continue
            if stat.version != version + 1:
                self.wrong.append(f"{path}: version {stat.version} after {version}")
            number, version = number + 1, stat.version
            self.acked[path] = number
            self.writes += 1
            time.sleep(0.05)

    def watch(self, top):
        path = f"{top}/watched"
        while True:
            told = threading.Event()
            found = self.call(self.client.get, path, watch=lambda event, told=told: told.set())
            if found:
                self.view[path] = int(found[0])
                told.wait()

    def report(self):
        with self.lock:
            errors, self.errors = self.errors, []
            slowest, self.slowest = self.slowest, 0.0
        return {
            "session": self.session(), "connected": self.client.state == KazooState.CONNECTED, "lost": self.lost,
            "ready": bool(self.session()) and self.owned == self.session(), "acked": dict(self.acked),
            "view": dict(self.view), "writes": self.writes, "wrong": self.wrong, "errors": errors[:20],
            "failed": len(errors), "slowest": round(slowest, 3),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connect", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--timeout", type=float, required=True, help="of the session, seconds")
    parser.add_argument("tops", nargs="+", help="the top of a side, which is there")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    campaigner = Campaigner(args)
    campaigner.start()
    print("ready", flush=True)
    for _ in sys.stdin:
        print("report", json.dumps(campaigner.report()), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
