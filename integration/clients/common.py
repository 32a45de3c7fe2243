"""What every scenario shares: arguments, clients, waiting, and the verdict."""

import argparse
import faulthandler
import json
import os
import subprocess
import sys
import threading
import time
import traceback
from collections import namedtuple
from pathlib import Path

from kazoo.client import KazooClient
from kazoo.handlers.threading import SequentialThreadingHandler
from kazoo.protocol.serialization import read_string, write_string

HERE = Path(__file__).resolve().parent
JARS = os.environ.get("ZOONET_CLIENT_JARS", "/usr/share/java/zookeeper.jar")
JAVA_FLAGS = ["-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m"]


class Failure(Exception):
    """An assertion of a scenario that did not hold."""


def check(condition, message):
    if not condition:
        raise Failure(message)


def equal(found, expected, what):
    check(found == expected, f"{what}: found {found!r}, expected {expected!r}")


def refused(error, action, what):
    """`action` must raise exactly `error`; returns the exception."""
    try:
        result = action()
    except error as caught:
        return caught
    except Exception as other:
        raise Failure(f"{what}: raised {other!r}, expected {error.__name__}") from other
    raise Failure(f"{what}: returned {result!r}, expected {error.__name__}")


def eventually(condition, patience, what):
    """For what cannot be awaited as an event. Returns the first true value."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < deadline, f"{what}: not within {patience} s")
        time.sleep(0.02)


def arguments(description, one_sidecar=True):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--connect", required=one_sidecar, help="the sidecar, HOST:PORT")
    parser.add_argument("--local", required=True, help="a prefix served by home")
    parser.add_argument("--remote", required=True, help="a prefix served by the other ensemble")
    parser.add_argument("--direct-local", help="home itself, for looking on from outside")
    parser.add_argument("--direct-remote", help="the other ensemble itself")
    parser.add_argument("--real-remote", help="name of --remote on its ensemble, if it differs")
    parser.add_argument("--patience", type=float, default=30.0, help="bound of a single wait, seconds")
    parser.add_argument("--limit", type=float, default=300.0, help="bound of the whole run, seconds")
    return parser


def run(main, parser):
    """Runs `main(args)`; its dict becomes the last line of stdout."""
    args = parser.parse_args()
    faulthandler.dump_traceback_later(args.limit + 5, exit=True)  # after the bounds of child processes
    began = time.monotonic()
    try:
        result = main(args)
    except BaseException as error:
        traceback.print_exc()
        said = error if isinstance(error, Failure) else repr(error)
        print(f"FAILED {parser.prog}: {said}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)  # threads of a wedged client must not keep the process alive
    result["seconds"] = round(time.monotonic() - began, 2)
    print(json.dumps(result), flush=True)
    os._exit(0)


class OneQueue(SequentialThreadingHandler):
    """kazoo's handler, but events and completions run on one thread in the order they arrived.

    The stock handler uses two threads, so that an application cannot tell whether an event came
    before or after a reply. On the wire, and here, it can.
    """

    def dispatch_callback(self, callback):
        self.completion_queue.put(lambda: callback.func(*callback.args))


def client(hosts, timeout=10.0, **options):
    c = KazooClient(hosts=hosts, timeout=timeout, **options)
    c.start(timeout=30)
    return c


class Sides:
    """Both prefixes under one fresh name, and how to look at them from outside."""

    def __init__(self, args, c, tag):
        name = f"{tag}-{os.getpid():x}-{time.time_ns() & 0xFFFFFFFF:x}"
        self.local = f"{args.local.rstrip('/')}/{name}"
        self.remote = f"{args.remote.rstrip('/')}/{name}"
        self.real_remote = f"{(args.real_remote or args.remote).rstrip('/')}/{name}"
        self.direct_local = args.direct_local
        self.direct_remote = args.direct_remote
        if not args.direct_remote:
            self.real_remote = self.remote
        self._connect = args.connect
        if args.direct_remote:
            # The parent of a mount's root has to exist on its ensemble before names below it can.
            outside = client(args.direct_remote)
            outside.ensure_path((args.real_remote or args.remote).rstrip("/") or "/")
            outside.stop()
        for path in self.both:
            c.ensure_path(path)

    @property
    def both(self):
        return (self.local, self.remote)

    def outside(self):
        """(client, prefix) per side, not through the sidecar where direct addresses are known."""
        return (
            (client(self.direct_local or self._connect), self.local),
            (client(self.direct_remote or self._connect), self.real_remote),
        )

    def clean(self, c):
        for path in self.both:
            c.sync(path)  # or a lagging server hides children that are still to be deleted
            c.delete(path, recursive=True)


class Events:
    """A watcher that remembers what it was told and lets others wait for it."""

    def __init__(self):
        self.seen = []
        self._changed = threading.Condition()

    def __call__(self, event):
        with self._changed:
            self.seen.append((event.type, event.path))
            self._changed.notify_all()

    def wait(self, count, patience, what):
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.seen) >= count, patience):
                raise Failure(f"{what}: {len(self.seen)} of {count} events within {patience} s: {self.seen}")
            return list(self.seen)

    def exactly(self, expected, patience, what):
        """These events, in this order. Call `settle` first to be sure that no other is on its way."""
        equal(self.wait(len(expected), patience, what), expected, what)


def settle(c, *paths):
    """Everything the server had for `c` has been handed to its watchers.

    A reply follows all events that precede it on the connection; the marker behind it in the
    callback queue follows their callbacks.
    """
    for path in paths:
        c.sync(path)
        c.exists(path)
    done = threading.Event()
    c.handler.dispatch_callback(Marker(done.set, ()))
    check(done.wait(10), "the client's callback thread is stuck")


Marker = namedtuple("Marker", "func args")


class GetEphemerals(namedtuple("GetEphemerals", "path")):
    """kazoo lacks this request; its connection takes any object of this shape."""

    type = 103

    def serialize(self):
        return write_string(self.path)

    @classmethod
    def deserialize(cls, buffer, offset):
        count = int.from_bytes(buffer[offset : offset + 4], "big", signed=True)
        offset += 4
        paths = []
        for _ in range(count):
            path, offset = read_string(buffer, offset)
            paths.append(path)
        return paths


def call(c, request):
    """Submits a request object as kazoo's own methods do, without their wrappers."""
    result = c.handler.async_result()
    c._call(request, result)
    return result


def java(source, *args, patience=120, stdin=None):
    """Runs a single-file Java program or, given a class name, that class of the jars."""
    program = [str(HERE / source)] if source.endswith(".java") else [source]
    return subprocess.run(
        ["java", *JAVA_FLAGS, "-cp", JARS, *program, *args],
        input=stdin, capture_output=True, text=True, timeout=patience,
    )
