"""Free TCP ports on loopback that stay ours while members are down.

A port is taken from below the range that the kernel gives to outgoing connections, so no client can sit on it while its
member restarts, and is marked by a locked file, so that tests running beside this one choose others.
"""

import fcntl
import os
import random
import socket
import tempfile

FIRST_PORT = 10_000
LAST_PORT = 32_000  # Linux hands out 32768 and above by default
ATTEMPTS_MAX = 10_000


class ReservedPort:
    """A port number and the lock that keeps it; the lock goes with `release` or with the process."""

    def __init__(self, number: int, lock: int):
        self.number = number
        self._lock = lock

    def release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _lock_directory() -> str:
    path = os.path.join(tempfile.gettempdir(), f"conclave-test-ports-{os.getuid()}")
    os.makedirs(path, mode=0o700, exist_ok=True)
    return path


def _is_bindable(number: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return False
    return True


def _try_reserve(number: int) -> ReservedPort | None:
    lock = os.open(os.path.join(_lock_directory(), str(number)), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    if not _is_bindable(number):
        os.close(lock)
        return None
    return ReservedPort(number, lock)


def reserve_ports(count: int) -> list[ReservedPort]:
    """`count` different free ports; raises OSError when the machine seems to have none left."""
    reserved: list[ReservedPort] = []
    for _ in range(ATTEMPTS_MAX):
        if len(reserved) == count:
            return reserved
        # flock belongs to the open file, so a number drawn twice is refused the second time.
        port = _try_reserve(random.randint(FIRST_PORT, LAST_PORT))
        if port is not None:
            reserved.append(port)
    for port in reserved:
        port.release()
    raise OSError(f"no {count} free ports between {FIRST_PORT} and {LAST_PORT}")
