"""Many clients through one sidecar at the same time: nobody gets anything that is another's.

Each has its own nodes with values only it writes, its own watches and ephemerals, and pipelines
random operations on both sides. kazoo counts xids from 1 on every connection, so all of them use
the same numbers all the time. A common node below each side is written by all, and its version
must end at the number of writes.
"""

import random
import threading

from common import Events, Sides, arguments, check, client, equal, run, settle


class Client(threading.Thread):
    def __init__(self, args, sides, number):
        super().__init__(daemon=True)
        self.args, self.sides, self.number = args, sides, number
        self.chance = random.Random(args.seed * 1000 + number)
        self.client = client(args.connect)
        self.failure, self.shared_writes, self.events = None, [0, 0], 0

    def run(self):
        try:
            self.work()
        except BaseException as error:
            self.failure = error

    def work(self):
        c, me = self.client, f"c{self.number}"
        values = []
        for side, path in enumerate(self.sides.both):
            c.create(f"{path}/{me}", b"%d:start" % self.number)
            c.create(f"{path}/{me}/e", b"", ephemeral=True)
            values.append(b"%d:start" % self.number)
        for batch in range(self.args.batches):
            checks, watched = [], []
            for _ in range(self.args.batch):
                side = self.chance.randrange(2)
                path = self.sides.both[side]
                draw = self.chance.randrange(7)
                if draw == 0:
                    values[side] = b"%d:%d:%d" % (self.number, batch, len(checks))
                    checks.append((c.set_async(f"{path}/{me}", values[side]), None, None))
                elif draw == 1:
                    self.shared_writes[side] += 1
                    checks.append((c.set_async(f"{path}/shared", b"%d" % self.number), None, None))
                elif draw == 2:
                    checks.append((c.get_children_async(f"{path}/{me}"), lambda r: r, ["e"]))
                elif draw == 3:
                    checks.append((c.exists_async(f"{path}/{me}/e"), lambda r: r.ephemeralOwner, c.client_id[0]))
                elif draw == 4:
                    events = Events()
                    checks.append((c.exists_async(f"{path}/{me}/missing", watch=events), lambda r: r, None))
                    checks.append((c.create_async(f"{path}/{me}/missing"), lambda r: r, f"{path}/{me}/missing"))
                    checks.append((c.delete_async(f"{path}/{me}/missing"), lambda r: r, True))
                    watched.append((events, path))
                else:
                    checks.append((c.get_async(f"{path}/{me}"), lambda r: r[0], values[side]))
            for index, (result, view, expected) in enumerate(checks):
                found = result.get(timeout=self.args.patience)
                if view:
                    equal(view(found), expected, f"{me} batch {batch} request {index}")
            settle(c, *self.sides.both)
            for events, path in watched:
                equal(events.wait(1, self.args.patience, f"{me}: own watch"), [("CREATED", f"{path}/{me}/missing")], f"{me}: events")
                self.events += 1


def main(args):
    c = client(args.connect)
    sides = Sides(args, c, "isolation")
    for path in sides.both:
        c.create(f"{path}/shared", b"")
    clients = [Client(args, sides, number) for number in range(args.clients)]
    sessions = {x.client.client_id[0] for x in clients}
    equal(len(sessions), args.clients, "different session ids")
    for x in clients:
        x.start()
    for x in clients:
        x.join(args.limit)
        check(not x.is_alive(), f"client {x.number} is stuck")
        if x.failure:
            raise x.failure
        equal(x.client.client_state, "CONNECTED", f"state of client {x.number}")
    for side, path in enumerate(sides.both):
        c.sync(path)
        equal(c.exists(f"{path}/shared").version, sum(x.shared_writes[side] for x in clients), "writes of the shared node")
    for x in clients[::2]:
        x.client.stop()
    for x in clients:
        for path in sides.both:
            c.sync(path)
            there = c.exists(f"{path}/c{x.number}/e")
            equal(bool(there), x.number % 2 == 1, f"ephemeral of client {x.number}, even ones are closed")
    for x in clients[1::2]:
        x.client.stop()
    sides.clean(c)
    return {"clients": args.clients, "requests": args.clients * args.batches * args.batch, "events": sum(x.events for x in clients)}


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--batches", type=int, default=5)
    parser.add_argument("--batch", type=int, default=40, help="requests in flight per client")
    parser.add_argument("--seed", type=int, default=1)
    run(main, parser)
