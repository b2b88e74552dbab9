#!/usr/bin/python3
"""One real member at scale: what a large store, constant churn and many watchers cost. A row a run, on fresh members.

million         1,000,000 keys: the time from kill -9 to the first linearizable get, the memory after it and after
                reads, a unary range of 100,000 keys, a count of all.
twenty-million  The same with 20,000,000, and the 99th percentiles of gets and puts beside those of 10,000 keys.
churn           Overwrites and deletes at one rate, first alone, then with compactions and Defragment without end: what
                that does to the puts' 99th percentile, and the disk beside what the member keeps.
watchers        The events a second of many watchers of one key; then one more watcher that has stopped reading: what it
                costs the member in memory, and that the others are served.

    run.py twenty-million --server build/release/bin/conclave --bench build/release/bin/conclave-bench --json FILE
"""

import argparse
import contextlib
import glob
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from typing import Callable, Iterator

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import grpc  # noqa: E402

from cluster import Binary, Cluster, Member, MemberFailed, rpc, wait_until  # noqa: E402
from hostile import http2  # noqa: E402
from ranges.run import EVERYTHING, MIB, WINDOW, PeakMemory, resident  # noqa: E402
from scale.figures import Figure, format_table  # noqa: E402

FLAGS = ("--quota-backend-bytes=-1",)
VALUE_BYTES = 256
SMALL_STORE_KEYS = 10_000
RANGE_KEYS = 100_000
ROUNDS = 5
RESTART_WITHIN_S = 600
DEFRAGMENT_PAUSE_S = 0.02
SETTLED_LOOKS = 5
SERVED_WATCHERS = 10  # beside the one that has stopped: few, so that the puts are many
UNLIMITED_STREAM_WINDOW = b"\0\4" + (2**31 - 1).to_bytes(4, "big")
STALLS = {"a full window": b"", "a full socket": b"\0\4" + WINDOW.to_bytes(4, "big")}


def key_of(index: int) -> bytes:
    """As conclave-bench has them."""
    return b"b/%014d" % index


@contextlib.contextmanager
def member_of(options: argparse.Namespace) -> Iterator[Member]:
    """A fresh member, alone."""
    with Cluster(Binary.of(options.server), 1, options.keep, FLAGS, options.directory) as cluster:
        yield cluster.members[0]


class Bench:
    """conclave-bench on one member."""

    def __init__(self, program: str, member: Member):
        self._program = program
        self._member = member
        self._seeds = itertools.count(1)

    def start(self, *arguments: str) -> subprocess.Popen:
        """A load that goes on; see result()."""
        command = [self._program, "--json", f"--endpoints={self._member.client_address}",
                   f"--value-size={VALUE_BYTES}", *arguments]
        return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *command], stdout=subprocess.PIPE, text=True)

    @staticmethod
    def result(load: subprocess.Popen) -> dict:
        """What a load says at its end; none of its calls may have failed."""
        said, _ = load.communicate()
        assert load.returncode == 0, f"conclave-bench ended with status {load.returncode}"
        report = json.loads(said)
        assert report["errors"] == 0, f"{report['errors']} calls failed, the first: {report['first_error']}"
        return report

    def run(self, *arguments: str) -> dict:
        """A load from its beginning to its end."""
        return self.result(self.start(*arguments))

    def fill(self, keys: int) -> dict:
        """Every key once, in order."""
        return self.run("--op=put", "--sequential", "--outstanding=512", "--warm-up=0", f"--key-space={keys}",
                        f"--ops={keys}")

    def p99_ms(self, operation: str, keys: int, options: argparse.Namespace) -> float:
        """Of gets ("range") or puts all over the keys, which are there, at a rate that any store can serve: with a number of
        calls always in flight it would be the time that so many calls take one after another. Other keys each time: those of
        the time before are in memory."""
        report = self.run(f"--op={operation}", "--filled", f"--seed={next(self._seeds)}", "--outstanding=1000",
                          f"--rate={options.rate}", f"--key-space={keys}", f"--warm-up={options.warm_up}",
                          f"--duration={options.seconds}")
        return report["latency_us"]["p99"] / 1000


