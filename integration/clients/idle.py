"""Sessions that do nothing, or all their work on one side, for three timeouts: nothing is lost.

Three clients at once, each with an ephemeral on both sides: one idle, one busy only on the remote
side, one busy only at home. Deletions are watched from outside.
"""

import threading
import time

from kazoo.client import KazooState

from common import Events, Sides, arguments, check, client, equal, run


class Worker(threading.Thread):
    def __init__(self, args, sides, name, busy_on):
        super().__init__(daemon=True, name=name)
        self.args, self.sides, self.busy_on = args, sides, busy_on
        self.requests, self.failure, self.states = 0, None, []
        self.client = client(args.connect, timeout=args.session_timeout)
        self.session = self.client.client_id
        self.nodes = [self.client.create(f"{path}/{name}", b"", ephemeral=True) for path in sides.both]
        self.client.add_listener(self.states.append)

    def run(self):
        try:
            end = time.monotonic() + self.args.session_timeout * self.args.timeouts
            if not self.busy_on:
                time.sleep(end - time.monotonic())
            while time.monotonic() < end:
                self.client.set(self.busy_on, b"%d" % self.requests)
                self.client.get(self.busy_on)
                self.requests += 2
            for node in self.nodes:
                owner = self.client.exists(node)
                check(owner and owner.ephemeralOwner == self.session[0], f"{self.name}: {node} after the time: {owner}")
            equal(self.client.client_id, self.session, f"{self.name}: session")
            equal([s for s in self.states if s != KazooState.CONNECTED], [], f"{self.name}: states")
        except BaseException as error:
            self.failure = error


def main(args):
    c = client(args.connect)
    sides = Sides(args, c, "idle")
    workers = [Worker(args, sides, name, busy) for name, busy in
               (("idle", None), ("busy-remote", sides.remote), ("busy-local", sides.local))]
    deleted = Events()
    for outside, prefix in sides.outside():
        outside.sync(prefix)
        for worker in workers:
            check(outside.exists(f"{prefix}/{worker.name}", watch=deleted), f"{prefix}/{worker.name} is not there")
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(args.limit)
        check(not worker.is_alive(), f"{worker.name} is stuck")
        if worker.failure:
            raise worker.failure
    equal(deleted.seen, [], "events on the ephemerals")
    for worker in workers:
        worker.client.stop()
    deleted.wait(6, args.patience, "deletions after close")
    sides.clean(c)
    return {"session_timeout": args.session_timeout, "requests": {w.name: w.requests for w in workers}}


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--session-timeout", type=float, default=4.0)
    parser.add_argument("--timeouts", type=float, default=3.0, help="how many timeouts it lasts")
    run(main, parser)
