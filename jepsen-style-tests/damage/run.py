#!/usr/bin/python3
"""Flips bytes in the tables of a member that runs, under load: it must end, and come back with its state made anew.

Of three members one loses its tables in each of --rounds rounds, the leader and a follower in turn. Whoever of them
reads a damaged block ends by itself, and says why. Started again it must fetch the state of another member, answer a
linearizable read and apply what the others have applied. So must one that has seen all others move to other addresses
since it began. At the end each acknowledged write is read back through each
member and the stores must be equal by HashKV. Then, with --alone, the same of a member by itself: its log is whole, so
that it needs nobody.

    run.py --server build/release/bin/conclave --load build/release/bin/conclave-crash-load --rounds 6 --alone
"""

import argparse
import glob
import os
import shutil
import sys
from typing import Callable

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import grpc  # noqa: E402

from cluster import Binary, Cluster, Member, rpc, wait_until  # noqa: E402
from cluster.cluster import member_id  # noqa: E402
from cluster.member import HOST  # noqa: E402
from cluster.ports import reserve_ports  # noqa: E402
from crash.run import CrashTest, now_us  # noqa: E402

# Logs that are let go soon, so that they do not hold the whole state.
SHORT_LOGS = ("--snapshot-count=500", "--snapshot-catchup-entries=100")
WRITES_BEFORE_DAMAGE = 3000
NOTICED_WITHIN_S = 60
FOOTER_BYTES = 48


def tables(member: Member) -> list[str]:
    return sorted(glob.glob(os.path.join(member.data_dir, "member", "db", "db-*", "*.ldb")))


def spoil(path: str) -> None:
    """Turns over every 256th byte of a table but its footer, which is read when it is opened."""
    try:
        with open(path, "r+b", buffering=0) as table:
            for at in range(0, os.fstat(table.fileno()).st_size - FOOTER_BYTES, 256):
                byte = os.pread(table.fileno(), 1, at)
                if not byte:
                    break  # compacted away meanwhile: its space goes part by part
                os.pwrite(table.fileno(), bytes([byte[0] ^ 0xff]), at)
    except FileNotFoundError:
        pass  # compacted away meanwhile


def read_everything(member: Member) -> None:
    """From the member's own state; it may well end meanwhile."""
    try:
        with rpc.Connection(member.client_address) as connection:
            connection.call("KV.Range", key=b"\0", range_end=b"\0", serializable=True, timeout_s=10)
    except grpc.RpcError:
        pass


def said(member: Member, words: str) -> bool:
    with open(member.log_path, encoding="utf-8", errors="replace") as log:
        return words in log.read()


def expect_said(member: Member, words: str) -> None:
    assert said(member, words), f"{member.name} does not say {words!r}:\n{member.log_tail()}"


def damage(member: Member) -> None:
    """The member's tables go bad, and it has noticed: it is gone."""
    wait_until(lambda: tables(member), NOTICED_WITHIN_S, f"a table of {member.name}")

    def ended() -> bool:
        for path in tables(member):
            spoil(path)
        read_everything(member)
        return not member.is_running()
    wait_until(ended, NOTICED_WITHIN_S, f"the end of {member.name}")
    member.kill()
    expect_said(member, "Corruption: ")


class DamageTest(CrashTest):
    """Rounds of damage over one cluster with its load."""

    def await_writes(self, count: int) -> None:
        self._await_writes(now_us(), count)

    def damage_one(self, label: str, member: Member, note: str) -> None:
        """Ends with the member well again."""
        self.await_writes(WRITES_BEFORE_DAMAGE)
        began = now_us()
        damage(member)
        member.start()
        member.wait_healthy()
        expect_said(member, note)
        self.await_writes(1)
        resumed = now_us()
        self._await_rejoined(member)
        self._report(label, f"tables of {member.name} damaged", began, resumed)


def follower(cluster: Cluster) -> Member:
    leader = cluster.leader()
    return next(member for member in cluster.members if member is not leader)