# ---- A large store. ----


def answers(member: Member, key: bytes) -> bool:
    """Whether the member answers a linearizable get on a connection of its own; the key must be there."""
    if not member.is_running():
        raise member.failure("ended after a restart")
    try:
        with rpc.Connection(member.client_address) as connection:
            pairs = connection.call("KV.Range", key=key).kvs
    except grpc.RpcError:
        return False
    assert [pair.key for pair in pairs] == [key], f"{key!r} is lost after kill -9"
    return True


def restart_s(member: Member, key: bytes) -> float:
    """From kill -9 to the first answer."""
    began = time.monotonic()
    member.kill()
    member.start()
    wait_until(lambda: answers(member, key), RESTART_WITHIN_S, f"{member.name} answers a get", every_s=0.002)
    return time.monotonic() - began


def raw_range(member: Member, request: bytes) -> tuple[float, bytes]:
    """How long a range takes to the last byte of its answer, in milliseconds, and the answer. Of a client that takes what
    comes: grpc's Python one, which collects 16 KiB at a time, takes longer than the server for a large one."""
    headers = http2.header_block(
        (name, "/etcdserverpb.KV/Range" if name == ":path" else value) for name, value in http2.GRPC_HEADERS)
    with http2.RawConnection(member.client_address) as connection:
        connection.send(http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0, UNLIMITED_STREAM_WINDOW) +
                        http2.frame(http2.WINDOW_UPDATE, 0, 0, (2**31 - 1 - 65535).to_bytes(4, "big")))
        began = time.monotonic()
        connection.send(http2.frame(http2.HEADERS, http2.END_HEADERS, 1, headers) +
                        http2.frame(http2.DATA, http2.END_STREAM, 1, http2.message(request)))
        pieces = connection.read_answer(1, RESTART_WITHIN_S)
        took = time.monotonic() - began
    frames = http2.frames_of(b"".join(pieces))
    answer = b"".join(payload for kind, _, _, payload in frames if kind == http2.DATA)
    return 1000 * took, answer[http2.MESSAGE_PREFIX_BYTES:]


def range_ms(member: Member, count: int, **fields) -> float:
    """The median time of a range that finds so many keys."""
    request = rpc.request_of("KV.Range", **fields).SerializeToString()
    took = []
    for _ in range(ROUNDS):
        ms, answer = raw_range(member, request)
        took.append(ms)
        found = rpc.response_type("KV.Range").FromString(answer).count
        assert found == count, f"a range finds {found} of {count} keys"
    return statistics.median(took)


def read_tables(member: Member) -> None:
    """Has the kernel hold the tables in memory, as far as it has room: else the disk is measured, not the store."""
    for path in glob.glob(os.path.join(member.data_dir, "member", "db", "db-*", "*.ldb")):
        with contextlib.suppress(FileNotFoundError), open(path, "rb", buffering=0) as table:
            while table.read(MIB):
                pass


def p99s_beside_small(operation: str, bench: Bench, small: Bench, options: argparse.Namespace) -> list[Figure]:
    """The percentile of the store and of one of few keys, in turn, for the machine's minutes differ more than they do."""
    pairs = []
    for _ in range(ROUNDS):
        pairs.append((small.p99_ms(operation, SMALL_STORE_KEYS, options), bench.p99_ms(operation, options.keys, options)))
        print(f"p99 of {operation}, {SMALL_STORE_KEYS} and {options.keys} keys: {pairs[-1][0]:.3f} and {pairs[-1][1]:.3f} ms",
              flush=True)
    of_small, of_large = (statistics.median(column) for column in zip(*pairs))
    return [Figure(f"p99 of {operation}, {SMALL_STORE_KEYS} keys, median of {ROUNDS}", of_small, "ms"),
            Figure(f"p99 of {operation}, median of {ROUNDS}", of_large, "ms"),
            Figure(f"p99 of {operation}, beside the small store's", of_large / of_small, "times",
                   at_most=options.p99_factor)]


