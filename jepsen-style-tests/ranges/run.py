#!/usr/bin/python3
"""Large ranges of a real member, and what they cost it in memory.

stream  RangeStream over --mebibytes of data, by a client that reads at once, one that reads slowly, one that stops and
        one that leaves: the member's memory grows by less than 32 MiB, and all of it is given back.
lists   --clients list --keys keys of 256 bytes for --seconds, all at once and over again: the member's memory stays
        within --range-memory-bytes, and puts beside it keep half their rate.

    run.py --server build/release/bin/conclave --bench build/release/bin/conclave-bench --mebibytes 1024 --keys 1000000
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import grpc  # noqa: E402

from cluster import Binary, Cluster, Member, rpc, wait_until  # noqa: E402
from hostile import http2  # noqa: E402

MIB = 1 << 20
EVERYTHING = {"key": b"\0", "range_end": b"\0"}
STREAM_GROWTH_MAX = 32 * MIB
ALLOCATOR_SLACK = 32 * MIB
TXN_OPS = 128
FLAGS = ("--quota-backend-bytes=-1",)
WINDOW = 2**31 - 1


def resident(member: Member) -> int:
    with open(f"/proc/{member.pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


class PeakMemory:
    """By how much the member's memory grows while this is entered."""

    def __init__(self, member: Member):
        self._member = member
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.base = self.peak = 0

    def __enter__(self) -> "PeakMemory":
        self.base = self.peak = resident(self._member)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._ended.wait(0.01):
            self.peak = max(self.peak, resident(self._member))

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def growth(self) -> int:
        return self.peak - self.base

    def __str__(self) -> str:
        return f"memory {self.base / MIB:.0f} MiB, grew by {self.growth / MIB:.1f} MiB"


