"""The smallest way in which two consistent ensembles are not consistent together.

Client 1 writes /a/x, then reads /b/y; client 2 writes /b/y, then reads /a/x, at the same time. In
any one order of all operations at least one of them reads what the other wrote. If both read an
older value, no such order exists: a violation. The caller judges their number; this program fails
only if something else is wrong, such as a value nobody wrote yet or one that went backwards.
"""

import json
import threading
import time

from kazoo.protocol.serialization import GetData, SetData

from common import Failure, Sides, arguments, call, check, client, equal, run


class Racer(threading.Thread):
    """One client: in every round it writes its own key and reads the other's."""

    def __init__(self, name, address, own, other, args, gate):
        super().__init__(daemon=True)
        self.name, self.own, self.other, self.args, self.gate = name, own, other, args, gate
        self.client = client(address)
        self.read, self.failure = [], None

    def run(self):
        try:
            newest = [0] * self.args.keys
            for number in range(1, self.args.rounds + 1):
                self.gate.wait(self.args.patience)
                if self.gate.stop:
                    return
                key = number % self.args.keys
                value = self.round(number, f"{self.own}{key}", f"{self.other}{key}")
                check(newest[key] <= value <= number, f"{self.name} read {value} in round {number} after {newest[key]}")
                newest[key] = value
                self.read.append(value)
                self.gate.wait(self.args.patience)
        except threading.BrokenBarrierError:
            pass
        except BaseException as error:
            self.failure = error
            self.gate.abort()

    def round(self, number, own, other):
        value = b"%d" % number
        began = time.monotonic_ns()
        if self.args.mode == "sync":
            self.client.set(own, value)
            found = self.client.get(other)[0]
        else:
            written = call(self.client, SetData(own, value, -1))
            reply = call(self.client, GetData(other, None))
            found = reply.get(timeout=self.args.patience)[0]
            written.get(timeout=self.args.patience)
        if self.args.history:
            entry = {"client": self.name, "write": own, "value": number, "read": other, "found": int(found),
                     "began_ns": began, "ended_ns": time.monotonic_ns()}
            with self.gate.history_lock:
                self.args.history_file.write(json.dumps(entry) + "\n")
        return int(found)


class Gate(threading.Barrier):
    """Aligns the rounds, and looks at the result of each where nobody else runs."""

    def __init__(self, stop_at_first):
        super().__init__(2, action=self.judge)
        self.stop_at_first, self.history_lock = stop_at_first, threading.Lock()
        self.racers, self.rounds, self.violations, self.first, self.stop = [], 0, 0, None, False

    def judge(self):
        done = min(len(r.read) for r in self.racers)
        if done == self.rounds:
            return
        self.rounds = done
        found = [r.read[-1] for r in self.racers]
        if all(value < done for value in found):
            self.violations += 1
            self.first = self.first or {"round": done, "read": found}
            self.stop = self.stop_at_first


def main(args):
    args.connect = args.connect1 = args.connect1 or args.connect
    args.connect2 = args.connect2 or args.connect
    check(args.connect, "no address: --connect, or --connect1 and --connect2")
    args.history_file = open(args.history, "w") if args.history else None
    one = client(args.connect1)
    sides = Sides(args, one, "anomaly")
    for path in sides.both:
        for key in range(args.keys):
            one.create(f"{path}/k{key}", b"0")
    gate = Gate(args.stop_at_first)
    x, y = (f"{path}/k" for path in sides.both)
    gate.racers = [Racer("c1", args.connect1, x, y, args, gate), Racer("c2", args.connect2, y, x, args, gate)]
    for racer in gate.racers:
        # Through lagging servers the nodes may still be missing; a sync brings them, and every leg
        # is open before the race begins.
        for prefix in (racer.other, racer.own):
            racer.client.sync(prefix + "0")
            equal(racer.client.get(f"{prefix}{args.keys - 1}")[0], b"0", "the value before the race")
    for racer in gate.racers:
        racer.start()
    for racer in gate.racers:
        racer.join(args.limit)
        check(not racer.is_alive(), f"{racer.name} is stuck")
    for racer in gate.racers:
        if racer.failure:
            raise Failure(f"{racer.name}: {racer.failure!r}") from racer.failure
        racer.client.stop()
    check(gate.stop or gate.rounds == args.rounds, f"only {gate.rounds} rounds ran")
    if args.history_file:
        args.history_file.close()
    sides.clean(one)
    return {"rounds": gate.rounds, "violations": gate.violations, "first_violation": gate.first, "mode": args.mode}


if __name__ == "__main__":
    parser = arguments(__doc__, one_sidecar=False)
    parser.add_argument("--connect1", help="the sidecar of client 1, whose home serves --local")
    parser.add_argument("--connect2", help="the sidecar of client 2, whose home serves --remote")
    parser.add_argument("--mode", choices=["sync", "pipelined"], default="sync")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--keys", type=int, default=1, help="pairs of keys used in turn")
    parser.add_argument("--stop-at-first", action="store_true")
    parser.add_argument("--history", help="write every round of every client to this file, one JSON object a line")
    run(main, parser)
