"""SASL (DIGEST-MD5) through the sidecar: home knows the client afterwards, other ensembles do not."""

from kazoo import exceptions as ke
from kazoo.client import KazooClient
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.protocol.connection import _CONNECTION_DROP
from kazoo.security import CREATOR_ALL_ACL, make_acl

from common import arguments, check, client, equal, refused, run

BOBS = [make_acl("sasl", "bob", all=True)]


def authenticated(address, password, patience):
    options = {"mechanism": "DIGEST-MD5", "username": "bob", "password": password}
    c = KazooClient(hosts=address, timeout=10, sasl_options=options)
    c.start(timeout=patience)
    return c


def main(args):
    bob = authenticated(args.connect, "bobs-secret", args.patience)
    stranger = client(args.connect)
    bob.ensure_path(args.local), bob.ensure_path(args.remote)
    node = f"{args.local}/bobs"
    bob.create(node, b"guarded", acl=BOBS)
    bob.create(f"{args.local}/mine", b"guarded", acl=CREATOR_ALL_ACL)
    equal([a.id.id for a in bob.get_acls(f"{args.local}/mine")[0]], ["bob"], "who home thinks it is")
    stranger.sync(node)
    refused(ke.NoAuthError, lambda: stranger.get(node), "a stranger")
    direct = client(args.direct_local)
    refused(ke.NoAuthError, lambda: direct.get(node), "a stranger without the sidecar")

    # Other ensembles: served as anybody is, and nobody in particular there.
    bob.create(f"{args.remote}/open", b"for all")
    equal(stranger.get(f"{args.remote}/open")[0], b"for all", "a node of the other side")
    mine = lambda: bob.create(f"{args.remote}/mine", b"", acl=CREATOR_ALL_ACL)
    refused(ke.InvalidACLError, mine, "an identity on the other side")
    equal(bob.get(node)[0], b"guarded", "home, after a switch")

    # It proves itself again on every connection, and the remote session goes on meanwhile.
    bob.create(f"{args.remote}/ephemeral", b"", ephemeral=True)
    session = bob.client_id[0]
    bob._call(_CONNECTION_DROP, None)  # as kazoo's own tests do
    equal(bob.retry(bob.get, node)[0], b"guarded", "home, after a reconnect")
    equal(bob.client_id[0], session, "the session")
    check(bob.retry(bob.exists, f"{args.remote}/ephemeral"), "an ephemeral of the other side")

    try:
        guesser = authenticated(args.connect, "guessed", 10)
        found = guesser.get(node)
    except (ke.KazooException, KazooTimeoutError):
        found = None
    equal(found, None, "what a wrong password opens")
    for path in (args.local, args.remote):
        bob.delete(path, recursive=True)
    bob.stop(), stranger.stop(), direct.stop()
    return {}


if __name__ == "__main__":
    run(main, arguments(__doc__))
