"""A stock kazoo client that does what it is told on standard input, a line at a time.

A line is `NUMBER VERB ARGUMENT...`; the answer is `= NUMBER RESULT`, where an error of the client's is
its class. What comes unasked is printed as it comes: `! event TYPE PATH`, `! state STATE`, and
`! done NUMBER RESULT` for what was only begun. Puppet.java obeys the same words.
"""

import argparse
import logging
import os
import sys
import threading
import time

from kazoo.client import KazooClient

from common import HERE, JARS, JAVA_FLAGS

printing = threading.Lock()


def say(*words):
    with printing:
        print(*words, flush=True)


def watcher(event):
    say("! event", event.type, event.path)


def said(error):
    return type(error).__name__


class Puppet:
    def __init__(self, client):
        self.client = client

    def session(self):
        return format(self.client.client_id[0] & 0xFFFFFFFFFFFFFFFF, "x")

    def make(self, path):
        self.client.ensure_path(path)
        return "ok"

    def create(self, path, data):
        return self.client.create(path, data.encode())

    def ephemeral(self, path):
        return self.client.create(path, b"", ephemeral=True)

    def set(self, path, data):
        return self.client.set(path, data.encode()).version

    def get(self, path):
        return self.client.get(path)[0].decode()

    def delete(self, path):
        self.client.delete(path)
        return "ok"

    def children(self, path):
        self.client.sync(path)
        return " ".join(sorted(self.client.get_children(path)))

    def sync(self, path):
        self.client.sync(path)
        return "ok"

    def owner(self, path):
        stat = self.client.exists(path)
        return format(stat.ephemeralOwner & 0xFFFFFFFFFFFFFFFF, "x") if stat else "none"

    def watch(self, path):
        return "there" if self.client.exists(path, watch=watcher) else "none"

    def watchchildren(self, path):
        return len(self.client.get_children(path, watch=watcher))

    def begin(self, number, path, count):
        """Begins so many reads; each says how it ended, in the order in which they did."""
        for _ in range(int(count)):
            def done(result):
                say("! done", number, said(result.exception) if result.exception else "ok")
            self.client.get_async(path).rawlink(done)
        return "begun"

    def spin(self, path, seconds):
        """Reads as fast as it can: how many reads went well or wrong, and the shortest and longest of each."""
        took = {"ok": [], "wrong": []}
        until = time.monotonic() + float(seconds)
        while (now := time.monotonic()) < until:
            try:
                self.client.get(path)
                kind = "ok"
            except Exception:
                kind = "wrong"
            took[kind].append(time.monotonic() - now)
        ms = lambda pick, of: round(1000 * pick(of)) if of else 0
        return " ".join(f"{len(of)} {ms(min, of)} {ms(max, of)}" for of in took.values())

    def stop(self):
        self.client.stop()
        return "ok"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("connect")
    parser.add_argument("timeout", type=float, help="of the session, seconds")
    parser.add_argument("--java", action="store_true", help="be the stock Java client instead")
    args = parser.parse_args()
    if args.java:
        os.execvp("java", ["java", *JAVA_FLAGS, "-cp", JARS, str(HERE / "Puppet.java"), args.connect, str(args.timeout)])
    logging.basicConfig(level=logging.DEBUG)
    client = KazooClient(args.connect, timeout=args.timeout, connection_retry={"max_tries": -1, "delay": 0.1, "max_delay": 0.5})
    client.add_listener(lambda state: say("! state", state))
    client.start(timeout=30)
    puppet = Puppet(client)
    say("ready")
    for line in sys.stdin:
        number, verb, *arguments = line.split()
        if verb == "begin":
            arguments.insert(0, number)
        try:
            result = getattr(puppet, verb)(*arguments)
        except Exception as error:
            result = said(error)
        say("=", number, result)


if __name__ == "__main__":
    main()
