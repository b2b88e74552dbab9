#!/usr/bin/python3
"""Disks in trouble under a cluster of real members, each on a loop-mounted file system of its own.

frozen  The leader's disk freezes, --rounds times: writes must be acknowledged again within 3 s. Thawed, the old leader
        answers no stale read, and a lease that is kept alive all along never ends.
hung    A follower's disk stays frozen: the member ends itself and says why; started again it catches up.
full    A member's disk fills up, a follower's and then the leader's: it raises NOSPACE; puts and grants are refused,
        while reads, deletes and compactions go on. With space again and the alarm lifted, puts succeed.

    run.py --server build/release/bin/conclave --load build/release/bin/conclave-crash-load --topic frozen --rounds 20

Needs root, for mount and fsfreeze; where they cannot be had it says so and ends with status 77, which is a skipped test.
"""

import argparse
import os
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import grpc  # noqa: E402

from cluster import Binary, Cluster, Member, rpc, wait_until  # noqa: E402
from crash.gaps import longest_gap_us  # noqa: E402
from crash.run import CrashTest, now_us  # noqa: E402
from disk.volume import Volume, why_not  # noqa: E402

VOLUME_MEBIBYTES = 512
GAP_MAX_S = 3
HANG_S = 14
WITHIN_S = 30
LEASE_TTL_S = 5
NO_SPACE = "etcdserver: mvcc: database space exceeded"
SKIPPED = 77
LAST_WORDS = "the log could not be written for 10 s: the disk of"


class VolumeCluster(Cluster):
    """Every member's data directory is a volume."""

    def __init__(self, binary: Binary, size: int, keep: bool):
        super().__init__(binary, size, keep)
        self._volumes: dict[str, Volume] = {}

    def _lay_out(self) -> None:
        super()._lay_out()
        for member in self.members:
            self._volumes[member.name] = Volume(member.data_dir, VOLUME_MEBIBYTES)
            member.data_dir = os.path.join(member.data_dir, "data")  # beside the file system's own lost+found

    def volume(self, member: Member) -> Volume:
        return self._volumes[member.name]

    def others(self, member: Member) -> list[Member]:
        return [other for other in self.members if other is not member]

    def follower(self) -> Member:
        return self.others(self.leader())[0]

    def close(self) -> None:
        for volume in self._volumes.values():
            volume.thaw()  # or nothing ends that waits for it
        self.kill()
        for volume in self._volumes.values():
            volume.close()
        super().close()


class KeptLease:
    """A lease that is renewed every second through whichever member answers; it must never be found gone."""

    def __init__(self, cluster: Cluster):
        self._cluster = cluster
        self._ended = threading.Event()
        self.lost = ""
        with rpc.Connection(cluster.endpoints[0]) as connection:
            self._id = connection.call("Lease.LeaseGrant", TTL=LEASE_TTL_S).ID
        self._thread = threading.Thread(target=self._keep)
        self._thread.start()

    def _keep(self) -> None:
        while not self._ended.wait(1):
            for address in self._cluster.endpoints:
                if self._renew(address):
                    break

    def _renew(self, address: str) -> bool:
        try:
            with rpc.Connection(address) as connection:
                requests = iter([rpc.request_of("Lease.LeaseKeepAlive", ID=self._id)])
                answer = next(iter(connection.stream("Lease.LeaseKeepAlive", requests, timeout_s=1)))
        except (grpc.RpcError, StopIteration):
            return False
        if answer.TTL == 0:
            self.lost = f"{address} says that the lease is gone"
        return True

    def close(self) -> None:
        self._ended.set()
        self._thread.join()


