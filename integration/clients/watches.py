"""Watches on both ensembles: each fires exactly once, for the right path, before the reply that
shows the new state, whoever makes the change; none fires for what nobody changed.

kazoo has no persistent watches; JavaClient.java covers them.
"""

import threading

from kazoo import exceptions as ke
from kazoo.protocol.states import EventType

from common import Events, OneQueue, Sides, arguments, check, client, equal, refused, run, settle


def one_shot(c, writer, path, real, patience):
    """Every kind of watch on one side; `writer` knows `path` as `real`."""
    data, missing, gone, kids = Events(), Events(), Events(), Events()
    c.create(f"{path}/node", b"0")
    c.get(f"{path}/node", watch=data)
    equal(c.exists(f"{path}/missing", watch=missing), None, "a missing node")
    check(c.exists(f"{path}/node", watch=gone), "an existing node")
    c.get_children(path, watch=kids)

    writer.set(f"{real}/node", b"1")
    writer.set(f"{real}/node", b"2")
    writer.create(f"{real}/missing", b"")
    writer.create(f"{real}/another", b"")
    writer.delete(f"{real}/missing")
    writer.delete(f"{real}/another")
    writer.delete(f"{real}/node")

    for events in (data, missing, gone, kids):
        events.wait(1, patience, f"a watch below {path}")
    settle(c, path)
    for events, expected in (
        (data, [(EventType.CHANGED, f"{path}/node")]),
        (gone, [(EventType.CHANGED, f"{path}/node")]),
        (missing, [(EventType.CREATED, f"{path}/missing")]),
        (kids, [(EventType.CHILD, path)]),
    ):
        events.exactly(expected, patience, f"one-shot events below {path}")

    # Deletion: data and child watch on the node itself, child watch on its parent.
    c.create(f"{path}/doomed", b"")
    data, self_kids, kids = Events(), Events(), Events()
    c.get(f"{path}/doomed", watch=data)
    c.get_children(f"{path}/doomed", watch=self_kids)
    c.get_children(path, watch=kids)
    writer.delete(f"{real}/doomed")
    kids.wait(1, patience, f"deletion below {path}")
    settle(c, path)
    data.exactly([(EventType.DELETED, f"{path}/doomed")], patience, "data watch of a deleted node")
    self_kids.exactly([(EventType.DELETED, f"{path}/doomed")], patience, "child watch of a deleted node")
    kids.exactly([(EventType.CHILD, path)], patience, "child watch of its parent")


def no_false_alarm(c, writer, path, real, patience):
    """What must not fire: ACL changes, grandchildren, children's data, failed updates, reads that failed."""
    c.create(f"{path}/quiet/below", b"", makepath=True)
    data, kids = Events(), Events()
    c.get(f"{path}/quiet", watch=data)
    c.get_children(f"{path}/quiet", watch=kids)
    unarmed = Events()
    refused(ke.NoNodeError, lambda: c.get(f"{path}/absent", watch=unarmed), "reading a missing node")
    writer.set_acls(f"{real}/quiet", c.get_acls(f"{path}/quiet")[0])
    writer.set(f"{real}/quiet/below", b"1")
    writer.create(f"{real}/quiet/below/grandchild", b"")
    writer.create(f"{real}/absent", b"")
    refused(ke.BadVersionError, lambda: writer.set(f"{real}/quiet", b"", version=99), "a set of the wrong version")
    refused(ke.NotEmptyError, lambda: writer.delete(f"{real}/quiet"), "a delete of a parent")
    settle(c, path)
    equal((data.seen, kids.seen, unarmed.seen), ([], [], []), f"events for what did not change below {path}")
    # Take them off again by firing them, so that they do not reach into other tests.
    writer.set(f"{real}/quiet", b"x")
    writer.create(f"{real}/quiet/more", b"")
    data.exactly([(EventType.CHANGED, f"{path}/quiet")], patience, "the watch was armed")
    kids.exactly([(EventType.CHILD, f"{path}/quiet")], patience, "the child watch was armed")


