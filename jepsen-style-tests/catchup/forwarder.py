"""Stands between members, so that the connections of one of them can be cut."""

import contextlib
import dataclasses
import socket
import threading
import time
from typing import Callable

HOST = "127.0.0.1"
PIECE_BYTES = 256 << 10
HELLO_FROM = slice(20, 28)  # who dials: docs/peer-protocol.md


@dataclasses.dataclass(eq=False)
class Link:
    """One connection: a socket to the member that dialled and one to the member that it wanted."""

    dialling: socket.socket
    wanted: socket.socket

    def cut(self) -> None:
        """Ends it for both; whoever serves it sees that and closes the sockets."""
        for end in (self.dialling, self.wanted):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Line:
    """All connections of one member, over several forwarders. It counts the bytes that come to the member, and at given
    counts cuts them all and lets none through for a moment."""

    def __init__(self, member: int):
        self.member = member
        self.bytes_in = 0
        self.cuts: list[int] = []  # at which counts that was done
        self._to_cut: list[int] = []
        self._refuse_s = 0.0
        self._refuse_until = 0.0
        self._links: set[Link] = set()
        self._mutex = threading.Lock()

    def cut_at(self, counts: list[int], refuse_s: float) -> None:
        """The counts of bytes, ascending, at which it is to be cut; from now on, and no others."""
        with self._mutex:
            self.cuts = []
            self._to_cut, self._refuse_s = list(counts), refuse_s

    def add(self, link: Link) -> bool:
        """False when the link is not let through."""
        with self._mutex:
            if time.monotonic() < self._refuse_until:
                return False
            self._links.add(link)
            return True

    def remove(self, link: Link) -> None:
        with self._mutex:
            self._links.discard(link)

    def count(self, size: int) -> None:
        """So many bytes have come to the member."""
        with self._mutex:
            self.bytes_in += size
            if not self._to_cut or self.bytes_in < self._to_cut[0]:
                return
            self._to_cut.pop(0)
            self.cuts.append(self.bytes_in)
            self._refuse_until = time.monotonic() + self._refuse_s
            for link in self._links:
                link.cut()


class Forwarder:
    """Takes the connections that are meant for the member `wanted` and passes them on to where it listens. Those of the
    line's member are the line's."""

    def __init__(self, wanted: int, port: int, listens_at: int, line: Line):
        self._wanted = wanted
        self._listens_at = listens_at
        self._line = line
        self._listener = socket.create_server((HOST, port), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Takes no more; those that are open end with the members."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                dialling, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(dialling,), daemon=True).start()

    def _serve(self, dialling: socket.socket) -> None:
        with dialling, contextlib.suppress(OSError):
            hello = dialling.recv(HELLO_FROM.stop, socket.MSG_PEEK | socket.MSG_WAITALL)
            dialled_by = int.from_bytes(hello[HELLO_FROM], "little")
            with socket.create_connection((HOST, self._listens_at)) as wanted:
                self._pass_on(Link(dialling, wanted), dialled_by)

    def _pass_on(self, link: Link, dialled_by: int) -> None:
        member = self._line.member
        if member in (dialled_by, self._wanted) and not self._line.add(link):
            return
        for end in (link.dialling, link.wanted):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        there = self._line.count if self._wanted == member else None
        back = self._line.count if dialled_by == member else None
        other_way = threading.Thread(target=_pump, args=(link, link.wanted, link.dialling, back), daemon=True)
        other_way.start()
        _pump(link, link.dialling, link.wanted, there)
        other_way.join()
        self._line.remove(link)


def _pump(link: Link, source: socket.socket, sink: socket.socket, count: Callable[[int], None] | None) -> None:
    """Passes on all that comes one way; the link ends with it."""
    piece = memoryview(bytearray(PIECE_BYTES))
    with contextlib.suppress(OSError):
        while size := source.recv_into(piece):
            sink.sendall(piece[:size])
            if count is not None:
                count(size)
    link.cut()
