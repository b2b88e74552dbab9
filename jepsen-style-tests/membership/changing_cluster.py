"""A cluster whose members come and go, by the commands that an operator would give."""

import os
import shutil
import subprocess
import sys
import tempfile

from cluster import Binary, Member, rpc, wait_until
from cluster.ports import ReservedPort, reserve_ports

HEALTHY_WITHIN_S = 30
CHANGED_WITHIN_S = 30
ENDED_WITHIN_S = 15

# What a change may answer when the cluster is not ready for it: to be tried again (docs/membership.md).
NOT_NOW = ("unhealthy cluster", "not enough started members", "in sync with leader", "timed out", "no leader")


class ChangingCluster:
    """Members m0, m1, ... of which `members` are in the cluster now. A context manager: entering starts the first one,
    leaving kills all and removes the directory, which `keep` prevents."""

    def __init__(self, binary: Binary, keep: bool = False):
        self.binary = binary
        self.members: list[Member] = []
        self._keep = keep
        self._ports: list[ReservedPort] = []
        self._made = 0
        self._everybody: list[Member] = []
        self._directory = tempfile.mkdtemp(prefix="conclave-test-membership-")

    def __enter__(self) -> "ChangingCluster":
        first = self._make()
        first.cluster_flags = [f"--initial-cluster={first.name}={first.peer_url}", "--initial-cluster-state=new"]
        self.members.append(first)
        first.start()
        first.wait_healthy(HEALTHY_WITHIN_S)
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        for member in self._everybody:
            if failure is not None:
                print(f"-- the end of {member.name}'s log:\n{member.log_tail()}", file=sys.stderr)
            member.kill()
        for port in self._ports:
            port.release()
        if self._keep:
            print(f"kept {self._directory}", file=sys.stderr)
        else:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _make(self) -> Member:
        ports = reserve_ports(2)
        self._ports += ports
        member = Member(self.binary, f"m{self._made}", self._directory, ports[0].number, ports[1].number)
        self._made += 1
        self._everybody.append(member)
        return member

    @property
    def endpoints(self) -> list[str]:
        """The client addresses of the members that run."""
        return [member.client_address for member in self.members if member.is_running()]

    # ---- What an operator does. ----

    def etcdctl(self, *arguments: str) -> subprocess.CompletedProcess:
        command = ["etcdctl", "--endpoints=" + ",".join(self.endpoints), "--command-timeout=8s", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"ETCDCTL_API": "3"})

    def change(self, *arguments: str) -> None:
        """A change of membership; tried again while the cluster says that it is not ready."""
        def done() -> bool:
            result = self.etcdctl("member", *arguments)
            if result.returncode == 0:
                return True
            assert any(text in result.stderr for text in NOT_NOW), f"member {arguments}: {result.stderr}"
            return False
        wait_until(done, CHANGED_WITHIN_S, f"etcdctl member {' '.join(arguments)}", every_s=0.2)

    def id_of(self, member: Member) -> str:
        """Asked again while the answer does not name it: etcdctl 3.4 gets the local view of one member, which may not
        know yet of a change that is done, nor that it is itself no learner any more."""
        def listed() -> str | None:
            for line in self.etcdctl("member", "list").stdout.splitlines():
                fields = [field.strip() for field in line.split(",")]
                if fields[3] == member.peer_url:
                    return fields[0]
            return None
        return wait_until(listed, CHANGED_WITHIN_S, f"{member.name} in etcdctl member list", every_s=0.2)

    def add(self, learner: bool = False) -> Member:
        """Adds a member, starts it, and returns it once it serves."""
        member = self._make()
        self.change("add", member.name, f"--peer-urls={member.peer_url}", *(["--learner"] if learner else []))
        member.cluster_flags = self._joining([*self.members, member])
        member.start()
        if learner:
            self.change("promote", self.id_of(member))  # at the others: a learner would refuse
        member.wait_healthy(HEALTHY_WITHIN_S)
        self.members.append(member)
        return member

    @staticmethod
    def _joining(members: list[Member]) -> list[str]:
        cluster = ",".join(f"{member.name}={member.peer_url}" for member in members)
        return [f"--initial-cluster={cluster}", "--initial-cluster-state=existing"]

    def interrupt_joining(self) -> None:
        """A member that was not added asks the cluster who it is, in vain, and ends cleanly when it is told to."""
        member = self._make()
        member.cluster_flags = self._joining([*self.members, member])
        member.start()
        wait_until(lambda: "asking the cluster" in member.log_tail(), HEALTHY_WITHIN_S, f"{member.name} asks")
        status = member.terminate(timeout_s=5)
        assert status == 0, f"{member.name} was told to stop and ended with status {status}"
        assert "stopped before it served" in member.log_tail()

    def remove(self, member: Member) -> None:
        """Removes a member that runs: it ends by itself, and does not start again."""
        self.change("remove", self.id_of(member))
        self.members.remove(member)
        assert self._ends(member) == 0, f"{member.name} was removed and ended with status {member.exit_status}"
        # It refuses to start if its own log told it, and is told again by its peers if they did.
        member.start()
        self._ends(member)
        assert "removed from the cluster" in member.log_tail()

    def remove_dead(self, member: Member) -> None:
        """Removes a member that is down: when it comes back, its peers tell it, and it disturbs nobody."""
        member_id = self.id_of(member)
        member.kill()
        self.change("remove", member_id)
        self.members.remove(member)
        term = self._term()
        member.start()
        assert self._ends(member) == 0, f"{member.name} was removed and ended with status {member.exit_status}"
        assert "permanently removed from the cluster" in member.log_tail()
        assert self._term() == term, f"{member.name} came back and there was an election"

    def wipe(self, member: Member) -> None:
        """A member that lost its data does not start again under its old id, and says what to do."""
        member.kill()
        shutil.rmtree(member.data_dir)
        member.cluster_flags = self._joining(self.members)
        member.start()
        assert self._ends(member) == 1, f"{member.name} lost its data and started again"
        assert "etcdctl member remove" in member.log_tail()

    def forget(self, member: Member) -> None:
        """Removes a member that will not come back."""
        self.change("remove", self.id_of(member))
        self.members.remove(member)

    def _ends(self, member: Member) -> int:
        wait_until(lambda: not member.is_running(), ENDED_WITHIN_S, f"the end of {member.name}")
        return member.exit_status

    def _term(self) -> int:
        return max(rpc.status_or_none(address).raftTerm for address in self.endpoints)

    # ---- What must hold. ----

    def check_equal(self) -> None:
        """All members have the same data, once each has applied what the first one has."""
        revision = rpc.status_or_none(self.endpoints[0]).header.revision

        def hashes() -> set[int] | None:
            found = set()
            for address in self.endpoints:
                if rpc.status_or_none(address).header.revision < revision:
                    return None
                with rpc.Connection(address) as connection:
                    found.add(connection.call("Maintenance.HashKV", revision=revision).hash)
            return found
        found = wait_until(hashes, CHANGED_WITHIN_S, f"all members at revision {revision}")
        assert len(found) == 1, f"the members' stores differ at revision {revision}: {sorted(found)}"

    def missing(self, written: dict[str, str]) -> list[str]:
        """Those of the keys that a member does not have with their value, linearizably."""
        lost = []
        for address in self.endpoints:
            with rpc.Connection(address) as connection:
                response = connection.call("KV.Range", key=b"\0", range_end=b"\0", timeout_s=60)
                held = {kv.key.decode(): kv.value.decode() for kv in response.kvs}
                lost += [key for key, value in written.items() if held.get(key) != value]
        return lost