def order(args, sides, rounds):
    """An event comes before any reply that shows the change, also when the sides alternate."""
    c = client(args.connect, handler=OneQueue())
    writer = client(args.connect)
    for path in sides.both:
        c.create(f"{path}/order", b"0")
    for number in range(1, rounds + 1):
        path = f"{sides.both[number % 2]}/order"
        other = f"{sides.both[(number + 1) % 2]}/order"
        log, shown = [], threading.Event()
        before = int(c.get(path, watch=lambda event: log.append("event"))[0])

        def read(result):
            value = int(result.value[0])
            log.append(value)
            if value > before:
                shown.set()
            else:
                c.get_async(path).rawlink(read)

        writing = writer.set_async(path, b"%d" % number)
        c.get_async(other)
        c.get_async(path).rawlink(read)
        check(shown.wait(args.patience), f"the write of round {number} never showed")
        writing.get(timeout=args.patience)
        equal([x for x in log if x == "event"], ["event"], f"events of round {number}")
        check(log.index("event") < log.index(number), f"round {number}: the reply came before the event: {log}")
    # The writer's own view: its watch event precedes the reply to its own write.
    own = []
    done = threading.Event()
    for path in sides.both:
        own.clear(), done.clear()
        c.get(f"{path}/order", watch=lambda event: own.append("event"))
        # kazoo's set_async is the plain request, so its completion is the reply itself.
        c.set_async(f"{path}/order", b"99").rawlink(lambda _: (own.append("reply"), done.set()))
        check(done.wait(args.patience), "no reply")
        equal(own, ["event", "reply"], f"own write below {path}")
    writer.stop(), c.stop()
    return rounds


def recipes(c, writer, path, real, patience):
    """kazoo's DataWatch and ChildrenWatch, which live from re-arming."""
    values, kids, moved = [], [], threading.Condition()

    def note(log, value):
        with moved:
            log.append(value)
            moved.notify_all()

    def reaches(log, value, what):
        with moved:
            check(moved.wait_for(lambda: log and log[-1] == value, patience), f"{what} below {path}: {log}")

    c.DataWatch(f"{path}/recipe", lambda data, stat: note(values, data))
    c.ensure_path(f"{path}/kids")
    c.ChildrenWatch(f"{path}/kids", lambda names: note(kids, sorted(names)))
    reaches(values, None, "DataWatch of a missing node")
    for number in range(10):
        value = b"%d" % number
        if number:
            writer.set(f"{real}/recipe", value)
        else:
            writer.create(f"{real}/recipe", value)
        reaches(values, value, "DataWatch")
        writer.create(f"{real}/kids/n{number}", b"")
        reaches(kids, [f"n{n}" for n in range(number + 1)], "ChildrenWatch")
    writer.delete(f"{real}/recipe")
    reaches(values, None, "DataWatch after deletion")
    equal([v for v in values if v is not None], [b"%d" % n for n in range(10)], "values seen by DataWatch")


def shadowed(args, c, sides, outside):
    """A path the sidecar serves from elsewhere, changed on home: nobody who asked for it is told."""
    (home, _), _ = outside
    if not args.direct_local or args.direct_local == args.direct_remote:
        return "skipped: needs --direct-local of a separate ensemble"
    events, kids = Events(), Events()
    check(home.exists(sides.remote) is None, f"{sides.remote} exists on home")
    c.exists(f"{sides.remote}/shadow", watch=events)
    c.get_children(sides.remote, watch=kids)
    home.create(f"{sides.remote}/shadow", b"", makepath=True)
    settle(c, *sides.both)
    equal((events.seen, kids.seen), ([], []), "events for a shadowed path")
    home.delete(sides.remote, recursive=True)
    c.create(f"{sides.remote}/shadow", b"")
    events.exactly([(EventType.CREATED, f"{sides.remote}/shadow")], args.patience, "the watch was armed remotely")
    return "checked"


def main(args):
    c = client(args.connect)
    writer = client(args.connect)
    sides = Sides(args, c, "watches")
    outside = sides.outside()
    for path, (direct, real) in zip(sides.both, outside):
        one_shot(c, writer, path, path, args.patience)
        one_shot(c, direct, path, real, args.patience)
        one_shot(c, c, path, path, args.patience)
        c.sync(path), writer.sync(path)
        no_false_alarm(c, writer, path, path, args.patience)
        recipes(c, writer, path, path, args.patience)
    rounds = order(args, sides, args.rounds)
    shadow = shadowed(args, c, sides, outside)
    sides.clean(c)
    return {"order_rounds": rounds, "shadowed": shadow}


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="rounds of the ordering part")
    run(main, parser)
