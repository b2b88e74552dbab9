"""The v3 API by gRPC, message by message, where etcdctl cannot reach.

The messages are generated from kvstore/proto when this module is first imported. A method is called by its name in the
proto files, "KV.Range"; its request is given as a message or as the message's fields.
"""

import importlib
import os
import subprocess
import sys
import tempfile

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # we start processes, we never fork to go on in Python
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc  # noqa: E402  (reads the variables above)

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MESSAGE_BYTES_MAX = 64 << 20


def _generate(module: str):
    """The Python module of kvstore/proto's rpc.proto and all it imports."""
    with tempfile.TemporaryDirectory(prefix="conclave-test-protos-") as out:
        files = [f"kvstore/proto/{stem}.proto" for stem in ("kv", "auth", "rpc")]
        subprocess.run(["protoc", f"-I{REPOSITORY}", f"--python_out={out}", *files], check=True)
        sys.path.insert(0, out)
        try:
            return importlib.import_module(module)
        finally:
            sys.path.remove(out)


pb = _generate("kvstore.proto.rpc_pb2")


def _method(name: str):
    service, method = name.split(".")
    return pb.DESCRIPTOR.services_by_name[service].methods_by_name[method]


def _path(name: str) -> str:
    method = _method(name)
    return f"/{method.containing_service.full_name}/{method.name}"


def request_of(name: str, **fields):
    """The request message of a method with these fields set."""
    return getattr(pb, _method(name).input_type.name)(**fields)


def response_type(name: str):
    """The class of a method's responses."""
    return getattr(pb, _method(name).output_type.name)


class Connection:
    """One channel to one member."""

    def __init__(self, address: str):
        options = [
            ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_retries", 0),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 500),
        ]
        self._channel = grpc.insecure_channel(address, options=options)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._channel.close()

    def call(self, name: str, request=None, timeout_s: float = 20, **fields):
        """A unary call; raises grpc.RpcError."""
        return self._callable(self._channel.unary_unary, name)(request or request_of(name, **fields), timeout=timeout_s)

    def stream(self, name: str, requests, timeout_s: float = 60):
        """A bidirectional call over an iterator of requests; returns the iterator of responses, a grpc.Call too."""
        return self._callable(self._channel.stream_stream, name)(requests, timeout=timeout_s)

    def chunks(self, name: str, request=None, timeout_s: float = 600, **fields):
        """A call that is answered by a stream; returns the iterator of responses, a grpc.Call too."""
        return self._callable(self._channel.unary_stream, name)(
            request or request_of(name, **fields), timeout=timeout_s)

    def undecoded(self, name: str):
        """A unary method as a callable from an encoded request to the encoded response."""
        return self._channel.unary_unary(_path(name))

    @staticmethod
    def _callable(kind, name: str):
        return kind(
            _path(name),
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response_type(name).FromString)


def status_or_none(address: str, timeout_s: float = 5):
    """Maintenance.Status of a member, or None when it does not answer."""
    with Connection(address) as connection:
        try:
            return connection.call("Maintenance.Status", timeout_s=timeout_s)
        except grpc.RpcError:
            return None
