"""One session, ephemerals on both ensembles: they show one owner, and they go together.

Closing the session removes both at once. Killing the client's process removes both within the
session timeout. Both are watched by clients that do not pass through the sidecar, where direct
addresses are given.
"""

import os
import signal
import subprocess
import sys
import time

from common import Events, GetEphemerals, Sides, arguments, call, check, client, equal, run


def owners(c, path):
    """Who owns what is created below `path`, by every reply in which this client can see it."""
    node = c.create(f"{path}/e", b"", ephemeral=True)
    found = {
        "exists": c.exists(node).ephemeralOwner,
        "get": c.get(node)[1].ephemeralOwner,
        "set": c.set(node, b"v").ephemeralOwner,
        "children": c.get_children(node, include_data=True)[1].ephemeralOwner,
        "acls": c.get_acls(node)[1].ephemeralOwner,
        "create2": c.create(f"{path}/e2", b"", ephemeral=True, include_data=True)[1].ephemeralOwner,
        "create2 sequential": c.create(f"{path}/s-", ephemeral=True, sequence=True, include_data=True)[1].ephemeralOwner,
    }
    t = c.transaction()
    t.create(f"{path}/e3", ephemeral=True)
    t.set_data(f"{path}/e3", b"v")
    found["transaction"] = t.commit()[1].ephemeralOwner
    equal(c.exists(path).ephemeralOwner, 0, f"owner of the persistent {path}")
    return found


def watch_from_outside(sides, name):
    """An armed deletion watch on `name` below each prefix, and what its owner looks like there."""
    watched = []
    for outside, prefix in sides.outside():
        events = Events()
        outside.sync(prefix)
        stat = outside.exists(f"{prefix}/{name}", watch=events)
        check(stat and stat.ephemeralOwner, f"{prefix}/{name} is not there as an ephemeral from outside: {stat}")
        watched.append((outside, f"{prefix}/{name}", events, stat.ephemeralOwner))
    return watched


def gone(watched, bound, what):
    """Seconds until each was deleted, all within `bound` of now."""
    began, delays = time.monotonic(), []
    for outside, path, events, _ in watched:
        left = max(0.1, began + bound - time.monotonic())
        events.wait(1, left, f"{what}: {path} still there")
        equal(events.seen, [("DELETED", path)], what)
        delays.append(round(time.monotonic() - began, 2))
        outside.stop()
    return delays


def closed(args, sides):
    c = client(args.connect, timeout=args.session_timeout)
    session = c.client_id[0]
    seen = {path: owners(c, path) for path in sides.both}
    for path, by in seen.items():
        equal(by, dict.fromkeys(by, session), f"owner below {path}")
    mine = [f"{path}/{n}" for path in sides.both for n in ("e", "e2", "e3", "s-0000000002")]
    for prefix, want in (
        ("/", mine),
        (sides.local, [p for p in mine if p.startswith(sides.local + "/")]),
        (sides.remote, [p for p in mine if p.startswith(sides.remote + "/")]),
        (sides.remote + "/e2", [sides.remote + "/e2"]),
    ):
        equal(sorted(call(c, GetEphemerals(prefix)).get(timeout=args.patience)), sorted(want), f"getEphemerals({prefix})")

    other = client(args.connect)
    check(other.client_id[0] != session, "two clients have one session id")
    for path in sides.both:
        other.sync(path)
        check(other.exists(f"{path}/e").ephemeralOwner not in (0, other.client_id[0]), "another's ephemeral looks own")
        equal(call(other, GetEphemerals(path)).get(timeout=args.patience), [], "another's ephemerals are listed")
    other.stop()

    watched = watch_from_outside(sides, "e")
    began = time.monotonic()
    c.stop()
    took = time.monotonic() - began
    c.close()
    delays = gone(watched, args.slack, "after close()")
    check(took < args.slack, f"close() took {took:.1f} s")
    return {"close_seconds": round(took, 2), "gone_after": delays,
            "owner_from_outside_is_session": [owner == session for *_, owner in watched]}


def killed(args, sides):
    command = [sys.executable, __file__, "--child", "--connect", args.connect, "--local", sides.local,
               "--remote", sides.remote, "--session-timeout", str(args.session_timeout)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        equal(child.stdout.readline(), "ready\n", "the child")
        watched = watch_from_outside(sides, "killed")
        # Alive for longer than a timeout: nothing may go while the client only pings.
        time.sleep(args.session_timeout * 1.5)
        equal([events.seen for *_, events, _ in watched], [[], []], "events while the client lives")
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    return {"gone_after": gone(watched, args.session_timeout + args.slack, "after SIGKILL")}


def child(args):
    c = client(args.connect, timeout=args.session_timeout)
    for path in (args.local, args.remote):
        c.create(f"{path}/killed", b"", ephemeral=True)
    print("ready", flush=True)
    sys.stdin.read()  # until killed, or until the parent is gone
    os._exit(1)


def main(args):
    if args.child:
        child(args)
    c = client(args.connect)
    sides = Sides(args, c, "ephemerals")
    result = {"closed": closed(args, sides), "killed": killed(args, sides)}
    for path in sides.both:
        c.sync(path)
        equal(c.get_children(path), [], f"left below {path}")
    sides.clean(c)
    return result


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--session-timeout", type=float, default=4.0)
    parser.add_argument("--slack", type=float, default=3.0, help="seconds granted beyond what the protocol promises")
    parser.add_argument("--child", action="store_true", help="the process that gets killed")
    run(main, parser)
