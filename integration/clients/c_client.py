"""The stock C client: its library by c_client.c, and its command line cli_mt as it comes."""

import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading

from common import HERE, Failure, Sides, arguments, check, client, run

CLI = "/usr/lib/zookeeper/bin/cli_mt"


def library(args, sides):
    with tempfile.TemporaryDirectory() as scratch:
        program = os.path.join(scratch, "c_client")
        subprocess.run(["cc", "-O1", "-g", "-Wall", "-Wextra", "-o", program, str(HERE / "c_client.c"), "-lzookeeper_mt", "-pthread"],
                       check=True)
        done = subprocess.run([program, args.connect, *sides.both, args.expect, str(args.session_timeout), str(args.ops)],
                              capture_output=True, text=True, timeout=args.limit)
    check(done.returncode == 0, f"c_client ended with {done.returncode} (negative: killed by that signal):\n{done.stderr}")
    return json.loads(done.stdout)


class Cli:
    """cli_mt prompts for nothing and answers when it likes; so wait for what is expected."""

    def __init__(self, address, patience):
        self.process = subprocess.Popen([CLI, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, bufsize=1)
        self.lines, self.patience, self.seen = queue.Queue(), patience, []
        threading.Thread(target=lambda: [self.lines.put(line) for line in self.process.stdout], daemon=True).start()

    def until(self, text):
        while True:
            try:
                line = self.lines.get(timeout=self.patience)
            except queue.Empty:
                raise Failure(f"cli_mt never printed {text!r}, but:\n{''.join(self.seen)}") from None
            self.seen.append(line)
            if text in line:
                return line

    def ask(self, command, *expected):
        self.process.stdin.write(command + "\n")
        for text in expected:
            self.until(text)


def command_line(args, sides):
    cli = Cli(args.connect, args.patience)
    try:
        cli.until("Got a new session id")
        for path in sides.both:
            cli.ask(f"create {path}/cli", f"[{path}/cli]: rc = 0")
            cli.ask(f"set {path}/cli word", "rc = 0")
            cli.ask(f"get {path}/cli", "rc = 0", "value_len = 4", "word")
            cli.ask(f"ls {path}", f"{path}: rc = 0", "cli")
            cli.ask(f"sync {path}", "rc = 0")
            cli.ask(f"delete {path}/cli", f"DELETED_EVENT state = CONNECTED_STATE for path {path}/cli", f"CHILD_EVENT state = CONNECTED_STATE for path {path}", f"{path}/cli: rc = 0")
        cli.ask("quit", "Quitting")
        cli.process.wait(args.patience)
    finally:
        cli.process.kill()
    return "ran"


def main(args):
    c = client(args.connect, auth_data=[("digest", "anne:a")])
    sides = Sides(args, c, "c")
    result = library(args, sides)
    if shutil.which(CLI):
        for path in sides.both:
            c.sync(path)
        result["cli_mt"] = command_line(args, sides)
    sides.clean(c)
    return result


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--expect", choices=["refused", "applied"], default="refused",
                        help="`applied` when one ensemble serves both prefixes")
    parser.add_argument("--session-timeout", type=int, default=4000, help="milliseconds")
    parser.add_argument("--ops", type=int, default=2000)
    run(main, parser)
