#!/usr/bin/python3
"""Measures two servers in turn with the same load on the same disk: three members each, 64 calls outstanding.

Runs alternate between the servers (A B A B ...) and the best of each counts, so that a disturbance of the machine does
not decide. Each cluster runs alone. See docs/benchmarks.md for what the figures mean.

    compare.py --bench build/release/bin/conclave-bench --server build/release/bin/conclave --reference etcd
"""

import argparse
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from cluster import Binary, Cluster  # noqa: E402

LOADS = ("put", "range", "mixed")


def measure(binary: Binary, options: argparse.Namespace, load: str) -> dict:
    """One run of one load against a fresh cluster: what conclave-bench says in JSON."""
    with Cluster(binary, options.members) as cluster:
        cluster.leader()
        command = [
            options.bench, "--json", f"--op={load}", f"--endpoints={','.join(cluster.endpoints)}",
            f"--outstanding={options.outstanding}", f"--duration={options.seconds}",
            f"--key-size={options.key_size}", f"--value-size={options.value_size}",
            f"--server-pids={','.join(str(member.pid) for member in cluster.members)}",
        ]
        if options.target_leader:
            command.append("--target-leader")
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def best(runs: list[dict]) -> dict:
    return max(runs, key=lambda run: run["ops_per_s"])


def row(name: str, run: dict) -> str:
    latency, cpu = run["latency_us"], run["server_cpu_us_per_op"]
    cpu_text = f"{cpu:12.1f}" if cpu is not None else f"{'-':>12}"
    return (f"{name:12} {run['ops_per_s']:10.0f} {latency['p50']:10.0f} {latency['p99']:10.0f} "
            f"{latency['p99.9']:10.0f} {latency['max']:10.0f} {cpu_text} {run['errors']:7}")


def ratios(subject: dict, reference: dict) -> dict:
    """How many times better the subject is; above 1 is better in each."""
    def over(upper: float | None, lower: float | None) -> float | None:
        return upper / lower if upper and lower else None
    return {
        "ops_per_s": over(subject["ops_per_s"], reference["ops_per_s"]),
        "p50": over(reference["latency_us"]["p50"], subject["latency_us"]["p50"]),
        "p99": over(reference["latency_us"]["p99"], subject["latency_us"]["p99"]),
        "server_cpu": over(reference["server_cpu_us_per_op"], subject["server_cpu_us_per_op"]),
    }


def print_table(load: str, names: list[str], runs: list[dict], better: dict) -> None:
    print(f"\n{load}: {runs[0]['outstanding']} outstanding on {runs[0]['connections']} connections, "
          f"keys of {runs[0]['key_size']} and values of {runs[0]['value_size']} bytes")
    print(f"{'':12} {'ops/s':>10} {'p50 us':>10} {'p99 us':>10} {'p99.9 us':>10} {'max us':>10} {'CPU us/op':>12} "
          f"{'errors':>7}")
    for name, run in zip(names, runs):
        print(row(name, run))
    said = ", ".join(f"{what} {ratio:.2f}x" for what, ratio in better.items() if ratio is not None)
    print(f"{names[0]} is better by: {said}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Two servers under the same load, in turn.")
    parser.add_argument("--server", required=True, help="server program under test")
    parser.add_argument("--reference", default="etcd", help="server program to compare with (default: etcd)")
    parser.add_argument("--bench", required=True, help="conclave-bench")
    parser.add_argument("--load", action="append", choices=LOADS, help="default: put; may be repeated")
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--outstanding", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--runs", type=int, default=3, help="runs of each server; the best counts")
    parser.add_argument("--key-size", type=int, default=16)
    parser.add_argument("--value-size", type=int, default=256)
    parser.add_argument("--target-leader", action="store_true", help="all calls to the leader")
    parser.add_argument("--json", action="store_true", help="end with a line of JSON: all runs")
    options = parser.parse_args()
    binaries = [Binary.of(options.server), Binary.of(options.reference)]
    names = [binary.kind for binary in binaries]
    everything = {}
    for load in options.load or ["put"]:
        runs: list[list[dict]] = [[], []]
        for _ in range(options.runs):
            for which, binary in enumerate(binaries):
                runs[which].append(measure(binary, options, load))
                print(f"{load} {row(names[which], runs[which][-1])}", file=sys.stderr, flush=True)
        chosen = [best(each) for each in runs]
        better = ratios(*chosen)
        print_table(load, names, chosen, better)
        everything[load] = {"subject": runs[0], "reference": runs[1], "better": better}
    if options.json:
        print(json.dumps({"names": names, "loads": everything}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
