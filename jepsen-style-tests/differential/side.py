"""One of the two clusters that are compared, with the etcdctl processes that talk to it."""

import os
import re
import shlex
import signal
import subprocess
import tempfile

import grpc

from cluster import Cluster, Member, wait_until
from cluster import rpc
from cluster.cluster import member_id
from differential.normalise import Normaliser

ETCDCTL = "etcdctl"
FILLER_KEY = b"\x00align"
ALL_KEYS = {"key": b"\x00", "range_end": b"\x00"}


class Command:
    """A running etcdctl, whose output goes to files, so that nothing blocks and all can be read at any time."""

    def __init__(self, arguments: list[str], directory: str, environment: dict[str, str]):
        self._stdout = tempfile.NamedTemporaryFile(dir=directory, prefix="out-")
        self._stderr = tempfile.NamedTemporaryFile(dir=directory, prefix="err-")
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", ETCDCTL, *arguments],
            stdin=subprocess.PIPE, stdout=self._stdout, stderr=self._stderr, env=environment, start_new_session=True)

    def write(self, text: str) -> None:
        try:
            self._process.stdin.write(text.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended early, which its exit status will show

    def close_input(self) -> None:
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass

    def signal(self, number: int) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self, timeout_s: float) -> int | str:
        """The exit status; one that had to be killed says so instead."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"still running after {timeout_s:g} s"

    def kill(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)  # with what `lock` or `watch` run for it
        except ProcessLookupError:
            pass
        self._process.wait()

    @staticmethod
    def _read(file) -> str:
        with open(file.name, encoding="utf-8", errors="backslashreplace") as stream:
            return stream.read()

    @property
    def stdout(self) -> str:
        return self._read(self._stdout)

    @property
    def stderr(self) -> str:
        return self._read(self._stderr)


class Side:
    """A cluster under comparison. Steps ask it to run things; `variables` are what they may refer to in braces."""

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self.variables: dict[str, str] = {}
        self.commands: dict[str, Command] = {}
        self.endpoints = cluster.endpoints[:1]
        self._normaliser = Normaliser(known_names(cluster))
        self._connections = {address: rpc.Connection(address) for address in cluster.endpoints}

    @property
    def name(self) -> str:
        return self.cluster.binary.kind

    def normalise(self, text: str, any_order: bool = False) -> str:
        return self._normaliser.text(text, any_order)

    def connection(self) -> rpc.Connection:
        """A channel to the member that the case is asked of."""
        return self._connections[self.endpoints[0]]

    # ---- cases ----

    def begin_case(self, via: str) -> None:
        """Empties the store, makes m0 the leader and chooses whom the case asks: leader, follower or all."""
        self._normaliser.forget()
        self._lead_from(self.cluster.members[0])
        self.endpoints = {
            "leader": self.cluster.endpoints[:1],
            "follower": self.cluster.endpoints[1:2],
            "all": self.cluster.endpoints,
        }[via]
        connection = self.connection()
        connection.call("KV.DeleteRange", **ALL_KEYS)
        for lease in connection.call("Lease.LeaseLeases").leases:
            connection.call("Lease.LeaseRevoke", ID=lease.ID)

    def _lead_from(self, member: Member) -> None:
        leader = self.cluster.leader()
        if leader is not member:
            self._connections[leader.client_address].call("Maintenance.MoveLeader", targetID=member_id(member.peer_url))
            wait_until(lambda: self.cluster.leader() is member, 20, f"{self.name} led by {member.name}")

    def revision(self) -> int:
        return self.connection().call("KV.Range", key=b"\x00").header.revision

    def advance_to(self, revision: int) -> None:
        """Uses up revisions until the store is at this one, at least two further on, and leaves no key behind."""
        while self.revision() < revision - 1:
            self.connection().call("KV.Put", key=FILLER_KEY)
        self.connection().call("KV.DeleteRange", key=FILLER_KEY)

    def set_variables(self) -> None:
        """What a case may name in braces before it saves something itself."""
        members = self.cluster.members
        self.variables = {"rev": str(self.revision()), "all": ",".join(self.cluster.endpoints)}
        for i, member in enumerate(members):
            self.variables[f"member{i}"] = f"{member_id(member.peer_url):x}"
            self.variables[f"client{i}"] = member.client_address

    def end_case(self) -> None:
        for command in self.commands.values():
            command.kill()
        self.commands.clear()

    # ---- what steps use ----

    def expand(self, text: str) -> str:
        """Replaces {name}, and {name+N} or {name-N} for a number."""
        def value(match: re.Match) -> str:
            held = self.variables[match[1]]
            return str(int(held) + int(match[2])) if match[2] else held
        return re.sub(r"\{([a-z]\w*)([+-]\d+)?\}", value, text)

    def etcdctl(self, arguments: str, endpoints: str | None = None) -> Command:
        """Starts etcdctl with arguments as a shell would split them."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCDCTL_")}
        environment["ETCDCTL_API"] = "3"
        environment["ETCDCTL_ENDPOINTS"] = self.expand(endpoints) if endpoints else ",".join(self.endpoints)
        for flag, patient in (("--dial-timeout", "20s"), ("--command-timeout", "20s")):
            if flag not in arguments:  # the machine may be busy with a build
                environment["ETCDCTL" + flag.replace("-", "_").upper()[1:]] = patient
        return Command(shlex.split(self.expand(arguments)), self.cluster.directory, environment)

    def call(self, method: str, request) -> str:
        """A unary call, as text: the response, or the status."""
        try:
            response = self.connection().call(method, request)
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}\n"
        return message_text(response)


def message_text(message) -> str:
    """A message as text, its header without what is the server's own."""
    copy = type(message)()
    copy.CopyFrom(message)
    if "header" in copy.DESCRIPTOR.fields_by_name and copy.HasField("header"):
        for field in ("cluster_id", "member_id", "raft_term"):
            present = getattr(copy.header, field) != 0
            setattr(copy.header, field, 1 if present else 0)
    return str(copy) or "(empty)\n"


def known_names(cluster: Cluster) -> dict[str, str]:
    """The texts that name this cluster's parts, and a symbol for each."""
    names: dict[str, str] = {}
    for i, member in enumerate(cluster.members):
        number = member_id(member.peer_url)
        names[member.client_address] = f"<client{i}>"
        names[member.peer_address] = f"<peer{i}>"
        names[f"{number:x}"] = names[str(number)] = f"<member{i}>"
    status = rpc.status_or_none(cluster.endpoints[0])
    if status is not None:
        names[f"{status.header.cluster_id:x}"] = names[str(status.header.cluster_id)] = "<cluster>"
    return names