def percentiles(options: argparse.Namespace, member: Member) -> list[Figure]:
    """Of a member that holds the keys, beside another that holds few."""
    bench = Bench(options.bench, member)
    cold = bench.p99_ms("range", options.keys, options)
    print(f"p99 of range before the tables are read: {cold:.3f} ms", flush=True)
    read_tables(member)
    with member_of(options) as other:
        small = Bench(options.bench, other)
        small.fill(SMALL_STORE_KEYS)
        figures = [Figure("p99 of range, some blocks on the disk alone", cold, "ms")]
        figures += p99s_beside_small("range", bench, small, options)
        figures.append(Figure("memory after gets", resident(member) / MIB, "MiB", at_most=options.rss_max))
        return figures + p99s_beside_small("put", bench, small, options)


def store_figures(options: argparse.Namespace, member: Member) -> list[Figure]:
    """All but the percentiles, of a member that holds the keys."""
    took = restart_s(member, key_of(options.keys - 1))
    memory = resident(member)
    print(f"answers {took:.2f} s after kill -9, memory {memory / MIB:.0f} MiB", flush=True)
    count = range_ms(member, options.keys, **EVERYTHING, count_only=True)
    listed = min(options.keys, RANGE_KEYS)
    listing = range_ms(member, listed, key=key_of(0), range_end=key_of(listed))
    print(f"a range of {listed} keys takes {listing:.1f} ms, a count of all {count:.2f} ms", flush=True)
    return [Figure("kill -9 to the first get", took, "s", at_most=options.after_restart_within),
            Figure("memory after the restart", memory / MIB, "MiB", at_most=options.rss_max),
            Figure("memory after ranges", resident(member) / MIB, "MiB", at_most=options.rss_max),
            Figure(f"range of {listed} keys, median of {ROUNDS}", listing, "ms", at_most=options.range_ms),
            Figure(f"count of all, median of {ROUNDS}", count, "ms", at_most=options.count_ms)]


def store(options: argparse.Namespace) -> list[Figure]:
    with member_of(options) as member:
        bench = Bench(options.bench, member)
        filled = bench.fill(options.keys)
        print(f"{options.keys} keys put in {filled['seconds']:.1f} s", flush=True)
        if options.tail_puts:
            bench.run("--op=put", "--warm-up=0", f"--key-space={options.keys}", f"--ops={options.tail_puts}")
        figures = store_figures(options, member)
        if options.p99_factor:
            figures += percentiles(options, member)
    return figures


# ---- Churn. ----


class Repeated:
    """Does something over and again, with pauses, while this is entered; what goes wrong is raised at the end."""

    def __init__(self, action: Callable[[], object], pause_s: float):
        self._action = action
        self._pause_s = pause_s
        self._ended = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run)
        self.times = 0

    def __enter__(self) -> "Repeated":
        self._thread.start()
        return self

    def _run(self) -> None:
        try:
            while not self._ended.wait(self._pause_s):
                self._action()
                self.times += 1
        except Exception as failure:
            self._failure = failure

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if failure is None and self._failure is not None:
            raise self._failure


