"""The attacks. Each takes a Target, does its worst, and raises Refusal when the server does not answer as it must."""

import http.client
import re
import struct
import subprocess
import tempfile
import time

import grpc

from cluster import rpc
from cluster.rpc import pb
from hostile import http2
from hostile.http2 import RawConnection, frame, header_block

IDLE_CONNECTIONS = 500
RESET_STREAMS = 2000
PINGS = 5000
ENDLESS_FRAMES = 20_000
CLOSES_WITHIN_S = 30


class Refusal(AssertionError):
    """The server answered wrongly."""


class Target:
    """The server under attack: its address, and whether it is ours, which must do more than etcd 3.4 does."""

    def __init__(self, address: str, ours: bool):
        self.address = address
        self.ours = ours


def must(condition: bool, what: str) -> None:
    if not condition:
        raise Refusal(what)


def must_close(connection: RawConnection, what: str) -> None:
    must(connection.read_to_end(CLOSES_WITHIN_S) is not None, f"the connection stays open after {what}")


# ---- bytes that are no protocol ----

def garbage(target: Target) -> None:
    """Bytes that are neither HTTP/2 nor HTTP/1."""
    tls_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500
    for bytes_ in (b"\x00" * 64, bytes(range(256)) * 64, b"\r\n\r\n", tls_hello):
        with RawConnection(target.address) as connection:
            connection.send(bytes_)
            if target.ours:
                connection.socket.shutdown(1)
                must_close(connection, repr(bytes_[:16]))


def silence(target: Target) -> None:
    """Half a preface, half a frame, half a message, and then nothing: nobody else may have to wait for the rest."""
    half_message = http2.message(b"\x0a\x05hello", length=1000)
    openings = (
        b"", http2.PREFACE[:10], http2.PREFACE, http2.PREFACE + b"\x00\x00",
        http2.PREFACE + frame(http2.SETTINGS, 0, 0) + frame(http2.HEADERS, http2.END_HEADERS, 1, b"x" * 100)[:20],
        http2.PREFACE + frame(http2.SETTINGS, 0, 0)
        + frame(http2.HEADERS, http2.END_HEADERS, 1, header_block(http2.GRPC_HEADERS))
        + frame(http2.DATA, 0, 1, half_message),
        b"GET /health HT", b"POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf",
    )
    connections = [RawConnection(target.address) for _ in openings]
    for connection, opening in zip(connections, openings):
        connection.send(opening)
    must_serve(target)
    for connection in connections:
        connection.socket.close()


def garbage_after_preface(target: Target) -> None:
    """A good beginning, then frames that are none."""
    for bytes_ in (b"\xff" * 5000, frame(http2.DATA, 0, 0, b"x"), frame(http2.HEADERS, http2.END_HEADERS, 2, b"\x82"),
                   frame(http2.HEADERS, http2.END_HEADERS, 1, b"\xff" * 50), frame(http2.SETTINGS, 0, 1),
                   frame(http2.SETTINGS, 0, 0, b"12345"), frame(http2.PING, 0, 0, b"short"),
                   frame(http2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 0)),
                   frame(http2.CONTINUATION, 0, 1, b""), struct.pack(">I", 0xFFFFFF)[1:] + b"\0\0\0\0\0\1"):
        with RawConnection(target.address) as connection:
            connection.open_http2()
            connection.send(bytes_)
            if target.ours:
                must_close(connection, f"preface and {bytes_[:16]!r}")


# ---- floods ----

def idle_connections(target: Target) -> None:
    """Many connections that do nothing, half of them after a good beginning."""
    connections = []
    try:
        for i in range(IDLE_CONNECTIONS):
            connections.append(RawConnection(target.address, timeout_s=30))
            if i % 2:
                connections[-1].open_http2()
        must_serve(target)
    finally:
        for connection in connections:
            connection.socket.close()


def rapid_resets(target: Target) -> None:
    """Streams opened and reset at once, thousands of them on one connection."""
    block = header_block(http2.GRPC_HEADERS)
    with RawConnection(target.address) as connection:
        connection.open_http2()
        for i in range(RESET_STREAMS):
            stream = 2 * i + 1
            if not connection.send(frame(http2.HEADERS, http2.END_HEADERS, stream, block)
                                   + frame(http2.RST_STREAM, 0, stream, struct.pack(">I", http2.CANCEL))):
                break
        must_serve(target)


