#!/usr/bin/python3
"""A member that is far behind catches up by a snapshot, over connections that break, while the others serve.

One of three members is stopped, the others take --mebibytes of values and let go of the log. Under a steady load it is
started again; all its connections to and from the others go through forwarders, which cut them --cuts times, each time
when another equal part of the state has come through. It must go on where it was: no attempt given up, and hardly more
bytes through the forwarders than the state has. Then it must answer a linearizable read, hold every acknowledged write
and be equal to the others by HashKV. The puts' 99th percentile before and meanwhile is printed; with --strict it may at
most double. On one disk, what the member writes holds up the others' logs, which members do not do to each other:
--late-dir gives it another one.

    run.py --server build/release/bin/conclave --load build/release/bin/conclave-crash-load \\
      --bench build/release/bin/conclave-bench --mebibytes 1024 --cuts 10 --late-dir /dev/shm --strict
"""

import argparse
import dataclasses
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from catchup.forwarder import Forwarder, Line  # noqa: E402
from cluster import Binary, Cluster, Member, rpc, wait_until  # noqa: E402
from cluster.cluster import member_id  # noqa: E402
from cluster.ports import reserve_ports  # noqa: E402
from crash.run import CrashTest, now_us  # noqa: E402

VALUE_BYTES = 32 << 10
PUTS_PER_S = 400
REFUSE_S = 0.2
CAUGHT_UP_WITHIN_S = 600
SETTLED_LOOKS = 5
# How often the log is let go while the cluster is filled. Flushes cost: no more than needed, for they go on.
RELEASES = 8
# Through the forwarders may come a tenth more than the state, for the load's entries come that way too, and for each
# cut what was under way.
OVERHEAD = 1.1
LOST_BY_CUT_BYTES = 1 << 20
RATIO_MAX = 2


class ForwardedCluster(Cluster):
    """Members that reach each other by forwarders; `line` is what the last one's connections go over."""

    def __init__(self, binary: Binary, keep: bool, flags: tuple[str, ...], late_dir: str | None):
        super().__init__(binary, 3, keep, flags)
        self._forwarders: list[Forwarder] = []
        self._late_dir = late_dir

    def _lay_out(self) -> None:
        super()._lay_out()
        if self._late_dir is not None:
            self._late_dir = tempfile.mkdtemp(prefix="conclave-test-late-", dir=self._late_dir)
            self.late.data_dir = os.path.join(self._late_dir, self.late.name)
        self.line = Line(member_id(self.late.peer_url))
        for member, port in zip(self.members, reserve_ports(self.size)):
            self._ports.append(port)
            member.listen_peer_port = port.number
            self._forwarders.append(Forwarder(member_id(member.peer_url), member.peer_port, port.number, self.line))

    @property
    def late(self) -> Member:
        """The member that falls behind."""
        return self.members[-1]

    def close(self) -> None:
        self.kill()
        for forwarder in self._forwarders:
            forwarder.close()
        super().close()
        if self._late_dir is not None:
            shutil.rmtree(self._late_dir, ignore_errors=True)


@dataclasses.dataclass
class Transfer:
    """What came of it; sizes in bytes."""

    state: int
    through: int
    cuts: list[int]
    took_s: float
    given_up: int
    installed: int

    def wrong(self, cuts: int) -> list[str]:
        """What is not as it must be."""
        found = []
        if len(self.cuts) != cuts:
            found.append(f"cut {len(self.cuts)} times, not {cuts}: the state was smaller than it was taken for")
        if self.installed != 1 or self.given_up != 0:
            found.append(f"{self.installed} snapshots installed and {self.given_up} given up: expected 1 and 0")
        most = OVERHEAD * self.state + (1 + cuts) * LOST_BY_CUT_BYTES
        if self.through > most:
            found.append(f"{mebibytes(self.through)} came through, expected at most {mebibytes(most)}: it did not resume")
        return found


