#!/usr/bin/python3
"""How many instructions an operation costs a member, which does not depend on how busy the machine is.

One member runs under callgrind, once with --operations of a load and once with three times as many; the difference is
what the additional ones took. Each load has a figure in instructions.json: more than that by a twentieth is a
failure, less by a twentieth asks for a new figure. With --record the figures of this run are written there.

    run: instructions.py --server build/release/bin/conclave --bench build/release/bin/conclave-bench
"""

import argparse
import dataclasses
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from cluster import Binary, Cluster, Member  # noqa: E402

RECORDED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "instructions.json")
TOLERANCE = 0.05
WRAPPER = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
COMMON = ("--warm-up=0", "--duration=600", "--key-space=1000", "--value-size=256")


@dataclasses.dataclass(frozen=True)
class Load:
    """A load of conclave-bench; of a watch load each event is an operation."""

    what: str
    flags: tuple[str, ...]
    operations: int
    outstanding: int = 64


LOADS = (
    Load("put", ("--op=put",), 2000),
    Load("linearizable get", ("--op=range",), 3000),
    Load("serializable get", ("--op=range", "--serializable"), 3000),
    Load("transaction", ("--op=txn",), 1500),
    Load("watch event", ("--op=watch", "--watchers=200", "--connections=4"), 10_000, 1),
)


def collected(member: Member) -> int:
    """What callgrind says at its end."""
    with open(member.log_path, encoding="utf-8", errors="replace") as log:
        found = re.search(r"^==\d+== Collected : (\d+)$", log.read(), re.MULTILINE)
    assert found, f"{member.name} was not counted:\n{member.log_tail()}"
    return int(found[1])


def instructions_of(options: argparse.Namespace, load: Load, operations: int) -> int:
    """Of a whole run of a member with so many operations."""
    binary = dataclasses.replace(Binary.of(options.server), wrapper=WRAPPER)
    with Cluster(binary) as cluster:
        command = [options.bench, f"--endpoints={cluster.endpoints[0]}", "--json", *COMMON, *load.flags,
                   f"--outstanding={load.outstanding}", f"--ops={operations}"]
        said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        assert not said["errors"], f"{load.what}: {said['first_error']}"
        member = cluster.members[0]
        member.terminate()
        return collected(member)


def measure(options: argparse.Namespace, load: Load) -> int:
    few = instructions_of(options, load, load.operations)
    many = instructions_of(options, load, 3 * load.operations)
    return round((many - few) / (2 * load.operations))


def verdict(measured: int, recorded: int | None) -> str:
    """"ok", or what is wrong; the second kind begins with "more"."""
    if recorded is None:
        return "no figure recorded"
    if measured > recorded * (1 + TOLERANCE):
        return f"more than {recorded:,} by over {TOLERANCE:.0%}"
    if measured < recorded * (1 - TOLERANCE):
        return f"less than {recorded:,}: record it"
    return "ok"


def main() -> int:
    parser = argparse.ArgumentParser(description="Instructions per operation of a member, beside what is recorded.")
    parser.add_argument("--server", required=True, help="server program under test")
    parser.add_argument("--bench", required=True, help="conclave-bench")
    parser.add_argument("--record", action="store_true", help="write this run's figures down")
    options = parser.parse_args()
    with open(RECORDED, encoding="utf-8") as file:
        recorded = json.load(file)
    figures, failed = {}, False
    for load in LOADS:
        figures[load.what] = measure(options, load)
        said = verdict(figures[load.what], recorded.get(load.what))
        failed |= said.startswith("more")
        print(f"{load.what:18} {figures[load.what]:10,} instructions  {said}", flush=True)
    if options.record:
        with open(RECORDED, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=2)
            file.write("\n")
    return 1 if failed and not options.record else 0


if __name__ == "__main__":
    sys.exit(main())
