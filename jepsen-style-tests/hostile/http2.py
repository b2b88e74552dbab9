"""HTTP/2 by hand, for saying what no library would: frames and the plainest form of headers (RFC 9113, RFC 7541)."""

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
CANCEL = 8

GRPC_HEADERS = (
    (":method", "POST"), (":scheme", "http"), (":path", "/etcdserverpb.KV/Put"), (":authority", "localhost"),
    ("content-type", "application/grpc"), ("te", "trailers"),
)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _integer(value: int) -> bytes:
    """With a prefix of 7 bits, as lengths have."""
    if value < 127:
        return bytes([value])
    out, value = bytearray([127]), value - 127
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out) + bytes([value])


def header_block(headers) -> bytes:
    """Literal fields, never indexed, not compressed."""
    block = b""
    for name, value in headers:
        name, value = (part if isinstance(part, bytes) else part.encode() for part in (name, value))
        block += b"\0" + _integer(len(name)) + name + _integer(len(value)) + value
    return block


def message(payload: bytes, length: int | None = None, compressed: int = 0) -> bytes:
    """A gRPC message with its prefix, which may lie about the length."""
    return struct.pack(">BI", compressed, len(payload) if length is None else length) + payload


MESSAGE_PREFIX_BYTES = 5


def frames_of(said: bytes):
    """Yields (kind, flags, stream, payload) of each whole frame."""
    at = 0
    while at + 9 <= len(said) and at + 9 + int.from_bytes(said[at:at + 3], "big") <= len(said):
        length = int.from_bytes(said[at:at + 3], "big")
        yield said[at + 3], said[at + 4], int.from_bytes(said[at + 5:at + 9], "big"), said[at + 9:at + 9 + length]
        at += 9 + length


class FrameScanner:
    """Finds the frames in what a peer says, as it comes, without a copy of what is in them."""

    def __init__(self):
        self._header = b""
        self._payload_left = 0

    def scan(self, said: bytes):
        """Yields (kind, flags, stream) of each frame that begins in it."""
        at = 0
        while at < len(said):
            if self._payload_left > 0:
                passed = min(self._payload_left, len(said) - at)
                self._payload_left -= passed
                at += passed
                continue
            taken = said[at:at + 9 - len(self._header)]
            self._header += taken
            at += len(taken)
            if len(self._header) < 9:
                return
            header, self._header = self._header, b""
            self._payload_left = int.from_bytes(header[:3], "big")
            yield header[3], header[4], int.from_bytes(header[5:9], "big")


class RawConnection:
    """A TCP connection that says whatever it is told to."""

    def __init__(self, address: str, timeout_s: float = 10):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=timeout_s)

    def __enter__(self) -> "RawConnection":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> bool:
        """False when the server has closed the connection, as it may at any time."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            return False

    def open_http2(self) -> None:
        self.send(PREFACE + frame(SETTINGS, 0, 0))

    def read_to_end(self, timeout_s: float) -> bytes | None:
        """All that the server says until it closes; None when it does not close in time."""
        self.socket.settimeout(timeout_s)
        said = b""
        try:
            while True:
                part = self.socket.recv(65536)
                if not part:
                    return said
                said += part
        except ConnectionResetError:
            return said
        except TimeoutError:
            return None

    def read_answer(self, stream: int, timeout_s: float) -> list[bytes]:
        """What the server says up to the end of the stream, in the pieces in which it came."""
        self.socket.settimeout(timeout_s)
        pieces, scanner = [], FrameScanner()
        while True:
            pieces.append(self.socket.recv(1 << 20))
            if not pieces[-1]:
                raise ConnectionError("the server has closed the connection amid an answer")
            for kind, flags, of in scanner.scan(pieces[-1]):
                if of == stream and kind == HEADERS and flags & END_STREAM:
                    return pieces

    def read_frames(self, timeout_s: float):
        """Yields (kind, flags, stream, payload) until the server closes or is silent for the time."""
        self.socket.settimeout(timeout_s)
        held = b""
        while True:
            while len(held) >= 9 and len(held) >= 9 + int.from_bytes(held[:3], "big"):
                length = int.from_bytes(held[:3], "big")
                yield held[3], held[4], int.from_bytes(held[5:9], "big"), held[9 : 9 + length]
                held = held[9 + length :]
            try:
                part = self.socket.recv(65536)
            except (TimeoutError, ConnectionResetError):
                return
            if not part:
                return
            held += part