class DiskTest(CrashTest):
    """One run of one topic, under load."""

    def __init__(self, cluster: VolumeCluster, load: str):
        super().__init__(cluster, load)
        self._cluster: VolumeCluster = cluster

    # ---- Frozen. ----

    def freeze_leader(self, label: str, fence: bytes) -> float:
        """One round; returns the gap of acknowledged writes in seconds."""
        self._await_writes(now_us(), 500)
        leader = self._cluster.leader()
        began = now_us()
        self._cluster.volume(leader).freeze()
        try:
            new = wait_until(lambda: self._leader_beside(leader), WITHIN_S, f"a leader beside {leader.name}")
            self._await_writes(now_us(), 200)
            with rpc.Connection(new.client_address) as connection:
                connection.call("KV.Put", key=b"fence", value=fence)
            self._answers_fresh(leader, fence)
        finally:
            self._cluster.volume(leader).thaw()
        wait_until(lambda: self._answers_fresh(leader, fence), WITHIN_S, f"{leader.name} answers again")
        self._journal.read()
        gap_s = longest_gap_us(self._journal.times_us, began, now_us()) / 1e6
        print(f"{label}: the disk of leader {leader.name} froze; no write acknowledged for {gap_s * 1000:.0f} ms",
              flush=True)
        self._await_rejoined(leader)
        return gap_s

    def _leader_beside(self, frozen: Member) -> Member | None:
        for member in self._cluster.others(frozen):
            status = rpc.status_or_none(member.client_address)
            if status is not None and status.leader == status.header.member_id:
                return member
        return None

    # ---- Hung. ----

    def hang_follower(self) -> None:
        member = self._cluster.follower()
        self._await_writes(now_us(), 500)
        self._cluster.volume(member).freeze()
        try:
            time.sleep(HANG_S)
            self._await_writes(now_us(), 500)
        finally:
            self._cluster.volume(member).thaw()
        # A thread that waits for a frozen disk keeps its process from going.
        wait_until(lambda: not member.is_running(), WITHIN_S, f"{member.name} has ended itself")
        with open(member.log_path, encoding="utf-8") as log:
            assert LAST_WORDS in log.read(), f"{member.name} does not say why it ended"
        print(f"hung: {member.name} has ended itself", flush=True)
        member.start()
        member.wait_healthy()
        self._await_rejoined(member)

    # ---- Full. ----

    def fill(self, label: str, member: Member) -> None:
        self._await_writes(now_us(), 500)
        with rpc.Connection(member.client_address) as connection:
            for each in self._cluster.members:
                connection.call("KV.Put", key=each.name.encode(), value=b"to be deleted")
        self._cluster.volume(member).fill()
        for each in self._cluster.members:
            wait_until(lambda: self._alarms(each), WITHIN_S, f"{each.name} knows that {member.name} is out of space")
        for each in self._cluster.members:
            self._expect_no_growth(each)
        self._cluster.volume(member).empty()
        wait_until(self._lift_alarms, WITHIN_S, "the alarm is lifted for good")
        self._await_writes(now_us(), 500)
        print(f"{label}: the disk of {member.name} was full and is not any more", flush=True)

    @staticmethod
    def _alarms(member: Member) -> list:
        with rpc.Connection(member.client_address) as connection:
            return list(connection.call("Maintenance.Alarm").alarms)

    @staticmethod
    def _expect_no_growth(member: Member) -> None:
        with rpc.Connection(member.client_address) as connection:
            for name, fields in (("KV.Put", {"key": b"k", "value": b"v"}), ("Lease.LeaseGrant", {"TTL": 60})):
                try:
                    connection.call(name, **fields)
                    raise AssertionError(f"{member.name} takes a {name} without space")
                except grpc.RpcError as refusal:
                    assert refusal.details() == NO_SPACE, f"{name}: {refusal.details()}"
            assert connection.call("KV.DeleteRange", key=member.name.encode()).deleted == 1
            revision = connection.call("KV.Range", key=b"k").header.revision
            connection.call("KV.Compact", revision=revision)

    def _lift_alarms(self) -> bool:
        """As a person would; the member looks only once a second whether it has space."""
        member = self._cluster.members[0]
        with rpc.Connection(member.client_address) as connection:
            for alarm in self._alarms(member):
                connection.call("Maintenance.Alarm", action="DEACTIVATE", memberID=alarm.memberID, alarm=alarm.alarm)
        time.sleep(2.5)
        return not self._alarms(member)


def frozen(cluster: VolumeCluster, test: DiskTest, rounds: int) -> bool:
    lease = KeptLease(cluster)
    try:
        gaps = [test.freeze_leader(f"frozen {i + 1}/{rounds}", b"%d" % i) for i in range(rounds)]
    finally:
        lease.close()
    print(f"frozen: gap median {statistics.median(gaps) * 1000:.0f} ms, worst {max(gaps) * 1000:.0f} ms "
          f"over {rounds} rounds; {lease.lost or 'the lease lives'}")
    return max(gaps) <= GAP_MAX_S and not lease.lost


def hung(_: VolumeCluster, test: DiskTest, __: int) -> bool:
    test.hang_follower()
    return True


def full(cluster: VolumeCluster, test: DiskTest, _: int) -> bool:
    test.fill("full 1/2", cluster.follower())
    test.fill("full 2/2", cluster.leader())
    return True


TOPICS = {"frozen": frozen, "hung": hung, "full": full}


def main() -> int:
    parser = argparse.ArgumentParser(description="Frozen, hung and full disks under real members.")
    parser.add_argument("--server", required=True, help="server program under test")
    parser.add_argument("--load", required=True, help="conclave-crash-load")
    parser.add_argument("--topic", action="append", choices=TOPICS, help="only this one; may be repeated")
    parser.add_argument("--rounds", type=int, default=3, help="how often the leader's disk freezes (default 3)")
    parser.add_argument("--keep", action="store_true", help="keep the cluster's directory")
    options = parser.parse_args()
    reason = why_not()
    if reason is not None:
        print(f"disk: skipped: {reason}")
        return SKIPPED
    for topic in options.topic or TOPICS:
        with VolumeCluster(Binary.of(options.server), 3, options.keep) as cluster:
            test = DiskTest(cluster, options.load)
            try:
                well = TOPICS[topic](cluster, test, options.rounds)
                load = test.stop_load()
                well = test.verify() and well
            finally:
                test.close()
        print(f"{topic}: {load['acknowledged']} writes acknowledged; {'well' if well else 'NOT WELL'}", flush=True)
        if not well:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
