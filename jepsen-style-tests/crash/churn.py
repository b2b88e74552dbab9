"""A client that changes some keys over and over, compacts behind itself, and knows what the store must hold."""

import collections
import random
import threading
import time

import grpc

from cluster import rpc
from cluster.rpc import pb

PREFIX, PREFIX_END = b"churn/", b"churn0"
LAST = PREFIX + b"last"  # holds the number of the latest change
KEYS = [PREFIX + b"%02d" % i for i in range(64)]
KEYS_PER_CHANGE = 16
DELETED_PART = 0.25
CHANGE_EVERY_S = 0.02
COMPACT_EVERY_S = 0.3
COMPACT_BEHIND = 8  # changes: so far is what is compacted behind the newest
TRY_TIMEOUT_S = 1
COMPACTED = "etcdserver: mvcc: required revision has been compacted"
UNANSWERED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
EVERYTHING = pb.RangeRequest(key=PREFIX, range_end=PREFIX_END)

State = dict[bytes, tuple[bytes, int]]  # value and mod_revision of each key that there is


def operation(key: bytes, value: bytes | None):
    """The put, or without a value the delete."""
    if value is None:
        return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key))
    return pb.RequestOp(request_put=pb.PutRequest(key=key, value=value))


def state_of(pairs) -> State:
    return {pair.key: (pair.value, pair.mod_revision) for pair in pairs}


def changed(state: State, change: dict[bytes, bytes | None], revision: int) -> State:
    """What the state becomes by the change."""
    kept = {key: pair for key, pair in state.items() if key not in change}
    return kept | {key: (value, revision) for key, value in change.items() if value is not None}


def expect_same(what: str, found: State, expected: State) -> None:
    """Raises AssertionError with the keys that differ."""
    keys = [key for key in sorted(found.keys() | expected.keys()) if found.get(key) != expected.get(key)]
    differences = [f"{key!r} is {found.get(key)}, expected {expected.get(key)}" for key in keys]
    assert not keys, f"{what}: " + "; ".join(differences)


class Churn:
    """A thread that makes one change after the other, each a transaction of puts and deletes that answers with all
    there is. One that was not answered is made again until it is; a change takes effect only on what the one before it
    left, so it does once. Every COMPACT_EVERY_S the thread reads again what the compacted revision held, and compacts
    to a later one.

    `revision` and `compacted` are the newest that were acknowledged. What goes wrong ends the thread, and close()
    raises it."""

    def __init__(self, endpoints: list[str], seed: int):
        self.revision = 0
        self.compacted = -1  # as members say it before the first one
        self.changes = 0
        self.compactions = 0
        self._random = random.Random(seed)
        self._endpoints = endpoints
        self._turn = 0
        self._connection = rpc.Connection(endpoints[0])
        self._state: State = {}
        self._compacted_state: State = {}
        # What was there after each of the latest changes.
        self._past: collections.deque[tuple[int, State]] = collections.deque(maxlen=COMPACT_BEHIND)
        self._due = self._draw()
        self._asked: tuple[int, State] | None = None  # of a compaction without an answer
        self._failure: Exception | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def is_well(self) -> bool:
        return self._thread.is_alive()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        compacted_at = time.monotonic()
        try:
            while not self._ended.wait(CHANGE_EVERY_S):
                self._change()
                if time.monotonic() >= compacted_at + COMPACT_EVERY_S and self._compact():
                    compacted_at = time.monotonic()
        except (AssertionError, grpc.RpcError) as failure:
            self._failure = failure
        finally:
            self._connection.close()

    def _call(self, name: str, **fields):
        """The answer, or None if it was lost with its member; the next one is asked then."""
        try:
            return self._connection.call(name, timeout_s=TRY_TIMEOUT_S, **fields)
        except grpc.RpcError as error:
            if error.code() not in UNANSWERED:
                raise
        self._turn = (self._turn + 1) % len(self._endpoints)
        self._connection.close()
        self._connection = rpc.Connection(self._endpoints[self._turn])
        return None

    def _draw(self) -> dict[bytes, bytes | None]:
        """The next change: the new value of each key that it is about, None of one to be deleted."""
        number = b"%d" % (self.changes + 1)
        keys = self._random.sample(KEYS, KEYS_PER_CHANGE)
        return {key: None if self._random.random() < DELETED_PART else number for key in keys} | {LAST: number}

    def _change(self) -> None:
        """Makes the change that is due, if it is answered."""
        before = pb.Compare(key=LAST, target=pb.Compare.MOD, mod_revision=self._state.get(LAST, (b"", 0))[1])
        read = pb.RequestOp(request_range=EVERYTHING)
        changes = [operation(key, value) for key, value in self._due.items()]
        answer = self._call("KV.Txn", compare=[before], success=[*changes, read], failure=[read])
        if answer is None:
            return
        found = state_of(answer.responses[-1].response_range.kvs)
        # Otherwise it was made by a try that was not answered.
        revision = answer.header.revision if answer.succeeded else found.get(LAST, (b"", 0))[1]
        expected = changed(self._state, self._due, revision)
        expect_same(f"change {self.changes + 1} at revision {revision}", found, expected)
        assert revision > self.revision, f"revision {revision} of a change after {self.revision} was acknowledged"
        self.revision, self._state = revision, expected
        self._past.append((revision, expected))
        self.changes += 1
        self._due = self._draw()

    def _compact(self) -> bool:
        """Makes the compaction that is due, if there is anything to compact; whether it was answered."""
        is_asked_again = self._asked is not None
        if not is_asked_again:
            if not self._past or self._past[0][0] <= self.compacted or not self._read_compacted():
                return False
            self._asked = self._past[0]
        try:
            if self._call("KV.Compact", revision=self._asked[0]) is None:
                return False
        except grpc.RpcError as refusal:
            if not is_asked_again or refusal.details() != COMPACTED:
                raise
        self.compacted, self._compacted_state = self._asked
        self._asked = None
        self.compactions += 1
        return True

    def _read_compacted(self) -> bool:
        """Holds the revision last compacted to what it held when it was the newest; whether the read was answered."""
        if self.compactions == 0:
            return True
        answer = self._call("KV.Range", key=PREFIX, range_end=PREFIX_END, revision=self.compacted)
        if answer is None:
            return False
        expect_same(f"compacted revision {self.compacted}", state_of(answer.kvs), self._compacted_state)
        return True
