#!/usr/bin/python3
"""Kills members of a cluster under load and holds it to every write that it acknowledged.

First the leader is stopped by SIGTERM, --stop-rounds times: it must end with status 0. Then it is killed, --rounds
times. Each time writes must go on without it, and it must come back and catch up. Then all members are killed at once,
--all-rounds times. At the end each acknowledged write is read back through each member, linearizably and from the
member's own state, and the members' stores must be equal by HashKV.

    run.py --server build/release/bin/conclave --load build/release/bin/conclave-crash-load --rounds 50 --all-rounds 20
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from typing import Callable

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import grpc  # noqa: E402

from cluster import Binary, Cluster, Member, rpc, wait_until  # noqa: E402
from crash.gaps import JournalTail, longest_gap_us  # noqa: E402

RESUME_WITHIN_S = 60
REJOIN_WITHIN_S = 120
WRITES_BETWEEN_KILLS = 500
VERIFY_WITHIN_S = 600


def now_us() -> int:
    """The monotonic clock that the journal's times are of."""
    return time.monotonic_ns() // 1000


class CrashTest:
    """One run over one cluster with its load."""

    def __init__(self, cluster: Cluster, load: str, load_flags: tuple[str, ...] = ()):
        self._cluster = cluster
        self._load_program = load
        self._journal_path = os.path.join(cluster.directory, "journal")
        self._journal = JournalTail(self._journal_path)
        self._windows: list[tuple[str, int, int]] = []
        # Of a member that is down every call would fail first.
        running = [member.client_address for member in cluster.members if member.is_running()]
        endpoints = ",".join(running)
        self._load = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", load, "write", endpoints, self._journal_path, *load_flags],
            stdout=subprocess.PIPE, text=True)

    def close(self) -> None:
        self._load.kill()
        self._load.wait()
        self._load.stdout.close()
        self._journal.close()

    def _await_writes(self, since_us: int, count: int) -> None:
        def resumed() -> bool:
            assert self._load.poll() is None, "the load has ended"
            return self._journal.acknowledged_since(since_us) >= count
        wait_until(resumed, RESUME_WITHIN_S, f"{count} acknowledged writes")

    def _await_rejoined(self, member: Member) -> None:
        """The member has applied what the leader had when it was asked."""
        goal = rpc.status_or_none(self._cluster.leader(RESUME_WITHIN_S).client_address).raftAppliedIndex

        def caught_up() -> bool:
            status = rpc.status_or_none(member.client_address)
            return status is not None and status.raftAppliedIndex >= goal
        wait_until(caught_up, REJOIN_WITHIN_S, f"{member.name} applied up to {goal}")

    def stop_leader(self, label: str) -> None:
        """The leader is asked to end and does."""
        def terminate(leader: Member) -> None:
            status = leader.terminate()
            # etcd ends itself by the signal that it was sent.
            assert status == 0 or self._cluster.binary.kind == "etcd", f"exit status {status} after SIGTERM"
        self._lose_leader(label, "stopped", terminate)

    def kill_leader(self, label: str) -> None:
        """The leader dies."""
        self._lose_leader(label, "killed", Member.kill)

    def _lose_leader(self, label: str, how: str, end: Callable[[Member], None]) -> None:
        """The leader ends, writes go on, it comes back."""
        self._await_writes(now_us(), WRITES_BETWEEN_KILLS)
        leader = self._cluster.leader()
        began = now_us()
        end(leader)
        self._cluster.leader(RESUME_WITHIN_S)
        self._await_writes(now_us(), 1)
        resumed = now_us()
        leader.start()
        leader.wait_healthy(REJOIN_WITHIN_S)
        self._await_rejoined(leader)
        self._report(label, f"leader {leader.name} {how}", began, resumed)

    def kill_all(self, label: str) -> None:
        """All members die at once and come back."""
        self._await_writes(now_us(), WRITES_BETWEEN_KILLS)
        began = now_us()
        self._cluster.kill()
        self._cluster.start(REJOIN_WITHIN_S)
        self._await_writes(now_us(), 1)
        resumed = now_us()
        for member in self._cluster.members:
            self._await_rejoined(member)
        self._report(label, "all members killed", began, resumed)

    def _report(self, label: str, who: str, began_us: int, resumed_us: int) -> None:
        self._journal.read()
        gap = longest_gap_us(self._journal.times_us, began_us, resumed_us)
        self._windows.append((label.split()[0], gap, now_us() - began_us))
        print(f"{label}: {who}; no write acknowledged for {gap / 1000:.0f} ms; all well again after "
              f"{(now_us() - began_us) / 1000:.0f} ms", flush=True)

    @staticmethod
    def _answers_fresh(member: Member, fence: bytes) -> bool:
        """Whether the member answers a linearizable read; it must never answer one with less than the fence."""
        try:
            with rpc.Connection(member.client_address) as connection:
                pairs = connection.call("KV.Range", key=b"fence", timeout_s=1).kvs
        except grpc.RpcError:
            return False
        assert [pair.value for pair in pairs] == [fence], f"{member.name} answers {pairs}, after {fence!r} was written"
        return True

    def stop_load(self) -> dict:
        """Ends the load; what it says it did."""
        self._load.send_signal(signal.SIGTERM)
        said, _ = self._load.communicate(timeout=RESUME_WITHIN_S)
        return json.loads(said)

    def verify(self) -> bool:
        """Whether everything acknowledged can be read back, and the members agree."""
        for member in self._cluster.members:
            self._await_rejoined(member)
        command = [self._load_program, "verify", ",".join(self._cluster.endpoints), self._journal_path]
        read_back = subprocess.run(command, timeout=VERIFY_WITHIN_S).returncode == 0
        revision = rpc.status_or_none(self._cluster.leader().client_address).header.revision
        hashes = set()
        for member in self._cluster.members:
            with rpc.Connection(member.client_address) as connection:
                hashes.add(connection.call("Maintenance.HashKV", revision=revision, timeout_s=120).hash)
        if len(hashes) != 1:
            print(f"the members' stores differ at revision {revision}: {sorted(hashes)}")
        return read_back and len(hashes) == 1

    def summary(self, kind: str) -> dict:
        """Of the rounds of one kind, in milliseconds."""
        gaps = [gap / 1000 for which, gap, _ in self._windows if which == kind]
        rejoined = [whole / 1000 for which, _, whole in self._windows if which == kind]
        if not gaps:
            return {"rounds": 0}
        return {
            "rounds": len(gaps),
            "gap_ms": {"median": statistics.median(gaps), "worst": max(gaps), "each": gaps},
            "well_again_ms": {"median": statistics.median(rejoined), "worst": max(rejoined)},
        }


