"""One row on one server: a fresh cluster, a load or none, and the figures as a dictionary."""

import json
import os
import statistics
import subprocess
import time

from bench.rows import Row
from cluster import Binary, Cluster

KILL_AFTER_S = 1.0
KILL_RUN_S = 4.0  # etcd's gap after a kill is up to 3 s
IDLE_SETTLE_S = 3.0
IDLE_S = 20.0


class Runner:
    """`bench` is conclave-bench; `seconds` the length of one load; `kills` how often the leader is killed."""

    def __init__(self, bench: str, seconds: float, kills: int, page_dir: str | None = None):
        self._bench = bench
        self._seconds = seconds
        self._kills = kills
        self._page_dir = page_dir

    def measure(self, row: Row, binary: Binary) -> dict:
        """The row's figures, by their keys, and what else conclave-bench said."""
        with Cluster(binary, row.members) as cluster:
            cluster.leader()
            return {"load": self._load, "kill": self._kill, "idle": self._idle}[row.kind](row, cluster)

    def _command(self, row: Row, cluster: Cluster, seconds: float) -> list[str]:
        return [self._bench, "--json", f"--endpoints={','.join(cluster.endpoints)}", f"--duration={seconds}",
                f"--server-pids={','.join(str(member.pid) for member in cluster.members)}", *row.arguments]

    def _load(self, row: Row, cluster: Cluster) -> dict:
        command = self._command(row, cluster, self._seconds)
        if self._page_dir is not None:
            command.append(f"--html={os.path.join(self._page_dir, f'{row.name}-{cluster.binary.kind}.html')}")
        result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        result["p50_us"] = result["latency_us"]["p50"]
        return result

    def _kill(self, row: Row, cluster: Cluster) -> dict:
        """kill -9 of the leader in the middle of a load, again and again."""
        gaps = []
        for _ in range(self._kills):
            leader = cluster.leader()
            command = [argument for argument in self._command(row, cluster, KILL_RUN_S)
                       if not argument.startswith("--server-pids")]
            load = subprocess.Popen([*command, "--warm-up=0.5"], stdout=subprocess.PIPE, text=True)
            time.sleep(0.5 + KILL_AFTER_S)
            leader.kill()
            output, _ = load.communicate(timeout=60)
            gaps.append(json.loads(output)["longest_gap_ms"])
            cluster.start()
        return {"gap_median_ms": statistics.median(gaps), "gap_worst_ms": max(gaps), "gaps_ms": gaps}

    def _idle(self, row: Row, cluster: Cluster) -> dict:
        time.sleep(IDLE_SETTLE_S)
        before, began = _cpu_s(cluster), time.monotonic()
        time.sleep(IDLE_S)
        used = _cpu_s(cluster) - before
        return {"core_percent": 100 * used / (time.monotonic() - began)}


def _cpu_s(cluster: Cluster) -> float:
    """User and system time of all members so far."""
    ticks = 0
    for member in cluster.members:
        with open(f"/proc/{member.pid}/stat", encoding="ascii", errors="replace") as stat:
            fields = stat.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
