#!/usr/bin/python3
"""Measures Conclave and etcd in turn, row by row, on the same machine and disk, and prints how many times better each
figure is and whether that is what docs/performance.md asks for. Without etcd, Conclave alone.

    run.py --server build/release/bin/conclave --bench build/release/bin/conclave-bench --runs 3
"""

import argparse
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from bench.judge import format_table, judge  # noqa: E402
from bench.measure import Runner  # noqa: E402
from bench.page import write_page  # noqa: E402
from bench.rows import ROWS, Row  # noqa: E402
from cluster import Binary  # noqa: E402


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--server", required=True, help="the server under test")
    parser.add_argument("--bench", required=True, help="conclave-bench")
    parser.add_argument("--reference", default="etcd", help="the server to compare with (default: etcd, if installed)")
    parser.add_argument("--row", action="append", choices=[row.name for row in ROWS], help="may be repeated; default: all")
    parser.add_argument("--runs", type=int, default=1, help="of each row on each server")
    parser.add_argument("--seconds", type=float, default=8, help="length of one load")
    parser.add_argument("--kills", type=int, default=20, help="of the leader, for the failover row")
    parser.add_argument("--html", metavar="DIR", help="write a page, and one of plots for each load, into this directory")
    parser.add_argument("--json", metavar="FILE", help="write every measurement to this file")
    return parser.parse_args()


def references(name: str) -> list[Binary]:
    try:
        return [Binary.of(name)]
    except FileNotFoundError:
        print(f"no {name} here: Conclave alone, no ratios", file=sys.stderr)
        return []


def measure_row(runner: Runner, row: Row, binaries: list[Binary], runs: int) -> list[list[dict]]:
    """A list of runs for each server; the servers take turns, so that a slow minute of the machine hits both."""
    measured: list[list[dict]] = [[] for _ in binaries]
    for run in range(runs):
        for which, binary in enumerate(binaries):
            measured[which].append(runner.measure(row, binary))
            said = ", ".join(f"{measured[which][-1].get(figure.key) or 0:,.4g} {figure.unit}" for figure in row.figures)
            print(f"{row.name} {run + 1}/{runs} {binary.kind}: {said}", file=sys.stderr, flush=True)
    return measured


def main() -> int:
    options = parse()
    if options.html:
        os.makedirs(options.html, exist_ok=True)
    runner = Runner(options.bench, options.seconds, options.kills, options.html)
    binaries = [Binary.of(options.server), *references(options.reference)]
    verdicts, everything = [], {}
    for row in ROWS:
        if options.row and row.name not in options.row:
            continue
        measured = measure_row(runner, row, binaries, options.runs)
        everything[row.name] = {binary.kind: runs for binary, runs in zip(binaries, measured)}
        verdicts += judge(row, measured[0], measured[1] if len(measured) > 1 else [])
    print(format_table(verdicts))
    if options.html:
        print(f"plots: {write_page(verdicts, options.html)}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(everything, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
