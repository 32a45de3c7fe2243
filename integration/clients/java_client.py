"""The stock Java client: watches of all kinds and their removal, the requests kazoo lacks, pipelined
operations, and watches set again after its connection was cut. See JavaClient.java."""

import json

from common import arguments, check, java, run

PARTS = ["watches", "requests", "async", "reconnect"]


def main(args):
    results = {}
    for part in args.parts:
        done = java("JavaClient.java", part, args.connect, args.local.rstrip("/"), args.remote.rstrip("/"),
                    args.expect, str(args.seed), patience=args.limit)
        check(done.returncode == 0, f"part {part}:\n{done.stdout}{done.stderr}")
        results[part] = json.loads(done.stdout.splitlines()[-1])
    return results


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--expect", choices=["refused", "applied"], default="refused",
                        help="`applied` when one ensemble serves both prefixes")
    parser.add_argument("--seed", type=int, default=1)
    run(main, parser)
