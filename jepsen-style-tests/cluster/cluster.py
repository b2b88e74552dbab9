"""A cluster of 1 or 3 members in a directory of its own."""

import hashlib
import signal
import shutil
import sys
import tempfile

from cluster.binary import Binary
from cluster.member import Member
from cluster.ports import ReservedPort, reserve_ports
from cluster.waiting import wait_until

TOKEN = "conclave-tests"


def member_id(peer_url: str) -> int:
    """The id that a member with this one peer URL gets at bootstrap: see behaviour reference, section 9.1."""
    return int.from_bytes(hashlib.sha1((peer_url + TOKEN).encode()).digest()[:8], "big")


def _raise_exit(number: int, _frame: object) -> None:
    sys.exit(128 + number)


class Cluster:
    """Members m0, m1, ... in ascending order of their ids. A context manager: entering starts and awaits all of them,
    leaving kills them and removes the directory, which `keep` prevents. The directory is made in `parent`, by default
    where temporary files are."""

    def __init__(self, binary: Binary, size: int = 1, keep: bool = False, flags: tuple[str, ...] = (),
                 parent: str | None = None):
        self.binary = binary
        self.size = size
        self.members: list[Member] = []
        self.directory = ""
        self._keep = keep
        self._parent = parent
        self._flags = flags
        self._ports: list[ReservedPort] = []

    def __enter__(self) -> "Cluster":
        # SIGTERM is how a test runner ends a test: it must unwind as Ctrl-C does.
        signal.signal(signal.SIGTERM, _raise_exit)
        try:
            self._lay_out()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is not None and self.members:
            for member in self.members:
                print(f"-- the end of {self.binary.kind} {member.name}'s log:\n{member.log_tail()}", file=sys.stderr)
        self.close()

    def _lay_out(self) -> None:
        self.directory = tempfile.mkdtemp(prefix=f"conclave-test-{self.binary.kind}-", dir=self._parent)
        self._ports = reserve_ports(2 * self.size)
        numbers = [port.number for port in self._ports]
        pairs = list(zip(numbers[: self.size], numbers[self.size:]))
        # Lists of members are sorted by id; named in that order they look alike on any ports.
        pairs.sort(key=lambda pair: member_id(f"http://127.0.0.1:{pair[1]}"))
        self.members = [
            Member(self.binary, f"m{i}", self.directory, client, peer) for i, (client, peer) in enumerate(pairs)
        ]
        flags = [
            "--initial-cluster=" + ",".join(f"{member.name}={member.peer_url}" for member in self.members),
            "--initial-cluster-state=new",
            f"--initial-cluster-token={TOKEN}",
            *self._flags,
        ]
        for member in self.members:
            member.cluster_flags = flags

    @property
    def endpoints(self) -> list[str]:
        """The client addresses, "127.0.0.1:port"."""
        return [member.client_address for member in self.members]

    def start(self, timeout_s: float = 60) -> None:
        """Starts the members that do not run and returns once all are healthy."""
        for member in self.members:
            if not member.is_running():
                member.start()
        for member in self.members:
            member.wait_healthy(timeout_s)

    def kill(self) -> None:
        """kill -9 of every member, as near to at once as signals get."""
        running = [member for member in self.members if member.is_running()]
        for member in running:
            member.send_kill()
        for member in running:
            member.kill()

    def leader(self, timeout_s: float = 30) -> Member:
        """The member that the running members agree on as leader; waits for there to be one."""
        return wait_until(self._leader_now, timeout_s, f"a leader of {self.binary.kind} {self.endpoints}")

    def _leader_now(self) -> Member | None:
        from cluster import rpc  # here, for the tests of processes alone need no gRPC

        seen = set()
        for member in filter(Member.is_running, self.members):
            status = rpc.status_or_none(member.client_address)
            if status is None or status.leader == 0:
                return None
            seen.add(status.leader)
        by_id = {member_id(member.peer_url): member for member in self.members}
        return by_id.get(seen.pop()) if len(seen) == 1 else None

    def close(self) -> None:
        """Ends every member and removes what they left."""
        self.kill()
        for port in self._ports:
            port.release()
        self._ports = []
        if self._keep:
            print(f"kept {self.directory}", file=sys.stderr)
        elif self.directory:
            shutil.rmtree(self.directory, ignore_errors=True)