def main() -> int:
    parser = argparse.ArgumentParser(description="kill -9 under load; every acknowledged write must be read back.")
    parser.add_argument("--server", required=True, help="server program under test")
    parser.add_argument("--load", required=True, help="conclave-crash-load")
    parser.add_argument("--stop-rounds", type=int, default=1, help="how often the leader is stopped (default 1)")
    parser.add_argument("--rounds", type=int, default=3, help="how often the leader is killed (default 3)")
    parser.add_argument("--all-rounds", type=int, default=2, help="how often all members are (default 2)")
    parser.add_argument("--json", action="store_true", help="end with a line of JSON")
    parser.add_argument("--keep", action="store_true", help="keep the cluster's directory")
    options = parser.parse_args()
    with Cluster(Binary.of(options.server), 3, options.keep) as cluster:
        test = CrashTest(cluster, options.load)
        try:
            for i in range(options.stop_rounds):
                test.stop_leader(f"stop {i + 1}/{options.stop_rounds}")
            for i in range(options.rounds):
                test.kill_leader(f"leader {i + 1}/{options.rounds}")
            for i in range(options.all_rounds):
                test.kill_all(f"all {i + 1}/{options.all_rounds}")
            load = test.stop_load()
            well = test.verify()
        finally:
            test.close()
    kinds = ("stop", "leader", "all")
    summary = {"server": cluster.binary.kind, "load": load, "well": well} | {kind: test.summary(kind) for kind in kinds}
    for kind in kinds:
        if summary[kind]["rounds"]:
            gap = summary[kind]["gap_ms"]
            print(f"{kind}: gap of acknowledged writes, median {gap['median']:.0f} ms, worst {gap['worst']:.0f} ms "
                  f"over {summary[kind]['rounds']} rounds")
    print(f"{load['acknowledged']} writes acknowledged, {load['failed']} failed; "
          f"{'all read back' if well else 'NOT ALL READ BACK'}")
    if options.json:
        print(json.dumps(summary))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