def one_of_three(cluster: Cluster, test: DamageTest, rounds: int) -> None:
    for i in range(rounds):
        member = cluster.leader() if i % 2 == 0 else follower(cluster)
        test.damage_one(f"damage {i + 1}/{rounds}", member, "the state is fetched from another member")


def move(cluster: Cluster, member: Member, port: int) -> None:
    """The member goes to another peer address, as its operator would do it."""
    leader = cluster.leader()
    with rpc.Connection(leader.client_address) as connection:
        connection.call("Cluster.MemberUpdate", ID=member_id(member.peer_url), peerURLs=[f"http://{HOST}:{port}"])
    member.terminate()
    member.listen_peer_port = port
    member.start()
    member.wait_healthy()


def lead(cluster: Cluster, member: Member) -> None:
    """The member leads in the end."""
    leader = cluster.leader()
    if leader is not member:
        with rpc.Connection(leader.client_address) as connection:
            connection.call("Maintenance.MoveLeader", targetID=member_id(member.peer_url))
        wait_until(lambda: cluster.leader() is member, NOTICED_WITHIN_S, f"{member.name} to lead")


def away_during_a_move(cluster: Cluster, member: Member, moved: Member, leader: Member, port: int) -> None:
    """The member loses its state while another moves: what it knew last is wrong, the state that it fetches is right."""
    member.kill()
    move(cluster, moved, port)
    lead(cluster, leader)
    shutil.rmtree(os.path.join(member.data_dir, "member", "db"))
    os.remove(member.log_path)
    member.start()
    member.wait_healthy()
    wait_until(lambda: said(member, f"connected to member {member_id(moved.peer_url):x}"), NOTICED_WITHIN_S,
               f"{member.name} to find {moved.name}")


def after_a_move(cluster: Cluster, test: DamageTest, _rounds: int) -> None:
    """The state is lost of a member that saw all others move, in entries which its log has let go since."""
    member, *others = cluster.members
    ports = reserve_ports(len(others) + 1)
    for other, port in zip(others, ports):
        move(cluster, other, port.number)
    test.damage_one("after a move", member, "the state is fetched from another member")
    away_during_a_move(cluster, member, others[0], others[1], ports[-1].number)
    for port in ports:
        port.release()


def alone(cluster: Cluster, test: DamageTest, _rounds: int) -> None:
    """Once: its log is cut when its state has been made from it."""
    test.await_writes(WRITES_BEFORE_DAMAGE)
    member = cluster.members[0]
    member.terminate()  # which makes tables of all that it has
    member.start()
    member.wait_healthy()
    test.damage_one("alone", member, "the whole log is applied again")


def run(options: argparse.Namespace, members: int, flags: tuple[str, ...],
        rounds: Callable[[Cluster, DamageTest, int], None]) -> bool:
    with Cluster(Binary.of(options.server), members, options.keep, flags) as cluster:
        test = DamageTest(cluster, options.load)
        try:
            rounds(cluster, test, options.rounds)
            load = test.stop_load()
            well = test.verify()
        finally:
            test.close()
    print(f"{members} members: {load['acknowledged']} writes acknowledged; "
          f"{'all read back' if well else 'NOT ALL READ BACK'}", flush=True)
    return well


def main() -> int:
    parser = argparse.ArgumentParser(description="Damaged tables under load; the state must be made anew.")
    parser.add_argument("--server", required=True, help="server program under test")
    parser.add_argument("--load", required=True, help="conclave-crash-load")
    parser.add_argument("--rounds", type=int, default=2, help="how often a member's tables are damaged (default 2)")
    parser.add_argument("--alone", action="store_true", help="and once those of a member by itself")
    parser.add_argument("--keep", action="store_true", help="keep the cluster's directory")
    options = parser.parse_args()
    well = run(options, 3, SHORT_LOGS, one_of_three)
    well &= run(options, 3, SHORT_LOGS, after_a_move)
    if options.alone:
        well &= run(options, 1, (), alone)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
