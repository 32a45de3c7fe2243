"""Many clients write and read at random, with several requests in flight; every operation is recorded.

The record is what `integration/checker` judges: see `checker/history.rs` for its lines. All times are
CLOCK_MONOTONIC, which is one clock for all processes of a machine. A client is a session: one that
gets a new session counts as another client from then on.
"""

import argparse
import json
import multiprocessing
import os
import random
import sys
import threading
import time

from kazoo.exceptions import BadVersionError, ConnectionLoss, KazooException, NoNodeError, NodeExistsError

from common import Failure, check, client, run

REFUSED = (NoNodeError, NodeExistsError, BadVersionError)
BIRTHS = 5  # new nodes a second, for creations and for reads of what is not there yet


class Recorder:
    """Writes one JSON line per operation."""

    def __init__(self, path):
        self.file, self.lock, self.counts = open(path, "w"), threading.Lock(), {}

    def add(self, line):
        text = json.dumps({name: value for name, value in line.items() if value is not None})
        with self.lock:
            key = f"{line['kind']} {line['outcome']}"
            self.counts[key] = self.counts.get(key, 0) + 1
            self.file.write(text + "\n")

    def close(self):
        with self.lock:
            self.file.close()
            self.file = open(os.devnull, "w")


class Worker(threading.Thread):
    """One client: keeps a window of requests in flight until the time is up or it is told to stop."""

    def __init__(self, number, args, recorder, gate, stop):
        super().__init__(daemon=True)
        self.number, self.args, self.recorder, self.gate, self.stop = number, args, recorder, gate, stop
        self.name, self.random = f"c{number}", random.Random(f"{args.seed}-{number}")
        self.window = threading.Semaphore(args.window)
        self.open, self.lock, self.index, self.failure = {}, threading.Lock(), 0, None
        self.client = client(args.connect.split(",")[number % len(args.connect.split(","))])

    def session(self):
        identity = self.client.client_id
        return identity[0] if identity else 0

    def run(self):
        try:
            self.gate.wait()
            began, at = time.monotonic(), self.number % len(self.args.prefix)
            pause, due = self.args.clients / self.args.rate if self.args.rate else 0, 0
            while (elapsed := time.monotonic() - began) < self.args.duration and not self.stop.is_set():
                if elapsed < due:
                    self.stop.wait(due - elapsed)
                    continue
                if not self.window.acquire(timeout=0.1):
                    continue
                # What could not be sent in time is not made up for.
                due = max(due + pause, elapsed)
                if self.random.random() >= self.args.locality:
                    others = [p for p in range(len(self.args.prefix)) if p != at]
                    at = self.random.choice(others or [at])
                self.operation(self.args.prefix[at], elapsed)
            self.finish()
        except Exception as error:
            self.failure = self.failure or error

    def operation(self, prefix, elapsed):
        born = self.random.random() < 0.1
        name = f"n{int(elapsed * BIRTHS) - self.random.randrange(2)}" if born else f"k{self.random.randrange(self.args.keys)}"
        path = f"{prefix}/{self.args.tag}/{name}"
        kind = "read" if self.random.random() < self.args.reads else "create" if born else "write"
        self.index += 1
        line = {"client": f"{self.name}-{self.session():x}", "index": self.index, "ensemble": prefix,
                "key": path, "kind": kind, "session": self.session(), "invoke": time.monotonic_ns()}
        if kind != "read":
            line["value"] = f"{self.name}.{self.index}"
        with self.lock:
            self.open[self.index] = line
        try:
            if kind == "read":
                reply = self.client.get_async(path)
            elif kind == "write":
                reply = self.client.set_async(path, line["value"].encode())
            else:
                reply = self.client.create_async(path, line["value"].encode(), include_data=True)
        except KazooException:  # not connected at all
            self.done(line, None)
            time.sleep(0.05)
            return
        reply.rawlink(lambda reply: self.done(line, reply))

    def done(self, line, reply):
        line["return"] = time.monotonic_ns()
        try:
            self.record(line, reply)
        except Exception as error:  # kazoo would only log it
            self.failure = self.failure or error

    def record(self, line, reply):
        with self.lock:
            if self.open.pop(line["index"], None) is None:
                return
        error = reply.exception if reply else ConnectionLoss()
        read = line["kind"] == "read"
        if error is None:
            found, stat = (None, reply.get_nowait()) if line["kind"] == "write" else reply.get_nowait()
            line |= {"outcome": "ok", "version": stat.version, "zxid": stat.mzxid}
            if read:
                line["value"] = found.decode()
        elif read:
            line["outcome"] = "ok" if isinstance(error, NoNodeError) else "failed"
        elif isinstance(error, REFUSED):
            line["outcome"] = "failed"
        else:
            line["outcome"] = "unknown"
        # On which session it was, nobody can tell: then nothing is known of its order.
        if line.pop("session") != self.session() and line["outcome"] != "unknown":
            line["client"] += f"-{line['index']}"
        self.recorder.add(line)
        self.window.release()

    def finish(self):
        """Waits for what is in flight; of the rest nobody knows."""
        deadline = time.monotonic() + self.args.patience
        while self.open and time.monotonic() < deadline:
            time.sleep(0.01)
        with self.lock:
            rest, self.open = list(self.open.values()), {}
        for line in rest:
            del line["session"]
            self.recorder.add(line | {"outcome": "failed" if line["kind"] == "read" else "unknown"})


