"""Transactions: inside one ensemble they work and roll back; across two they are refused cleanly.

Refused means: per-operation errors (protocol.md section 3), nothing applied on either side, the
connection and the session untouched. A delete that would take away the ground under a mount is
NotEmpty, alone and inside a transaction.
"""

from kazoo import exceptions as ke

from common import Sides, arguments, check, client, equal, refused, run

ROLLED_BACK, BAD, AFTER = ke.RolledBackError, ke.BadArgumentsError, ke.RuntimeInconsistency


def commit(c, *operations):
    """[(method, arguments...)] -> results, with errors as their classes."""
    t = c.transaction()
    for name, *rest in operations:
        getattr(t, name)(*rest)
    return [type(r) if isinstance(r, Exception) else r for r in t.commit()]


def inside(c, path):
    made = commit(c, ("create", f"{path}/t", b"0"), ("set_data", f"{path}/t", b"1", 0), ("check", f"{path}/t", 1),
                  ("create", f"{path}/t/s-", b"", None, False, True), ("create", f"{path}/t/gone"),
                  ("delete", f"{path}/t/gone"))
    equal((made[0], made[1].version, made[2], made[3], made[4], made[5]),
          (f"{path}/t", 1, True, f"{path}/t/s-0000000000", f"{path}/t/gone", True), "a transaction inside one ensemble")
    before = c.get(f"{path}/t")
    for operations, errors in (
        ([("set_data", f"{path}/t", b"2"), ("check", f"{path}/t", 77), ("delete", f"{path}/t/s-0000000000")],
         [ROLLED_BACK, ke.BadVersionError, AFTER]),
        ([("create", f"{path}/t"), ("set_data", f"{path}/t", b"2")], [ke.NodeExistsError, AFTER]),
        ([("create", f"{path}/new"), ("delete", f"{path}/absent")], [ROLLED_BACK, ke.NoNodeError]),
        ([("delete", f"{path}/t")], [ke.NotEmptyError]),
    ):
        equal(commit(c, *operations), errors, f"errors of {operations}")
    equal(c.get(f"{path}/t"), before, "a failed transaction left a trace")
    equal(c.exists(f"{path}/new"), None, "a failed transaction left a node")
    equal(commit(c), [], "an empty transaction")


def across(c, here, there, expect):
    """`here` and `there` are prefixes of different ensembles."""
    for path in (here, there):
        c.ensure_path(f"{path}/x")
    state = lambda: [(c.get(p), sorted(c.get_children(p))) for base in (here, there) for p in (base, f"{base}/x")]
    before = state()
    cases = (
        ([("create", f"{here}/n"), ("create", f"{there}/n")], [ROLLED_BACK, BAD]),
        ([("set_data", f"{here}/x", b"1"), ("set_data", f"{there}/x", b"1"), ("set_data", f"{here}/x", b"2")],
         [ROLLED_BACK, BAD, AFTER]),
        ([("check", f"{here}/x", 0), ("create", f"{here}/s-", b"", None, False, True), ("delete", f"{there}/x"),
          ("create", f"{there}/n"), ("delete", f"{here}/x")], [ROLLED_BACK, ROLLED_BACK, BAD, AFTER, AFTER]),
        # Even where the operations would fail anyway, or only look.
        ([("delete", f"{here}/absent"), ("delete", f"{there}/absent")], [ROLLED_BACK, BAD]),
        ([("check", f"{here}/x", 0), ("check", f"{there}/x", 0)], [ROLLED_BACK, BAD]),
    )
    if expect == "applied":  # one ensemble serves both: the control of this very program
        equal(commit(c, *cases[0][0]), [f"{here}/n", f"{there}/n"], "a transaction over both prefixes")
        equal(commit(c, ("delete", f"{here}/n"), ("delete", f"{there}/n")), [True, True], "and back")
        return 0
    for operations, errors in cases:
        equal(commit(c, *operations), errors, f"refusal of {operations}")
        equal(state(), before, f"state after the refusal of {operations}")
    return len(cases)


def pipelined(c, here, there, expect, patience):
    """A refusal keeps its place among the replies around it."""
    order = []
    t = c.transaction()
    t.set_data(f"{here}/x", b"no")
    t.set_data(f"{there}/x", b"no")
    submitted = [("set", c.set_async(f"{here}/x", b"a")), ("get", c.get_async(f"{there}/x")), ("multi", t.commit_async()),
                 ("get", c.get_async(f"{here}/x")), ("set", c.set_async(f"{there}/x", b"b"))]
    for index, (_, result) in enumerate(submitted):
        result.rawlink(lambda _, index=index: order.append(index))
    values = [result.get(timeout=patience) for _, result in submitted]
    if expect == "refused":
        equal([type(e) for e in values[2]], [ROLLED_BACK, BAD], "the refusal in the pipeline")
        equal(values[3][0], b"a", "the read behind the refusal")
    c.sync(here)
    equal(order, sorted(order), "completions out of order")


def ground(c, mount):
    """What carries a mount cannot be deleted, although home sees no child there."""
    tried = 0
    c.ensure_path(f"{mount}/inside-{c.client_id[0]:x}")
    refused(ke.NotEmptyError, lambda: c.delete(mount), f"delete of the mount {mount}, which has a child")
    ancestor = mount.rpartition("/")[0]
    while ancestor:
        c.ensure_path(ancestor)
        version = c.exists(ancestor).version
        for v in (-1, version):
            refused(ke.NotEmptyError, lambda: c.delete(ancestor, version=v), f"delete of {ancestor}")
        equal(commit(c, ("set_data", ancestor, b"no"), ("delete", ancestor)), [ROLLED_BACK, ke.NotEmptyError],
              f"delete of {ancestor} inside a transaction")
        equal(c.exists(ancestor).version, version, f"version of {ancestor}")
        tried += 1
        ancestor = ancestor.rpartition("/")[0]
    c.delete(f"{mount}/inside-{c.client_id[0]:x}")
    return tried


def main(args):
    c = client(args.connect)
    states = []
    c.add_listener(states.append)
    session = c.client_id
    sides = Sides(args, c, "spanning")
    for path in sides.both:
        inside(c, path)
    cases = across(c, *sides.both, args.expect) + across(c, *reversed(sides.both), args.expect)
    pipelined(c, *sides.both, args.expect, args.patience)
    pipelined(c, *reversed(sides.both), args.expect, args.patience)
    ancestors = ground(c, args.mount or "/" + args.remote.split("/")[1])
    equal((states, c.client_id), ([], session), "connection states and session after all refusals")
    sides.clean(c)
    return {"refused": cases, "ancestors_kept": ancestors}


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--mount", help="the route's prefix; default the first component of --remote")
    parser.add_argument("--expect", choices=["refused", "applied"], default="refused",
                        help="`applied` when one ensemble serves both prefixes")
    run(main, parser)
