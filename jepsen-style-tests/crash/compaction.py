#!/usr/bin/python3
"""Kills members at random moments while writes and compactions go on, and makes their stores again from their logs.

After a random delay a member (of three: one of them, sometimes all) is killed and started at once, --kills times.
Meanwhile the load of run.py writes, and some keys are changed and compacted over and over (churn.py). No revision and
no compacted revision may ever be seen lower than one that was acknowledged. At the end each acknowledged write is read
back as run.py does. Then every member is stopped and loses its storage engine: from its log, which was kept from the
first entry on, it must come to the same revision and the same HashKV.

    compaction.py --server build/release/bin/conclave --load build/release/bin/conclave-crash-load \\
      --wal build/release/bin/conclave-wal --kills 500
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import time
from typing import NamedTuple

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import grpc  # noqa: E402

from cluster import Binary, Cluster, Member, rpc, wait_until  # noqa: E402
from crash.churn import COMPACTED, LAST, Churn  # noqa: E402
from crash.run import REJOIN_WITHIN_S, CrashTest, now_us  # noqa: E402

DELAY_S = (0.05, 0.6)
ALL_PART = 0.25  # of the kills, with three members
HASH_WITHIN_S = 120
REPLAY_WITHIN_S = 300
COMPACT_REVISION = "etcd_debugging_mvcc_compact_revision"
SNAPSHOTS_INSTALLED = "conclave_snapshots_installed_total"
# Flushes of the engine come so often, and removals of what was compacted take so long, that many a kill meets one. For
# members that are behind the log keeps any number of entries, up to 64 MiB of them.
FLAGS = ("--snapshot-count=100", "--snapshot-catchup-entries=1000000000", "--compaction-batch-limit=50")
NOBODY = "http://127.0.0.1:1"


class Sum(NamedTuple):
    """What a member's store comes to."""

    revision: int
    compacted: int
    hash: int


def keep_whole_logs(cluster: Cluster) -> None:
    """Adds a learner that never starts: what it lacks, which is everything, stays in the members' logs."""
    def added() -> bool:
        with rpc.Connection(cluster.leader().client_address) as connection:
            try:
                connection.call("Cluster.MemberAdd", peerURLs=[NOBODY], isLearner=True)
            except grpc.RpcError as refusal:
                # "unhealthy cluster", until the members have been connected for a while
                if refusal.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
                return False
        return True
    wait_until(added, REJOIN_WITHIN_S, "a learner is added")
    # In this run they know that everybody had the first entries; the next one must find that out anew, and cannot.
    cluster.kill()
    cluster.start()


def read_revision(member: Member) -> int:
    """Of a linearizable read, through this member."""
    def answered() -> int:
        with rpc.Connection(member.client_address) as connection:
            try:
                return connection.call("KV.Range", key=LAST, timeout_s=1).header.revision
            except grpc.RpcError:
                return 0
    return wait_until(answered, REPLAY_WITHIN_S, f"{member.name} answers a linearizable read")


def await_removed(member: Member, compacted: int) -> None:
    """Returns once the member has removed what that compaction made dead."""
    with rpc.Connection(member.client_address) as connection:
        try:
            connection.call("KV.Compact", revision=compacted, physical=True, timeout_s=REPLAY_WITHIN_S)
        except grpc.RpcError as refusal:
            # It says so when it is done.
            assert refusal.details() == COMPACTED, f"{member.name}: {refusal.details()}"
            return
    raise AssertionError(f"{member.name} was to have compacted up to {compacted} before")


def sum_up(member: Member) -> Sum:
    """Of the newest revision, when no compaction goes on any more."""
    revision = read_revision(member)
    await_removed(member, member.metric(COMPACT_REVISION))
    with rpc.Connection(member.client_address) as connection:
        answer = connection.call("Maintenance.HashKV", revision=revision, timeout_s=HASH_WITHIN_S)
    return Sum(answer.header.revision, answer.compact_revision, answer.hash)


