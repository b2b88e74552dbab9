#!/usr/bin/python3
"""Every load of conclave-bench against one real member, half a second each: whether it does what it says, not how fast."""

import argparse
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from cluster import Binary, Cluster  # noqa: E402

LOADS = {
    "put": [], "range": ["--key-space=500"], "txn": ["--key-space=500"], "mixed": ["--key-space=500", "--rate=2000"],
    "watch": ["--watchers=50", "--connections=3", "--outstanding=4"], "keepalive": ["--leases=200", "--connections=2"],
}


def run(options: argparse.Namespace, cluster: Cluster, load: str, page: str) -> dict:
    command = [options.bench, f"--op={load}", f"--endpoints={cluster.endpoints[0]}", "--json", "--duration=0.5",
               "--warm-up=0.1", f"--server-pids={cluster.members[0].pid}", f"--html={page}", *LOADS[load]]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def complaints(load: str, result: dict, page: str) -> list[str]:
    """What is wrong with a run."""
    wrong = []
    if result["errors"] or result["first_error"]:
        wrong.append(f"{result['errors']} errors, the first: {result['first_error']}")
    if result["operations"] < 100:
        wrong.append(f"only {result['operations']} operations")
    if load == "mixed" and result["operations"] > 1100:
        wrong.append(f"{result['operations']} operations at 2,000 a second in half a second")
    if result["server_cpu_us_per_op"] is None or result["device_bytes_per_op"] is None:
        wrong.append("no figures of the server's")
    if not 0 < result["latency_us"]["p50"] <= result["latency_us"]["max"]:
        wrong.append(f"latencies {result['latency_us']}")
    if "</svg>" not in page:
        wrong.append("no plot on the page")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True)
    parser.add_argument("--bench", required=True)
    options = parser.parse_args()
    failed = False
    with Cluster(Binary.of(options.server)) as cluster, tempfile.TemporaryDirectory() as directory:
        for load in LOADS:
            page = os.path.join(directory, "page.html")
            result = run(options, cluster, load, page)
            with open(page, encoding="utf-8") as file:
                wrong = complaints(load, result, file.read())
            print(f"{load}: {result['operations']} operations, {result['ops_per_s']:.0f}/s, p50 "
                  f"{result['latency_us']['p50']:.0f} us, client CPU {result['client_cpu_us_per_op']:.1f} us")
            for each in wrong:
                print(f"  WRONG: {each}")
            failed = failed or bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