def pings(target: Target) -> None:
    """Pings without end, and settings, and windows."""
    for flood in (frame(http2.PING, 0, 0, b"12345678"), frame(http2.SETTINGS, 0, 0),
                  frame(http2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 1))):
        with RawConnection(target.address) as connection:
            connection.open_http2()
            for _ in range(PINGS // 100):
                if not connection.send(flood * 100):
                    break
            must_serve(target)


def endless_headers(target: Target) -> None:
    """A header block that never ends."""
    field = header_block([("x-filler", "y" * 1000)])
    with RawConnection(target.address) as connection:
        connection.open_http2()
        connection.send(frame(http2.HEADERS, 0, 1, header_block(http2.GRPC_HEADERS)))
        for _ in range(ENDLESS_FRAMES):
            if not connection.send(frame(http2.CONTINUATION, 0, 1, field)):
                break
        must_serve(target)
        if target.ours:
            must_close(connection, "a header block without end")


def many_streams(target: Target) -> None:
    """Streams opened and left open, more than a server can want."""
    block = header_block(http2.GRPC_HEADERS)
    with RawConnection(target.address) as connection:
        connection.open_http2()
        for i in range(RESET_STREAMS):
            if not connection.send(frame(http2.HEADERS, http2.END_HEADERS, 2 * i + 1, block)):
                break
        must_serve(target)


def slow_reader(target: Target) -> None:
    """Asks for much and reads none of it: the server must hold back and serve the others."""
    with rpc.Connection(target.address) as good:
        for i in range(20):
            good.call("KV.Put", key=b"big/%d" % i, value=b"x" * 500_000)
        request = pb.RangeRequest(key=b"big/", range_end=b"big0").SerializeToString()
        block = header_block([(name, "/etcdserverpb.KV/Range" if name == ":path" else value)
                              for name, value in http2.GRPC_HEADERS])
        with RawConnection(target.address) as connection:
            connection.open_http2()
            for i in range(20):
                stream = 2 * i + 1
                connection.send(frame(http2.HEADERS, http2.END_HEADERS, stream, block)
                                + frame(http2.DATA, http2.END_STREAM, stream, http2.message(request)))
            time.sleep(1)
            must_serve(target)
        good.call("KV.DeleteRange", key=b"big/", range_end=b"big0")


# ---- gRPC ----

def must_fail(target: Target, method: str, code: grpc.StatusCode, text: str | None, request=None, **fields) -> None:
    """The call must end with this code and, unless None, a text that matches."""
    with rpc.Connection(target.address) as connection:
        try:
            connection.call(method, request, **fields)
        except grpc.RpcError as error:
            must(error.code() == code and (text is None or re.fullmatch(text, error.details()) is not None),
                 f"{method}: {error.code().name}: {error.details()!r}, expected {code.name}: {text!r}")
            return
    raise Refusal(f"{method} was accepted, expected {code.name}: {text!r}")


def oversized(target: Target) -> None:
    """More than the frame limit, and less than that but more than may be replicated."""
    must_fail(target, "KV.Put", grpc.StatusCode.RESOURCE_EXHAUSTED,
              r"grpc: received message larger than max \(\d+ vs\. 2097152\)", key=b"k", value=b"x" * 2_200_000)
    must_fail(target, "KV.Put", grpc.StatusCode.INVALID_ARGUMENT, "etcdserver: request is too large",
              key=b"k", value=b"x" * 1_600_000)
    must_fail(target, "KV.Put", grpc.StatusCode.RESOURCE_EXHAUSTED, None, key=b"k", value=b"x" * 30_000_000)


def wrong_requests(target: Target) -> None:
    """Well-formed and wrong."""
    put = [pb.RequestOp(request_put=pb.PutRequest(key=b"t%d" % i)) for i in range(129)]
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    must_fail(target, "KV.Txn", invalid, "etcdserver: too many operations in txn request", success=put)
    must_fail(target, "KV.Txn", invalid, "etcdserver: duplicate key given in txn request", success=[put[0], put[0]])
    for method in ("KV.Put", "KV.Range", "KV.DeleteRange"):
        must_fail(target, method, invalid, "etcdserver: key is not provided")
    must_fail(target, "KV.Put", grpc.StatusCode.NOT_FOUND, "etcdserver: requested lease not found", key=b"k", lease=77)
    must_fail(target, "Lease.LeaseRevoke", grpc.StatusCode.NOT_FOUND, "etcdserver: requested lease not found", ID=77)
    must_fail(target, "KV.Range", grpc.StatusCode.OUT_OF_RANGE,
              "etcdserver: mvcc: required revision is a future revision", key=b"k", revision=1 << 62)


def deep_transaction(target: Target) -> None:
    """Transactions within transactions, deeper than a stack may want to follow."""
    operation = pb.RequestOp(request_put=pb.PutRequest(key=b"deep"))
    for _ in range(90):
        operation = pb.RequestOp(request_txn=pb.TxnRequest(success=[operation]))
    with rpc.Connection(target.address) as connection:
        try:
            connection.call("KV.Txn", success=[operation])
        except grpc.RpcError as error:
            must(error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL),
                 f"{error.code()}: {error.details()}")