def workers(args, numbers, path, gate, stop, results):
    """One process: some of the clients, and their record."""
    try:
        recorder = Recorder(path)
        crew = [Worker(number, args, recorder, gate, stop) for number in numbers]
        for worker in crew:
            worker.start()
        for worker in crew:
            worker.join(args.limit)
            check(not worker.is_alive(), f"{worker.name} is stuck")
            if worker.failure:
                raise worker.failure
        recorder.close()
        results.put(recorder.counts)
        for worker in crew:
            worker.client.stop()
    except BaseException as error:
        results.put(repr(error))
        raise


def prepare(args, recorder):
    """Creates the nodes, which belongs to the history."""
    setup = client(args.connect.split(",")[0])
    index = 0
    for prefix in args.prefix:
        root = f"{prefix}/{args.tag}"
        setup.ensure_path(root)
        for key in range(args.keys):
            path, value, begun = f"{root}/k{key}", f"setup.{index}", time.monotonic_ns()
            _, stat = setup.create(path, value.encode(), include_data=True)
            recorder.add({"client": "setup", "index": index, "invoke": begun, "return": time.monotonic_ns(),
                          "ensemble": prefix, "key": path, "kind": "create", "outcome": "ok",
                          "version": stat.version, "zxid": stat.mzxid, "value": value})
            index += 1
    return setup


def obey(stop):
    """Ends the run early for whoever says so."""
    for line in sys.stdin:
        if line.strip() == "stop":
            stop.set()


def main(args):
    args.prefix = [prefix.rstrip("/") for prefix in args.prefix]
    args.tag = f"verify-{os.getpid():x}-{time.time_ns() & 0xFFFFFFFF:x}"
    recorder = Recorder(args.history)
    setup = prepare(args, recorder)
    recorder.close()
    # A process of kazoo clients is bound by one core. Threads do not survive a fork: spawn.
    context = multiprocessing.get_context("spawn")
    count = min(args.processes or os.cpu_count(), args.clients)
    gate, stop, results = context.Barrier(args.clients), context.Event(), context.Queue()
    parts = [f"{args.history}.{process}" for process in range(count)]
    processes = [context.Process(target=workers, args=(args, range(p, args.clients, count), parts[p], gate, stop, results), daemon=True)
                 for p in range(count)]
    for process in processes:
        process.start()
    print("running", flush=True)
    threading.Thread(target=obey, args=(stop,), daemon=True).start()
    counts = dict(recorder.counts)
    for _ in processes:
        found = results.get(timeout=args.limit)
        if isinstance(found, str):
            raise Failure(found)
        for key, value in found.items():
            counts[key] = counts.get(key, 0) + value
    with open(args.history, "a") as whole:
        for part in parts:
            with open(part) as lines:
                whole.writelines(lines)
            os.remove(part)
    for process in processes:
        process.join(5)
        process.kill()
    try:
        for prefix in args.prefix:
            root = f"{prefix}/{args.tag}"
            setup.sync(root)
            # All at once: a long run leaves thousands.
            for deleted in [setup.delete_async(f"{root}/{name}") for name in setup.get_children(root)]:
                deleted.get()
            setup.delete(root)
        setup.stop()
    except KazooException as error:  # the record is worth more than a clean directory
        print(f"{args.tag} is left behind: {error!r}", file=sys.stderr)
    return {"operations": sum(counts.values()), "counts": counts}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connect", required=True, help="addresses, HOST:PORT,...: clients take them in turn")
    parser.add_argument("--prefix", action="append", required=True, help="a scratch directory per ensemble")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--window", type=int, default=8, help="requests in flight per client")
    parser.add_argument("--keys", type=int, default=8, help="nodes per prefix")
    parser.add_argument("--locality", type=float, default=0.8, help="how often a client stays with its prefix")
    parser.add_argument("--reads", type=float, default=0.5, help="share of reads")
    parser.add_argument("--rate", type=float, help="operations a second of all clients; as many as they can")
    parser.add_argument("--duration", type=float, default=10.0, help="seconds")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--processes", type=int, help="of how many processes; as many as cores")
    parser.add_argument("--history", required=True, help="the file to write")
    parser.add_argument("--patience", type=float, default=30.0)
    parser.add_argument("--limit", type=float, default=600.0)
    run(main, parser)
