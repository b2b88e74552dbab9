"""One member of a cluster: a server process, its directory and its log."""

import http.client
import os
import signal
import subprocess
import threading

from cluster.binary import Binary
from cluster.waiting import wait_until

HOST = "127.0.0.1"
LOG_TAIL_LINES = 40


class MemberFailed(Exception):
    """A member ended by itself, or did not do in time what it must; the text carries the end of its log."""


class Member:
    """A server process that can be started, stopped, killed and started again on the same data and ports."""

    def __init__(self, binary: Binary, name: str, directory: str, client_port: int, peer_port: int):
        self.binary = binary
        self.name = name
        self.data_dir = os.path.join(directory, name)
        self.log_path = os.path.join(directory, f"{name}.log")
        self.client_address = f"{HOST}:{client_port}"
        self.peer_address = f"{HOST}:{peer_port}"
        self.client_port = client_port
        self.peer_port = peer_port
        self.listen_peer_port = peer_port  # another one if something stands between the members
        self.cluster_flags: list[str] = []
        self._process: subprocess.Popen | None = None

    @property
    def client_url(self) -> str:
        return f"http://{self.client_address}"

    @property
    def peer_url(self) -> str:
        return f"http://{self.peer_address}"

    @property
    def pid(self) -> int:
        """The process id; a member that was never started has none."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_status(self) -> int:
        """Of a process that has ended."""
        assert not self.is_running(), f"{self.name} runs"
        return self._process.returncode

    def start(self) -> None:
        """Starts the process; returns before it serves."""
        assert not self.is_running(), f"{self.name} runs already"
        # The kernel kills the member when the thread that started it ends: so the thread must be the test's own.
        assert threading.current_thread() is threading.main_thread(), "members are started by the main thread"
        command = [
            "setpriv", "--pdeathsig", "KILL", "--", *self.binary.wrapper, self.binary.path,
            f"--name={self.name}",
            f"--data-dir={self.data_dir}",
            f"--listen-client-urls={self.client_url}",
            f"--advertise-client-urls={self.client_url}",
            f"--listen-peer-urls=http://{HOST}:{self.listen_peer_port}",
            f"--initial-advertise-peer-urls={self.peer_url}",
            *self.cluster_flags,
            *self.binary.log_flags(),
        ]
        # A session of its own: Ctrl-C is for the test, which then ends its members in order.
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={name: value for name, value in os.environ.items() if not name.startswith("ETCD_")})

    def send_kill(self) -> None:
        """kill -9 without waiting for the end."""
        if self.is_running():
            self._process.kill()

    def kill(self) -> None:
        """kill -9, and the process is gone on return."""
        self.send_kill()
        if self._process is not None:
            self._process.wait()

    def terminate(self, timeout_s: float = 20) -> int:
        """SIGTERM; returns the exit status, or raises MemberFailed when the member outlives the time limit."""
        assert self._process is not None, f"{self.name} was never started"
        if self.is_running():
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise self.failure(f"still running {timeout_s:g} s after SIGTERM") from None

    def is_healthy(self) -> bool:
        """Whether /health says that the member serves and sees a leader."""
        connection = http.client.HTTPConnection(HOST, self.client_port, timeout=5)
        try:
            connection.request("GET", "/health")
            return b'"true"' in connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def metric(self, name: str) -> int:
        """The value of a metric without labels; raises KeyError when the member has none of this name."""
        connection = http.client.HTTPConnection(HOST, self.client_port, timeout=5)
        try:
            connection.request("GET", "/metrics")
            lines = connection.getresponse().read().decode().splitlines()
        finally:
            connection.close()
        return int(float(dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))[name]))

    def wait_healthy(self, timeout_s: float = 60) -> None:
        """Returns once the member is healthy; raises MemberFailed when it ends or takes too long."""
        def healthy_or_ended() -> bool:
            return not self.is_running() or self.is_healthy()
        try:
            wait_until(healthy_or_ended, timeout_s, f"{self.name} healthy")
        except TimeoutError:
            raise self.failure(f"not healthy within {timeout_s:g} s") from None
        if not self.is_running():
            raise self.failure(f"ended with status {self._process.returncode}")

    def failure(self, what: str) -> MemberFailed:
        return MemberFailed(f"{self.name}: {what}; the end of its log:\n{self.log_tail()}")

    def log_tail(self) -> str:
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as log:
                return "".join(log.readlines()[-LOG_TAIL_LINES:])
        except FileNotFoundError:
            return "(no log)\n"
