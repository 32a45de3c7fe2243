"""The stock command line, fed by stdin: every command of it on both prefixes.

Between two commands it is asked for a node that does not exist, whose name then marks the place in
its output; as that name is home's, every command on the remote side is also a switch.
"""

import re
import shutil
import subprocess

from common import JARS, JAVA_FLAGS, Failure, Sides, arguments, check, client, run

MAIN = "org.apache.zookeeper.ZooKeeperMain"
ZKCLI = "/usr/share/zookeeper/bin/zkCli.sh"


def session_on(path):
    """(command, what its output must match); the children are listed in the order of their names."""
    return [
        (f"create {path}/n one", rf"^Created {path}/n$"),
        (f"create {path}/n again", rf"^Node already exists: {path}/n$"),
        (f"get {path}/n", r"^one$"),
        (f"get -s {path}/n", r"^one\ncZxid = 0x[0-9a-f]+\n(.*\n)*dataVersion = 0\n"),
        (f"set {path}/n two", r"^$"),
        (f"set -s -v 1 {path}/n three", r"dataVersion = 2\n"),
        (f"set -v 1 {path}/n never", r"version No is not valid"),
        (f"stat {path}/n", r"dataVersion = 2\n(.*\n)*ephemeralOwner = 0x0\ndataLength = 5\nnumChildren = 0"),
        (f"create -e {path}/n/e x", rf"^Created {path}/n/e$"),
        (f"stat {path}/n/e", r"ephemeralOwner = (?P<owner>0x[0-9a-f]+)"),
        (f"create -e {path}/n/e/below x", r"Ephemerals cannot have children"),
        (f"create -s {path}/n/s- x", rf"^Created {path}/n/s-0000000001$"),
        (f"create -s -e {path}/n/s- x", rf"^Created {path}/n/s-0000000002$"),
        (f"create -c {path}/n/c", rf"^Created {path}/n/c$"),
        (f"ls {path}/n", r"^\[c, e, s-0000000001, s-0000000002\]$"),
        (f"ls -s {path}/n", r"^\[c, e, s-0000000001, s-0000000002\]\ncZxid(.*\n)*numChildren = 4"),
        (f"ls -R {path}/n", rf"^{path}/n\n{path}/n/c\n{path}/n/e\n{path}/n/s-0000000001\n{path}/n/s-0000000002$"),
        (f"getEphemerals {path}/n", rf"^\[({path}/n/e, {path}/n/s-0000000002|{path}/n/s-0000000002, {path}/n/e)\]$"),
        (f"getAllChildrenNumber {path}/n", r"^4$"),
        (f"sync {path}/n", r"^Sync is OK$"),
        (f"addWatch -m PERSISTENT_RECURSIVE {path}/n/c", r"^$"),
        (f"create {path}/n/c/w 1", rf"^Created {path}/n/c/w$"),
        (f"set {path}/n/c/w 2", r""),
        (f"removewatches {path}/n/c -a", r""),
        (f"set {path}/n/c/w 3", r""),
        (f"removewatches {path}/n/c -a", r"No.*watch"),
        (f"get -w {path}/n/c/w", r"^3$"),
        (f"set {path}/n/c/w 4", r""),
        ("addauth digest anne:a", r"^$"),
        (f"create {path}/n/p v auth::cdrwa", rf"^Created {path}/n/p$"),
        (f"getAcl {path}/n/p", r"^'digest,'anne:\S+=\n: cdrwa$"),
        (f"setAcl {path}/n/p world:anyone:cdrwa", r"^$"),
        (f"getAcl -s {path}/n/p", r"^'world,'anyone\n: cdrwa\n(.*\n)*aclVersion = 1\n"),
        (f"listquota {path}/n", rf"quota for {path}/n does not exist"),
        (f"get {path}/n/none", rf"^Node does not exist: {path}/n/none$"),
        (f"delete {path}/n", rf"^Node not empty: {path}/n$"),
        (f"delete -v 7 {path}/n/p", r"version No is not valid"),
        (f"delete {path}/n/p", r"^$"),
        (f"deleteall {path}/n", r"^$"),
        (f"ls {path}", r"^\[\]$"),
    ]


EVENTS = ["NodeCreated path:{}/n/c/w", "NodeDataChanged path:{}/n/c/w", "NodeDataChanged path:{}/n/c/w"]


def cli(args, commands):
    script = "".join(f"{command}\nstat /marker-{index}\n" for index, (command, _) in enumerate(commands)) + "quit\n"
    done = subprocess.run(
        ["java", *JAVA_FLAGS, "-cp", JARS, MAIN, "-waitforconnection", "-timeout", "10000", "-server", args.connect],
        input=script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=args.limit,
    )
    return done.stdout  # its exit code is that of its last command only


def without_events(text):
    """Events are printed by another thread, anywhere; they are looked at separately."""
    text = re.sub(r"\n?WATCHER::\n\nWatchedEvent [^\n]*\n", "", text)
    return re.sub(r"(?m)^(SLF4J:.*|Connecting to .*|Welcome to .*|JLine support .*)\n", "", text)


def judge(args, commands):
    output = cli(args, commands)
    owners, rest = [], without_events(output)
    for index, (command, pattern) in enumerate(commands):
        found, marker, rest = rest.partition(f"Node does not exist: /marker-{index}\n")
        if not marker:
            raise Failure(f"zkCli stopped at {command!r}:\n{output}")
        match = re.search(pattern, found.strip("\n"), re.MULTILINE)
        check(match and (pattern != "^$" or not found.strip()), f"{command!r}: printed {found!r}, expected {pattern!r}")
        owners += match.groupdict().values()
    return output, owners


def main(args):
    c = client(args.connect)
    sides = Sides(args, c, "zkcli")
    commands = [pair for both in zip(*(session_on(path) for path in sides.both)) for pair in both]
    output, owners = judge(args, commands)
    check(len(owners) == 2 and owners[0] == owners[1] != "0x0", f"owners of the ephemerals on the two sides: {owners}")
    for path in sides.both:
        found = re.findall(rf"WatchedEvent state:SyncConnected type:((?:Node\w+) path:{path}\S*)", output)
        wanted = [event.format(path) for event in EVENTS]
        check(found == wanted, f"events: found {found}, expected {wanted}")
    check("WARN" not in output and "Exception" not in output, f"zkCli complains:\n{output}")
    script = None
    if shutil.which(ZKCLI):
        # The script as the operator calls it, with the command on its command line.
        done = subprocess.run([ZKCLI, "-server", args.connect, "ls", sides.remote], capture_output=True, text=True,
                              timeout=args.limit)
        check("[]" in done.stdout.splitlines(), f"zkCli.sh ls printed {done.stdout!r} {done.stderr!r}")
        script = "zkCli.sh"
    c.sync(sides.remote)
    sides.clean(c)
    return {"commands": len(commands), "owner": owners[0], "script": script}


if __name__ == "__main__":
    run(main, arguments(__doc__))
