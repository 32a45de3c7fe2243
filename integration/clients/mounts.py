"""A mount whose name on the ensemble differs: this client sees its own names only, the ensemble the
real ones, in every request and reply that carries a path.
"""

from kazoo import exceptions as ke
from kazoo.protocol.serialization import Sync
from kazoo.protocol.states import EventType

from common import Events, GetEphemerals, Sides, arguments, call, check, client, equal, refused, run, settle


def creations(c, path, direct, real):
    made = {
        "create": c.create(f"{path}/a", b"1"),
        "create2": c.create(f"{path}/b", b"1", include_data=True)[0],
        "sequential": c.create(f"{path}/s-", b"1", sequence=True),
        "sequential create2": c.create(f"{path}/s-", b"1", sequence=True, include_data=True)[0],
        "ephemeral": c.create(f"{path}/e", b"1", ephemeral=True),
        "nameless sequential": c.create(f"{path}/", b"1", sequence=True),
    }
    t = c.transaction()
    t.create(f"{path}/t", b"1")
    t.create(f"{path}/t/s-", b"1", sequence=True)
    t.set_data(f"{path}/t", b"2")
    made["transaction"], made["transaction sequential"], _ = t.commit()
    names = {
        "create": "a", "create2": "b", "sequential": "s-0000000002", "sequential create2": "s-0000000003",
        "ephemeral": "e", "nameless sequential": "0000000005", "transaction": "t",
        "transaction sequential": "t/s-0000000000",
    }
    equal(made, {kind: f"{path}/{name}" for kind, name in names.items()}, "created paths")
    direct.sync(real)
    for name in names.values():
        check(direct.exists(f"{real}/{name}"), f"{real}/{name} is not on the ensemble under its real name")
    return sorted({name.split("/")[0] for name in names.values()})


def reads(c, path, direct, real, names, patience):
    equal(sorted(c.get_children(path)), names, "children")
    equal(sorted(c.get_children(path, include_data=True)[0]), names, "children with stat")
    equal(c.get(f"{path}/t")[0], b"2", "data")
    check(c.exists(f"{path}/a") and not c.exists(f"{path}/zz"), "exists")
    check(c.get_acls(f"{path}/a")[1].version == 0, "acls")
    equal(c.exists(f"{path}/a").czxid, direct.exists(f"{real}/a").czxid, "the node is the same")
    for asked in (path, f"{path}/absent"):
        equal(call(c, Sync(asked)).get(timeout=patience), asked, "the path a sync returns")
    for asked in ("/", path, f"{path}/e"):
        equal(call(c, GetEphemerals(asked)).get(timeout=patience), [f"{path}/e"], f"getEphemerals({asked})")


def watches(c, path, direct, real, patience):
    data, missing, kids = Events(), Events(), Events()
    c.get(f"{path}/a", watch=data)
    c.exists(f"{path}/late", watch=missing)
    c.get_children(path, watch=kids)
    direct.set(f"{real}/a", b"from outside")
    direct.create(f"{real}/late", b"")
    kids.wait(1, patience, "events through the mount")
    settle(c, path)
    data.exactly([(EventType.CHANGED, f"{path}/a")], patience, "data event")
    missing.exactly([(EventType.CREATED, f"{path}/late")], patience, "creation event")
    kids.exactly([(EventType.CHILD, path)], patience, "child event")
    gone = Events()
    c.exists(f"{path}/late", watch=gone)
    c.delete(f"{path}/late")
    gone.exactly([(EventType.DELETED, f"{path}/late")], patience, "deletion event")


def updates(c, path, direct, real):
    c.set(f"{path}/b", b"2")
    c.set_acls(f"{path}/b", c.get_acls(f"{path}/b")[0])
    c.delete(f"{path}/s-0000000002")
    direct.sync(real)
    equal(direct.get(f"{real}/b")[0], b"2", "a set")
    equal(direct.exists(f"{real}/b").aversion, 1, "a set of ACLs")
    equal(direct.exists(f"{real}/s-0000000002"), None, "a delete")
    refused(ke.NoNodeError, lambda: c.get(f"{path}/s-0000000002"), "a deleted node")
    refused(ke.NodeExistsError, lambda: c.create(f"{path}/a"), "an existing node")
    refused(ke.NotEmptyError, lambda: c.delete(f"{path}/t"), "a node with children")
    t = c.transaction()
    t.delete(f"{path}/a")
    t.check(f"{path}/b", 77)
    equal([type(r) for r in t.commit()], [ke.RolledBackError, ke.BadVersionError], "a failing transaction")


def the_mount_itself(args, c):
    """The mount point is the root on the ensemble; its parent and its like-named neighbour are not."""
    mount = args.mount or args.remote
    stat, neighbour = c.exists(mount), f"{mount}-neighbour"
    check(stat, f"{mount} does not answer")
    equal(c.get(mount)[1].czxid, stat.czxid, "the mount by get")
    equal(c.exists(neighbour), None, "a name that merely begins like the mount")


def main(args):
    c = client(args.connect)
    sides = Sides(args, c, "mounts")
    (home, _), (direct, real) = sides.outside()
    path = sides.remote
    names = creations(c, path, direct, real)
    reads(c, path, direct, real, names, args.patience)
    watches(c, path, direct, real, args.patience)
    updates(c, path, direct, real)
    the_mount_itself(args, c)
    if args.real_remote and args.direct_remote:
        equal(direct.exists(path), None, "the client's name on the ensemble")
        if args.direct_local:
            equal(home.exists(path), None, "the client's name on home")
    sides.clean(c)
    direct.sync(real)
    equal(direct.exists(real), None, "the real name after a recursive delete")
    return {"client_name": path, "real_name": real}


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--mount", help="the route's prefix; default --remote")
    run(main, parser)