def load(member: Member, keys: int, value_bytes: int) -> None:
    """Keys in order, with values that do not repeat."""
    with rpc.Connection(member.client_address) as connection:
        put = connection.undecoded("KV.Txn")
        under_way = []
        for first in range(0, keys, TXN_OPS):
            txn = rpc.pb.TxnRequest()
            for key in range(first, min(keys, first + TXN_OPS)):
                request = txn.success.add().request_put
                request.key = b"key%012d" % key
                request.value = (b"%d " % key * (value_bytes // 2))[:value_bytes]
            under_way.append(put.future(txn.SerializeToString()))
            if len(under_way) >= 16:
                under_way.pop(0).result()
        for future in under_way:
            future.result()


def restart(member: Member) -> None:
    """What loading has taken up is no base to grow from."""
    member.terminate(60)
    member.start()
    member.wait_healthy()


def reserved(member: Member) -> int:
    return member.metric("conclave_range_memory_bytes")


# ---- One stream. ----


def read_all(member: Member, keys: int) -> str:
    began = time.monotonic()
    count, size, chunks, last = 0, 0, 0, b""
    with rpc.Connection(member.client_address) as connection, PeakMemory(member) as memory:
        for chunk in connection.chunks("KV.RangeStream", **EVERYTHING):
            part = chunk.range_response
            assert not last or (part.kvs[0].key if part.kvs else b"~") > last, "a key comes again"
            assert part.HasField("header") == (part.count != 0), "a header amid the stream"
            last = part.kvs[-1].key if part.kvs else last
            count, chunks, size = count + len(part.kvs), chunks + 1, size + chunk.ByteSize()
        assert count == keys == part.count and not part.more, f"{count} of {keys} keys, and count {part.count}"
    assert memory.growth < STREAM_GROWTH_MAX, f"read at once: {memory}"
    took = time.monotonic() - began
    return f"read at once: {size / MIB:.0f} MiB in {chunks} chunks, {size / MIB / took:.0f} MiB/s; {memory}"


def read_slowly(member: Member, seconds: float) -> str:
    ends = time.monotonic() + seconds
    size = 0
    with rpc.Connection(member.client_address) as connection, PeakMemory(member) as memory:
        stream = connection.chunks("KV.RangeStream", **EVERYTHING)
        for chunk in stream:
            size += chunk.ByteSize()
            time.sleep(0.2)
            if time.monotonic() > ends:
                break
        stream.cancel()
        wait_until(lambda: reserved(member) == 0, 5, "a cancelled stream has given its memory back")
    assert memory.growth < STREAM_GROWTH_MAX, f"read slowly: {memory}"
    return f"read slowly: {size / MIB:.0f} MiB in {seconds:.0f} s; {memory}"


def stop_reading(member: Member, seconds: float) -> str:
    with rpc.Connection(member.client_address) as connection, PeakMemory(member) as memory:
        stream = connection.chunks("KV.RangeStream", **EVERYTHING)
        next(iter(stream))
        time.sleep(seconds)
        held = reserved(member)
        assert held > 0, "a stream that has stopped holds nothing"
        stream.cancel()
        wait_until(lambda: reserved(member) == 0, 5, "a cancelled stream has given its memory back")
    assert memory.growth < STREAM_GROWTH_MAX, f"stopped: {memory}"
    return f"stopped for {seconds:.0f} s: {held / MIB:.0f} MiB reserved; {memory}"


def stream(options: argparse.Namespace) -> None:
    value_bytes = 8 << 10
    keys = options.mebibytes * MIB // value_bytes
    with Cluster(Binary.of(options.server), 1, options.keep, FLAGS) as cluster:
        member = cluster.members[0]
        load(member, keys, value_bytes)
        restart(member)
        print(read_all(member, keys), flush=True)
        print(read_slowly(member, 5), flush=True)
        print(stop_reading(member, 8), flush=True)


# ---- Many lists. ----


class Lister:
    """A client that lists everything again and again and keeps nothing of it, which no library could."""

    def __init__(self, address: str, ended: threading.Event):
        self._address = address
        self._ended = ended
        self.lists = self.refused = self.bytes = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with http2.RawConnection(self._address) as connection:
            settings = b"\0\4" + WINDOW.to_bytes(4, "big")
            connection.send(http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0, settings) +
                            http2.frame(http2.WINDOW_UPDATE, 0, 0, (WINDOW - 65535).to_bytes(4, "big")))
            frames = connection.read_frames(60)
            number = 1
            while not self._ended.is_set():
                self._list(connection, frames, number)
                number += 2

    def _list(self, connection: http2.RawConnection, frames, number: int) -> None:
        headers = http2.header_block(
            (name, "/etcdserverpb.KV/Range" if name == ":path" else value) for name, value in http2.GRPC_HEADERS)
        request = rpc.request_of("KV.Range", **EVERYTHING).SerializeToString()
        connection.send(http2.frame(http2.HEADERS, http2.END_HEADERS, number, headers) +
                        http2.frame(http2.DATA, http2.END_STREAM, number, http2.message(request)))
        size = 0
        for kind, flags, _, payload in frames:
            if self._ended.is_set():
                return
            if kind == http2.DATA:
                size += len(payload)
                self.bytes += len(payload)
            if flags & http2.END_STREAM and kind in (http2.DATA, http2.HEADERS):
                break
        connection.send(http2.frame(http2.WINDOW_UPDATE, 0, 0, size.to_bytes(4, "big")) if size else b"")
        if size:
            self.lists += 1
        else:
            self.refused += 1

    def join(self) -> None:
        self._thread.join()


def put_rate(options: argparse.Namespace, member: Member) -> float:
    report = subprocess.run(
        [options.bench, f"--endpoints={member.client_address}", "--op=put", "--outstanding=64", "--connections=4",
         "--value-size=256", f"--duration={options.seconds}", "--warm-up=1", "--json"],
        check=True, capture_output=True, text=True).stdout
    return json.loads(report)["ops_per_s"]


def lists(options: argparse.Namespace) -> None:
    budget = options.range_memory_mebibytes * MIB
    flags = (*FLAGS, f"--range-memory-bytes={budget}")
    with Cluster(Binary.of(options.server), 1, options.keep, flags) as cluster:
        member = cluster.members[0]
        load(member, options.keys, 256)
        restart(member)
        quiet = put_rate(options, member)
        ended = threading.Event()
        with PeakMemory(member) as memory:
            listers = [Lister(member.client_address, ended) for _ in range(options.clients)]
            try:
                busy = put_rate(options, member)
                refused = member.metric("conclave_ranges_refused_total")
            finally:
                ended.set()
                for lister in listers:
                    lister.join()
        wait_until(lambda: reserved(member) == 0, 5, "the lists have given their memory back")
        size = sum(lister.bytes for lister in listers)
        print(f"{options.clients} clients list {options.keys} keys: {sum(each.lists for each in listers)} lists whole, "
              f"{size / MIB:.0f} MiB, {refused} refused; puts {busy:.0f}/s beside it, {quiet:.0f}/s without; {memory}",
              flush=True)
        assert memory.growth < budget + ALLOCATOR_SLACK, f"lists: {memory}"
        assert busy >= options.puts_kept * quiet, f"puts fell from {quiet:.0f}/s to {busy:.0f}/s"


TOPICS = {"stream": stream, "lists": lists}


def main() -> int:
    parser = argparse.ArgumentParser(description="Large ranges of a real member, and what they cost it in memory.")
    parser.add_argument("--server", required=True, help="server program under test")
    parser.add_argument("--bench", required=True, help="conclave-bench")
    parser.add_argument("--topic", action="append", choices=TOPICS, help="only this one; may be repeated")
    parser.add_argument("--mebibytes", type=int, default=200, help="of the stream (default 200)")
    parser.add_argument("--keys", type=int, default=100_000, help="that are listed (default 100000)")
    parser.add_argument("--clients", type=int, default=50, help="that list them (default 50)")
    parser.add_argument("--seconds", type=int, default=5, help="of puts, with and without lists (default 5)")
    parser.add_argument("--range-memory-mebibytes", type=int, default=256, help="the member's budget (default 256)")
    parser.add_argument("--puts-kept", type=float, default=0.5, help="of the rate of puts, beside lists (default 0.5)")
    parser.add_argument("--keep", action="store_true", help="keep the cluster's directory")
    options = parser.parse_args()
    for topic in options.topic or TOPICS:
        try:
            TOPICS[topic](options)
        except (AssertionError, grpc.RpcError) as failure:
            print(f"{topic}: NOT WELL: {failure}", flush=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