class CompactionTest(CrashTest):
    """The load, the churn beside it, and what was seen of their revisions."""

    def __init__(self, cluster: Cluster, load: str, rate: int, seed: int):
        super().__init__(cluster, load, (str(rate),))
        self._random = random.Random(seed)
        self.churn = Churn(cluster.endpoints, seed)
        self._revision = self.churn.revision
        self._compacted = self.churn.compacted

    def close(self) -> None:
        try:
            self.churn.close()
        finally:
            super().close()

    def kill(self, label: str) -> None:
        """A member dies, or all do, and serves again."""
        time.sleep(self._random.uniform(*DELAY_S))
        members = self._cluster.members
        victims = members if self._random.random() < ALL_PART else [self._random.choice(members)]
        began = time.monotonic()
        for member in victims:
            member.send_kill()
        for member in victims:
            member.kill()
        self._cluster.start(REJOIN_WITHIN_S)
        for member in victims:
            self._expect_not_gone_back(member)
        serves = time.monotonic()
        self._await_writes(now_us(), 1)
        assert self.churn.is_well(), "the churn has ended"
        print(f"{label}: {' '.join(member.name for member in victims)} killed; serves after "
              f"{(serves - began) * 1000:.0f} ms; revision {self._revision}, compacted {self._compacted}", flush=True)

    def _expect_not_gone_back(self, member: Member) -> None:
        """It knows of everything that was acknowledged before it is asked."""
        revision, compacted = max(self._revision, self.churn.revision), max(self._compacted, self.churn.compacted)
        self._revision, self._compacted = read_revision(member), member.metric(COMPACT_REVISION)
        assert self._revision >= revision, f"{member.name} is at revision {self._revision}, back from {revision}"
        assert self._compacted >= compacted, f"{member.name} has compacted {self._compacted}, back from {compacted}"

    def stop_load(self) -> dict:
        self.churn.close()
        assert self.churn.compactions > 0, "nothing was compacted"
        return super().stop_load()

    def replay(self, wal: str) -> bool:
        """Whether all members have the same store, and have it again after it was made from the log alone."""
        members = self._cluster.members
        before = {member.name: sum_up(member) for member in members}
        for member in members:
            status = member.terminate()
            assert status == 0, f"exit status {status} of {member.name} after SIGTERM"
        entries = [self._lose_engine(member, wal) for member in members]
        began = time.monotonic()
        self._cluster.start(REPLAY_WITHIN_S)
        after = {member.name: sum_up(member) for member in members}
        print(f"{max(entries)} entries applied again in {time.monotonic() - began:.1f} s: {after}", flush=True)
        for member in members:
            assert member.metric(SNAPSHOTS_INSTALLED) == 0, f"{member.name} took its store from another member"
        if before != after:
            print(f"before that it was {before}")
        return before == after and len(set(after.values())) == 1

    @staticmethod
    def _lose_engine(member: Member, wal: str) -> int:
        """Removes the storage engine of a member that is down; returns how many entries its log has."""
        directory = os.path.join(member.data_dir, "member")
        dump = [wal, os.path.join(directory, "wal")]
        said = subprocess.run(dump, check=True, stdout=subprocess.PIPE, text=True).stdout
        entries, start = map(int, re.search(r"^log: (\d+) entries after (\d+),", said, re.MULTILINE).groups())
        assert start == 0, f"{member.name}'s log begins after entry {start}: more was written than it keeps"
        shutil.rmtree(os.path.join(directory, "db"))
        return entries


def main() -> int:
    parser = argparse.ArgumentParser(description="kill -9 among compactions; the log must make the same store.")
    parser.add_argument("--server", required=True, help="conclave")
    parser.add_argument("--load", required=True, help="conclave-crash-load")
    parser.add_argument("--wal", required=True, help="conclave-wal")
    parser.add_argument("--members", type=int, choices=(1, 3), default=1, help="how many there are (default 1)")
    parser.add_argument("--kills", type=int, default=500, help="how often members are killed (default 500)")
    parser.add_argument("--rate", type=int, default=500, help="writes a second; a log keeps 64 MiB (default 500)")
    parser.add_argument("--seed", type=int, help="default: a fresh one")
    parser.add_argument("--keep", action="store_true", help="keep the cluster's directory")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    print(f"compaction: seed {seed}", flush=True)
    with Cluster(Binary.of(options.server), options.members, options.keep, FLAGS) as cluster:
        keep_whole_logs(cluster)
        test = CompactionTest(cluster, options.load, options.rate, seed)
        try:
            for i in range(options.kills):
                test.kill(f"kill {i + 1}/{options.kills}")
            load = test.stop_load()
            read_back = test.verify()
            same = test.replay(options.wal)
        finally:
            test.close()
    print(f"{load['acknowledged']} writes acknowledged, {load['failed']} failed, {test.churn.changes} changes and "
          f"{test.churn.compactions} compactions; {'all read back' if read_back else 'NOT ALL READ BACK'}, "
          f"the log makes {'the same store' if same else 'ANOTHER STORE'}")
    return 0 if read_back and same else 1


if __name__ == "__main__":
    sys.exit(main())