class CatchupTest(CrashTest):
    """The load, and how late it is served."""

    def __init__(self, cluster: ForwardedCluster, load: str):
        super().__init__(cluster, load, (str(PUTS_PER_S),))
        self._cluster: ForwardedCluster = cluster

    def quiet(self, seconds: float) -> tuple[int, int]:
        """A while in which nothing else happens; begin and end."""
        self._await_writes(now_us(), PUTS_PER_S)  # connected, and past what the beginning has delayed
        began = now_us()
        time.sleep(seconds)
        return began, now_us()

    def catch_up(self, cuts: int) -> tuple[tuple[int, int], Transfer]:
        """Starts the late member and returns once it serves; begin and end, and what came of it."""
        late, line = self._cluster.late, self._cluster.line
        size = rpc.status_or_none(self._cluster.leader().client_address).dbSize
        fence = b"%d" % size
        with rpc.Connection(self._cluster.leader().client_address) as connection:
            connection.call("KV.Put", key=b"fence", value=fence)
        before = line.bytes_in
        line.cut_at([before + size * (i + 1) // (cuts + 1) for i in range(cuts)], REFUSE_S)
        began = now_us()
        late.start()
        wait_until(lambda: self._answers_fresh(late, fence), CAUGHT_UP_WITHIN_S, f"{late.name} answers a read")
        ended = now_us()
        return (began, ended), Transfer(
            state=late.metric("conclave_snapshot_progress_bytes"), through=line.bytes_in - before,
            cuts=[count - before for count in line.cuts], took_s=(ended - began) / 1e6,
            given_up=late.metric("conclave_snapshots_receive_failed_total"),
            installed=late.metric("conclave_snapshots_installed_total"))

    def lateness(self, window: tuple[int, int]) -> dict:
        """Of the puts within the window, in milliseconds, and how many failed."""
        waits = self._journal.waits_us(*window)
        assert waits, "no put was acknowledged"
        at = {name: waits[math.ceil(len(waits) * part) - 1] / 1000 for name, part in (("p50", 0.5), ("p99", 0.99))}
        return at | {"puts": len(waits), "failed": waits.count(math.inf)}


def mebibytes(size: float) -> str:
    return f"{size / (1 << 20):.1f} MiB"


def put(cluster: Cluster, bench: str, count: int, value_bytes: int) -> None:
    """Puts so many values; hardly any key comes twice, so that little of it is garbage."""
    endpoints = ",".join(member.client_address for member in cluster.members if member.is_running())
    command = [
        bench, "--json", "--op=put", f"--endpoints={endpoints}", "--outstanding=16", "--connections=4", "--warm-up=0",
        f"--ops={count}", f"--key-space={count * 100}", f"--value-size={value_bytes}",
    ]
    said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    # A machine that is overloaded by it may hold an election; a few puts less make no difference.
    assert said["errors"] <= count // 100, f"the fill had errors: {said}"


def settle(cluster: Cluster) -> None:
    """Returns once the stores have moved around what they hold."""
    seen: list[tuple[int, ...]] = []

    def settled() -> bool:
        seen.append(tuple(rpc.status_or_none(member.client_address).dbSize
                          for member in cluster.members if member.is_running()))
        return len(seen) > SETTLED_LOOKS and len(set(seen[-SETTLED_LOOKS:])) == 1
    wait_until(settled, CAUGHT_UP_WITHIN_S, "the stores' sizes stay the same", every_s=0.5)


def lateness_text(late: dict) -> str:
    return f"p50 {late['p50']:.1f} ms, p99 {late['p99']:.1f} ms, {late['failed']} of {late['puts']} failed"


def main() -> int:
    parser = argparse.ArgumentParser(description="A member far behind catches up by snapshot over connections that break.")
    parser.add_argument("--server", required=True, help="server program under test")
    parser.add_argument("--load", required=True, help="conclave-crash-load")
    parser.add_argument("--bench", required=True, help="conclave-bench")
    parser.add_argument("--mebibytes", type=int, default=48, help="values that the member lacks (default 48)")
    parser.add_argument("--cuts", type=int, default=2, help="how often its connections are cut (default 2)")
    parser.add_argument("--quiet-s", type=float, default=5, help="how long the load is measured before (default 5)")
    parser.add_argument("--late-dir", help="where the member that catches up has its data, as on a disk of its own")
    parser.add_argument("--strict", action="store_true", help="fail if the 99th percentile more than doubles")
    parser.add_argument("--json", action="store_true", help="end with a line of JSON")
    parser.add_argument("--keep", action="store_true", help="keep the cluster's directory")
    options = parser.parse_args()
    count = max(RELEASES, (options.mebibytes << 20) // VALUE_BYTES)
    flags = (f"--snapshot-count={count // RELEASES}", "--snapshot-catchup-entries=100")
    with ForwardedCluster(Binary.of(options.server), options.keep, flags, options.late_dir) as cluster:
        cluster.leader()
        cluster.late.terminate()
        began = time.monotonic()
        put(cluster, options.bench, count, VALUE_BYTES)
        put(cluster, options.bench, count // RELEASES, 0)  # so that what is in memory is written, and not under the load
        settle(cluster)
        print(f"filled with {options.mebibytes} MiB of values and settled in {time.monotonic() - began:.1f} s", flush=True)
        test = CatchupTest(cluster, options.load)
        try:
            quiet = test.quiet(options.quiet_s)
            meanwhile, transfer = test.catch_up(options.cuts)
            load = test.stop_load()
            before, during = test.lateness(quiet), test.lateness(meanwhile)
            wrong = transfer.wrong(options.cuts) + ([] if test.verify() else ["not all read back"])
        finally:
            test.close()
    ratio = during["p99"] / before["p99"]
    if options.strict and not ratio <= RATIO_MAX:
        wrong.append(f"p99 is {ratio:.2f} times the quiet one: expected at most {RATIO_MAX}")
    print(f"a state of {mebibytes(transfer.state)} caught up in {transfer.took_s:.1f} s; {mebibytes(transfer.through)} "
          f"came through, cut {len(transfer.cuts)} times at {', '.join(map(mebibytes, transfer.cuts))}")
    print(f"{PUTS_PER_S} puts/s, before: {lateness_text(before)}; meanwhile: {lateness_text(during)}; "
          f"p99 {ratio:.2f} times as long")
    print("\n".join(wrong) or "all well")
    if options.json:
        print(json.dumps(dataclasses.asdict(transfer) | {
            "before": before, "during": during, "load": load, "wrong": wrong}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