def raw_call(target: Target, path: str, body: bytes) -> grpc.StatusCode:
    """A unary call with this body as its message; how it ended."""
    with grpc.insecure_channel(target.address) as channel:
        call = channel.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)
        try:
            call(body, timeout=20)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def wrong_bytes(target: Target) -> None:
    """Messages that are no messages, text that is no text, methods that are none."""
    for body in (b"\x0a\xff", b"\xff" * 100, b"\x0a\x05ab", b"\x0b" * 200):
        must(raw_call(target, "/etcdserverpb.KV/Put", body) == grpc.StatusCode.INTERNAL, f"{body[:8]!r} was understood")
    for path in ("/etcdserverpb.KV/Nonsense", "/nonsense.Service/Method", "/nonsense", "/"):
        code = raw_call(target, path, b"")
        well_formed = path.count("/") == 2
        must(code == grpc.StatusCode.UNIMPLEMENTED or not well_formed and code != grpc.StatusCode.OK, f"{path}: {code}")
    must(raw_call(target, "/etcdserverpb.Cluster/MemberAdd", b"\x0a\x02\xff\xfe") != grpc.StatusCode.OK,
         "a peer URL of bytes that are no text was accepted")


def curl(target: Target, path: str, *options: str, body: bytes = b"") -> str:
    """Speaks HTTP/2 by curl; the headers and trailers of the answer."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        command = ["curl", "--silent", "--http2-prior-knowledge", "--max-time", "20", "--include", "--output", "-",
                   "--data-binary", f"@{file.name}", *options, f"http://{target.address}{path}"]
        return subprocess.run(command, capture_output=True).stdout.decode(errors="replace")


def wrong_framing(target: Target) -> None:
    """gRPC messages whose prefix lies, and requests that are not gRPC at all."""
    put = pb.PutRequest(key=b"k", value=b"v").SerializeToString()
    grpc_options = ("-H", "content-type: application/grpc", "-H", "te: trailers")
    for what, body in (("a length of 4 GB", http2.message(put, length=0xFFFFFFFF)),
                       ("a length beyond the end", http2.message(put, length=100)),
                       ("half a prefix", b"\0\0\0"),
                       ("compression that was never agreed", http2.message(put, compressed=1))):
        said = curl(target, "/etcdserverpb.KV/Put", *grpc_options, body=body)
        must(not re.search(r"grpc-status: 0\b", said), f"{what} was accepted: {said!r}")
    for content_type in ("text/plain", "application/grpcx", ""):
        said = curl(target, "/etcdserverpb.KV/Put", "-H", f"content-type: {content_type}", body=http2.message(put))
        must(not re.search(r"grpc-status: 0\b", said), f"content-type {content_type!r} was accepted")
    said = curl(target, "/etcdserverpb.KV/Put", *grpc_options, "-X", "GET", body=http2.message(put))
    must(not target.ours or not re.search(r"grpc-status: 0\b", said), "a GET was accepted")


# ---- HTTP/1 ----

def http1(target: Target) -> None:
    """The plain endpoints on the same port, paths that are none, and requests that are hardly requests."""
    def get(path: str, method: str = "GET") -> tuple[int, bytes]:
        host, port = target.address.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    status, body = get("/health")
    must(status == 200 and b'"health":"true"' in body, f"/health: {status} {body!r}")
    status, body = get("/version")
    must(status == 200 and b"etcdserver" in body and b"etcdcluster" in body, f"/version: {status} {body!r}")
    status, body = get("/metrics")
    must(status == 200 and b"etcd_server_has_leader 1" in body, f"/metrics: {status} {body[:200]!r}")
    for path in ("/nonsense", "/health/../../etc/passwd", "/%00"):
        status, _ = get(path)
        must(status in (301, 400, 404), f"{path}: {status}")
    must(get("/health", "DELETE")[0] in (404, 405), "DELETE of /health")
    for bytes_ in (b"GET / HTTP/9.9\r\n\r\n", b"GET\r\n\r\n", b"GET /health HTTP/1.1\r\n\r\n",
                   b"GET /" + b"a" * 3_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                   b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X-Filler: y\r\n" * 200_000 + b"\r\n",
                   b"POST /version HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
                   b"GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):
        with RawConnection(target.address) as connection:
            connection.send(bytes_)
            connection.socket.settimeout(5)
            try:
                connection.socket.recv(65536)
            except (TimeoutError, ConnectionResetError):
                pass  # that it stays up is what is asked of it


def must_serve(target: Target) -> None:
    """A newcomer is served while the attack goes on."""
    with rpc.Connection(target.address) as connection:
        put = connection.call("KV.Put", key=b"hostile/during", value=b"v")
        got = connection.call("KV.Range", key=b"hostile/during")
        must(got.kvs[0].mod_revision >= put.header.revision, "a put is not read back")


ATTACKS = [
    garbage, silence, garbage_after_preface, idle_connections, rapid_resets, pings, endless_headers, many_streams,
    slow_reader, oversized, wrong_requests, deep_transaction, wrong_bytes, wrong_framing, http1,
]
