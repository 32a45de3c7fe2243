"""The walk of the demo: what a stock client sees of two ensembles behind one sidecar.

Written down as a session at a Python prompt. Each line shown is the line that ran, each value is
what came of it; what the narration claims is checked, so that it cannot drift from the truth.
The demo calls it with the addresses of both sidecars and of both ensembles themselves.
"""

import logging
import statistics
import sys
import time

from kazoo.client import KazooClient

sidecar_us, sidecar_eu, ensemble_us, ensemble_eu, one_way = sys.argv[1:]
scope = {}


def say(text=""):
    print(text, flush=True)


def show(source):
    """Runs a line as the prompt would and gives its value."""
    say(f">>> {source}")
    try:
        code = compile(source, "walk", "eval")
    except SyntaxError:
        exec(source, scope)
        return None
    value = eval(code, scope)
    if value is not None:
        say(repr(value))
    return value


def claim(holds, what):
    if not holds:
        say(f"This is not what was to be shown: {what}.")
        sys.exit(1)


def one_namespace():
    say("== One namespace over two ensembles")
    say("A stock client, kazoo, connects to the sidecar of region us as to any ZooKeeper. Paths below")
    say("/eu are served by the ensemble eu, all others by us.")
    show("from kazoo.client import KazooClient")
    show(f'client = KazooClient("{sidecar_us}"); client.start()')
    show('client.create("/us/orders", b"7 open", makepath=True)')
    show('client.create("/eu/orders", b"3 open", makepath=True)')
    both = show('client.get("/us/orders")[0], client.get("/eu/orders")[0]')
    claim(both == (b"7 open", b"3 open"), "both nodes have the data written to them")
    say("Asked without the sidecar, each ensemble has one of them:")
    show(f'us = KazooClient("{ensemble_us}"); us.start(); us.sync("/")')
    show(f'eu = KazooClient("{ensemble_eu}"); eu.start(); eu.sync("/")')
    there = show('[[bool(side.exists(path)) for path in ("/us/orders", "/eu/orders")] for side in (us, eu)]')
    claim(there == [[True, False], [False, True]], "each ensemble has its own node only")
    say("The name of a route is listed where an operator has put a node of that name:")
    show('us.create("/eu", b"served by eu")')
    show('client.sync("/")')
    listed = show('sorted(client.get_children("/"))')
    claim(listed == ["eu", "us", "zookeeper"], "the placeholder is listed")


def one_session():
    say("== Ephemerals on both, one session")
    show('client.create("/us/worker", ephemeral=True), client.create("/eu/worker", ephemeral=True)')
    session = show("hex(client.client_id[0])")
    owners = show('[hex(client.exists(path).ephemeralOwner) for path in ("/us/worker", "/eu/worker")]')
    claim(owners == [session, session], "both owners are the session of the client")
    say("On eu the session is another, which the sidecar opened for this client and keeps alive; other")
    say("clients see its id as the owner:")
    show('eu.sync("/")')
    real = show('hex(eu.exists("/eu/worker").ephemeralOwner)')
    claim(real != session, "the owner on eu is the session of the leg")


def a_watch():
    say("== A watch across regions")
    say("This client in us watches a node of eu; a client of eu's own sidecar changes it.")
    show("from queue import Queue; events = Queue()")
    show('client.get("/eu/orders", watch=events.put)[0]')
    show(f'other = KazooClient("{sidecar_eu}"); other.start()')
    show('other.set("/eu/orders", b"4 open").version')
    event = show("events.get(timeout=10)")
    claim((event.type, event.path) == ("CHANGED", "/eu/orders"), "the watch fired")
    claim(show('client.get("/eu/orders")[0]') == b"4 open", "the read behind the event sees the change")


def transactions():
    say("== Transactions stay inside one ensemble")
    show("def commit(*paths): t = client.transaction(); [t.create(path) for path in paths]; return t.commit()")
    claim(show('commit("/eu/a", "/eu/b")') == ["/eu/a", "/eu/b"], "a transaction inside eu is applied")
    say("Across two, nothing is sent and every operation is answered with an error:")
    refused = show('commit("/us/c", "/eu/c")')
    claim(all(isinstance(error, Exception) for error in refused), "the transaction was refused")
    left = show('client.exists("/us/c"), client.exists("/eu/c")')
    claim(left == (None, None), "nothing was applied")


def latency():
    say(f"== What it costs, where the regions are {one_way} ms apart")
    client, eu_is_current = scope["client"], lambda: client.exists("/eu/orders")
    us_is_current = lambda: client.exists("/us/orders")
    rows = (
        ("write in us", us_is_current, lambda: client.set("/us/orders", b""), 50, None),
        ("read in us", us_is_current, lambda: client.get("/us/orders"), 100, None),
        ("write in eu", eu_is_current, lambda: client.set("/eu/orders", b""), 10, None),
        ("read in eu, right after work in us", eu_is_current, lambda: client.get("/eu/orders"), 10, us_is_current),
        ("read in eu, as long as it stays there", eu_is_current, lambda: client.get("/eu/orders"), 100, None),
    )
    say("Median of some calls of this client, in the order it made them:")
    for name, prepare, act, count, before_each in rows:
        prepare()
        took = []
        for _ in range(count):
            if before_each:
                before_each()
            began = time.perf_counter()
            act()
            took.append(time.perf_counter() - began)
        say(f"    {name:38} {statistics.median(took) * 1000:7.1f} ms")
    say("Writes in eu go to eu and back. So does the barrier that the sidecar puts in front of the first")
    say("read after a switch. Further reads are answered by eu's observer in us.")


def the_end():
    say("== The end of the session")
    show("client.stop()")
    show('us.sync("/"), eu.sync("/")')
    left = show('us.exists("/us/worker"), eu.exists("/eu/worker")')
    claim(left == (None, None), "both ephemerals are gone")
    scope["other"].stop()


logging.basicConfig(level=logging.ERROR)
for step in (one_namespace, one_session, a_watch, transactions, latency, the_end):
    step()