def disk_bytes(path: str) -> int:
    """What the files below it take up; one that goes meanwhile takes up nothing."""
    total = 0
    for directory, _, names in os.walk(path):
        for name in names:
            try:
                total += os.stat(os.path.join(directory, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


class ChurnTest:
    """One member under puts at a rate and a few deletes."""

    def __init__(self, options: argparse.Namespace, member: Member, connection: rpc.Connection):
        self._options = options
        self._member = member
        self._connection = connection
        self._bench = Bench(options.bench, member)
        self._random = random.Random(1)

    def fill(self) -> None:
        self._bench.fill(self._options.keys)

    def _start_puts(self, seconds: float) -> subprocess.Popen:
        return self._bench.start("--op=put", "--outstanding=64", f"--rate={self._options.rate}",
                                 f"--key-space={self._options.keys}", f"--duration={seconds}")

    def _delete(self) -> None:
        self._connection.call("KV.DeleteRange", key=key_of(self._random.randrange(self._options.keys)))

    def _deletes(self) -> Repeated:
        return Repeated(self._delete, 1 / self._options.deletes)

    def compact(self) -> None:
        """To the current revision."""
        status = self._connection.call("Maintenance.Status")
        self._connection.call("KV.Compact", revision=status.header.revision)

    def sizes(self) -> tuple[int, int]:
        """What the store's files take up, and what the member keeps: the live and what history holds beside it."""
        path = os.path.join(self._member.data_dir, "member", "db")
        return disk_bytes(path), self._connection.call("Maintenance.Status").dbSizeInUse

    def quiet_p99_ms(self) -> float:
        """Of puts beside which only deletes go on."""
        with self._deletes():
            report = self._bench.result(self._start_puts(self._options.quiet_seconds))
        return report["latency_us"]["p99"] / 1000

    def busy_p99_ms(self) -> tuple[float, int]:
        """Of the same puts beside compactions and Defragment; and how often that was called."""
        began = time.monotonic()
        with self._deletes(), Repeated(self._defragment, DEFRAGMENT_PAUSE_S) as defragments:
            puts = self._start_puts(self._options.seconds)
            while not self._is_over(puts):
                self.compact()
                disk, kept = self.sizes()
                print(f"{time.monotonic() - began:.0f} s: compacted; disk {disk / MIB:.0f} MiB, "
                      f"kept {kept / MIB:.0f} MiB", flush=True)
            report = self._bench.result(puts)
        return report["latency_us"]["p99"] / 1000, defragments.times

    def _defragment(self) -> None:
        self._connection.call("Maintenance.Defragment")

    def _is_over(self, puts: subprocess.Popen) -> bool:
        """Waits until the next compaction is due."""
        try:
            puts.wait(self._options.compact_every)
            return True
        except subprocess.TimeoutExpired:
            return False

    def settle(self) -> tuple[int, int]:
        """The sizes once they stay the same, or at the end of the time for it."""
        self.compact()
        seen = [self.sizes()]
        ends = time.monotonic() + self._options.settle_seconds
        while time.monotonic() < ends and (len(seen) < SETTLED_LOOKS or len(set(seen[-SETTLED_LOOKS:])) > 1):
            time.sleep(1)
            seen.append(self.sizes())
        return seen[-1]


def churn(options: argparse.Namespace) -> list[Figure]:
    with member_of(options) as member, rpc.Connection(member.client_address) as connection:
        test = ChurnTest(options, member, connection)
        test.fill()
        quiet = test.quiet_p99_ms()
        print(f"p99 of puts {quiet:.2f} ms without compactions", flush=True)
        busy, defragments = test.busy_p99_ms()
        print(f"p99 of puts {busy:.2f} ms beside compactions and {defragments} times Defragment", flush=True)
        disk, kept = test.settle()
    return [Figure("p99 of puts, quiet", quiet, "ms"), Figure("p99 of puts, compacted", busy, "ms"),
            Figure("p99 of puts, compacted beside quiet", busy / quiet, "times", at_most=options.p99_factor),
            Figure("Defragment", defragments, "calls", at_least=1),
            Figure("disk of the store", disk / MIB, "MiB"), Figure("live and kept", kept / MIB, "MiB"),
            Figure("disk beside live and kept", disk / kept, "times", at_most=options.space_factor)]


# ---- Many watchers. ----


class StalledWatcher:
    """A client that watches a key, and from the moment that its watcher exists reads no byte more. With the settings
    of every client its stream's window is soon full; with larger windows what the kernel takes for it is."""

    def __init__(self, address: str, key: bytes, settings: bytes):
        self._connection = http2.RawConnection(address)
        self._key = key
        self._settings = settings

    def __enter__(self) -> "StalledWatcher":
        headers = http2.header_block(
            (name, "/etcdserverpb.Watch/Watch" if name == ":path" else value) for name, value in http2.GRPC_HEADERS)
        request = rpc.pb.WatchRequest(create_request=rpc.pb.WatchCreateRequest(key=self._key)).SerializeToString()
        larger = http2.frame(http2.WINDOW_UPDATE, 0, 0, (WINDOW - 65535).to_bytes(4, "big")) if self._settings else b""
        self._connection.send(http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0, self._settings) + larger +
                              http2.frame(http2.HEADERS, http2.END_HEADERS, 1, headers) +
                              http2.frame(http2.DATA, 0, 1, http2.message(request)))
        first = next((payload for kind, _, _, payload in self._connection.read_frames(10) if kind == http2.DATA), b"")
        assert rpc.pb.WatchResponse.FromString(first[5:]).created, f"no watcher was made: {first!r}"
        return self

    def __exit__(self, *failure: object) -> None:
        self._connection.__exit__(*failure)


def watch_load(bench: Bench, watchers: int, outstanding: int, *arguments: str) -> dict:
    return bench.run("--op=watch", "--connections=10", f"--watchers={watchers}", f"--outstanding={outstanding}",
                     *arguments)


def events(options: argparse.Namespace) -> list[Figure]:
    """How many arrive in a second, with one and with more puts in flight."""
    figures = []
    for outstanding in (1, 8):
        with member_of(options) as member:
            report = watch_load(Bench(options.bench, member), options.watchers, outstanding,
                                f"--duration={options.seconds}")
        name = f"{options.watchers} watchers, {outstanding} outstanding"
        print(f"{name}: {report['ops_per_s']:,.0f} events/s", flush=True)
        figures.append(Figure(name, report["ops_per_s"], "events/s", at_least=options.events_min))
    return figures


def served(options: argparse.Namespace, stalled_settings: bytes | None) -> tuple[float, int]:
    """The events a second of watchers that read, and by how much the member's memory grows meanwhile; if settings are
    given, beside a watcher that has stopped. The member is a fresh one and the puts are counted, so that what else
    takes up memory, the store's buffers and the log, is the same each time."""
    with contextlib.ExitStack() as stack:
        member = stack.enter_context(member_of(options))
        memory = stack.enter_context(PeakMemory(member))
        if stalled_settings is not None:
            stack.enter_context(StalledWatcher(member.client_address, key_of(0), stalled_settings))
        report = watch_load(Bench(options.bench, member), SERVED_WATCHERS, 64, "--warm-up=0",
                            f"--ops={SERVED_WATCHERS * options.stalled_puts}")
    return report["ops_per_s"], memory.growth


def stalls(options: argparse.Namespace) -> list[Figure]:
    """A watcher that has stopped reading, beside others that go on."""
    missed = options.stalled_puts * VALUE_BYTES
    rate, usual = served(options, None)
    print(f"{missed / MIB:.0f} MiB of values, all read: memory grew by {usual / MIB:.0f} MiB", flush=True)
    # With less to withhold than the bound, the growth would say nothing.
    figures = [Figure("values that a watcher does not read", missed / MIB, "MiB", at_least=2 * options.stalled_mib)]
    for how, settings in STALLS.items():
        beside, growth = served(options, settings)
        print(f"the same beside a watcher with {how}: memory grew by {growth / MIB:.0f} MiB", flush=True)
        figures += [Figure(f"{how}: memory it costs", (growth - usual) / MIB, "MiB", at_most=options.stalled_mib),
                    Figure(f"{how}: events of the others", beside / rate, "times", at_least=options.events_kept)]
    return figures


def watchers(options: argparse.Namespace) -> list[Figure]:
    return events(options) + stalls(options)


# ---- The program. ----


def add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--server", required=True, help="server program under test")
    parser.add_argument("--bench", required=True, help="conclave-bench")
    parser.add_argument("--directory", help="where the members' directories are made (default: as temporary files)")
    parser.add_argument("--json", metavar="FILE", help="write every figure to this file")
    parser.add_argument("--keep", action="store_true", help="keep the members' directories")


def add_number(parser: argparse.ArgumentParser, name: str, default: float | None, what: str) -> None:
    """An option that counts or measures; None is no default and no bound."""
    parser.add_argument(name, type=int if isinstance(default, int) else float, default=default,
                        help=f"{what} (default {'none' if default is None else f'{default:,}'})")


def add_store(rows, name: str, keys: int, restart_s: float, rss_mib: float, range_ms: float | None,
              count_ms: float | None, p99_factor: float | None) -> None:
    parser = rows.add_parser(name, help="a store of so many keys")
    add_common(parser)
    add_number(parser, "--keys", keys, "of 16 bytes, with values of 256")
    add_number(parser, "--tail-puts", 0, "overwrites before kill -9: more of the log to apply")
    add_number(parser, "--seconds", 10.0, "of each load whose 99th percentile is taken")
    add_number(parser, "--warm-up", 10.0, "seconds of it before that, which open the tables")
    add_number(parser, "--rate", 5000, "calls of it a second")
    add_number(parser, "--after-restart-within", restart_s, "seconds from kill -9 to the first get, at most")
    add_number(parser, "--rss-max", rss_mib, "MiB of memory after restart and reads, at most")
    add_number(parser, "--range-ms", range_ms, "ms of a unary range of 100,000 keys, at most")
    add_number(parser, "--count-ms", count_ms, "ms of a count of all keys, at most")
    add_number(parser, "--p99-factor", p99_factor, "gets and puts beside a small store's, at most; else not taken")
    parser.set_defaults(row=store)


def add_churn(rows) -> None:
    parser = rows.add_parser("churn", help="overwrites, deletes, compactions, Defragment")
    add_common(parser)
    add_number(parser, "--seconds", 600.0, "beside compactions")
    add_number(parser, "--quiet-seconds", 30.0, "without, before")
    add_number(parser, "--settle-seconds", 60.0, "at most, for the disk at the end")
    add_number(parser, "--keys", 100_000, "that are overwritten and deleted")
    add_number(parser, "--rate", 3000, "puts a second")
    add_number(parser, "--deletes", 50.0, "deletes a second")
    add_number(parser, "--compact-every", 10.0, "seconds between compactions")
    add_number(parser, "--p99-factor", 1.5, "of puts, beside the quiet ones', at most")
    add_number(parser, "--space-factor", 3.0, "disk beside live and kept bytes, at most")
    parser.set_defaults(row=churn)


def add_watchers(rows) -> None:
    parser = rows.add_parser("watchers", help="many watchers of one key, and one that has stopped reading")
    add_common(parser)
    add_number(parser, "--watchers", 1000, "of one key")
    add_number(parser, "--seconds", 5.0, "of events to all of them")
    add_number(parser, "--events-min", 1e6, "events a second, at least")
    add_number(parser, "--stalled-puts", 400_000, "beside a watcher that has stopped")
    add_number(parser, "--stalled-mib", 32.0, "MiB that it costs the member, at most")
    add_number(parser, "--events-kept", 0.5, "of the others' rate, beside it, at least")
    parser.set_defaults(row=watchers)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="One real member at scale.")
    rows = parser.add_subparsers(dest="name", required=True)
    add_store(rows, "million", 1_000_000, restart_s=0.8, rss_mib=200.0, range_ms=60.0, count_ms=2.0, p99_factor=None)
    add_store(rows, "twenty-million", 20_000_000, restart_s=2.0, rss_mib=400.0, range_ms=None, count_ms=None,
              p99_factor=1.5)
    add_churn(rows)
    add_watchers(rows)
    return parser.parse_args()


def main() -> int:
    options = parse()
    try:
        figures = options.row(options)
    except (AssertionError, TimeoutError, MemberFailed, grpc.RpcError) as failure:
        print(f"{options.name}: NOT WELL: {failure}", flush=True)
        return 1
    print(format_table(figures))
    missed = [figure for figure in figures if not figure.met]
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"row": options.name, "met": not missed, "figures": [each.as_dict() for each in figures]}, file,
                      indent=1)
    for figure in missed:
        print(f"{options.name}: NOT WELL: {figure}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
