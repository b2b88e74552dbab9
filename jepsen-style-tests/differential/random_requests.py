"""Random requests of the KV and Lease services and random creations of watchers, over so few keys that they meet.

What a generator makes depends on its seed and on what it is told of the answers, which is the same in each run of a
seed. A lease whose id the servers choose stands under a symbol, which each side replaces by its own id.
"""

import dataclasses
import random

from cluster.rpc import pb

SYNC_KEY = b"~sync"  # see random_watches.py
KEYS = [b"a", b"a/", b"a/1", b"a/2", b"a/2/x", b"a0", b"b", b"b/1", b"c", b"d", b"\x00", b"\x00\x00", b"a\x00",
        b"\xff", b"\xff\xff", b"\xfe\xff"]
VALUES = [b"", b"1", b"2", b"10", b"x", b"\x00", b"\xff\xfe", b"v" * 40, b"w" * 90]
OPEN_END = b"\x00"

CHOSEN_LEASES = [1, 2, 3, 7, 1 << 40, -5]
SYMBOL_BASE = 1 << 60
SYMBOLS_MAX = 4
# Long, so that none runs out, and far apart, so that their order by time left is no matter of milliseconds.
TTLS = [10_000, 30_000, 100_000, 10_000_000, 9_000_000_000]
TTLS_TOO_LARGE = [9_000_000_001, (1 << 63) - 1]

TXN_OPS_MAX = 128
REQUEST_BYTES_MAX = 1_572_864
OFTEN, SELDOM, RARELY = 0.5, 0.1, 0.02


@dataclasses.dataclass
class Request:
    """A unary call. `settled` says what of the subject alone is asked: its answer where etcd 3.4 has another."""

    method: str
    message: object
    settled: tuple[str, str] | None = None


def prefix_end(key: bytes) -> bytes:
    """The range_end that makes `key` a prefix."""
    stem = key.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else OPEN_END


class Generator:
    """Makes requests. `revision` and `compacted` are the stores' as last seen; -1: never compacted."""

    def __init__(self, seed: int, leads: bool):
        """`leads`: leaders are asked. A follower of 3.4 asks its leader of a lease, which may not know of it yet."""
        self.random = random.Random(seed)
        self.revision = 1
        self.compacted = -1
        self.symbols = 0
        self._granted: list[int] = []
        self._seen: dict[bytes, object] = {}  # pairs as last read
        self._kinds = [(self.range, 34), (self.put, 24), (self.delete_range, 7), (self.txn, 22), (self.compact, 0.4),
                       (self.lease_grant, 2), (self.lease_revoke, 1.2), (self.lease_time_to_live, 2 * leads),
                       (self.lease_leases, 0.7), (self.bad_sort, 0.15), (self.too_large, 0.03)]

    # ---- what the answers say ----

    def saw(self, kvs) -> None:
        """Pairs of the latest revision, so that compares can be made that hold."""
        for kv in kvs:
            self._seen[kv.key] = kv

    def granted(self, lease: int) -> None:
        self._granted.append(lease)

    def revoked(self, lease: int) -> None:
        if lease in self._granted:
            self._granted.remove(lease)

    # ---- parts ----

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def key(self) -> bytes:
        return b"" if self.chance(0.004) else self.random.choice(KEYS)

    def span(self, single: float) -> tuple[bytes, bytes]:
        """A key and a range_end, absent with probability `single`."""
        key = self.key()
        if self.chance(single):
            return key, b""
        return key, self.random.choice([prefix_end(key), prefix_end(key), OPEN_END, self.random.choice(KEYS),
                                        self.random.choice(KEYS), key, key + b"\x00"])

    def span_or_all(self, single: float) -> tuple[bytes, bytes]:
        return (OPEN_END, OPEN_END) if self.chance(SELDOM) else self.span(single)

    def revision_near(self) -> int:
        """A revision that may be read, mostly, or one at the edges of what may."""
        oldest, now = max(1, self.compacted), self.revision
        return self.random.choice([
            now, now - 1, now - 2, now - 5, self.random.randint(oldest, now), self.random.randint(oldest, now),
            self.random.randint(oldest, now), oldest, oldest + 1, oldest - 1, now + 1, now + 5,
            self.random.choice([1, -1, -7, 1 << 62])])

    def bound(self) -> int:
        return self.random.randint(max(1, self.compacted - 20), self.revision + 1)

    def lease(self) -> int:
        """A lease to put with: mostly one that exists."""
        if self._granted and self.chance(0.9):
            return self.random.choice(self._granted)
        return self.random.choice(CHOSEN_LEASES)

    # ---- KV ----

    def range_message(self):
        key, end = self.span_or_all(single=0.25)
        message = pb.RangeRequest(key=key, range_end=end)
        if self.chance(OFTEN):
            message.limit = self.random.choice([1, 1, 2, 3, 5, 100, -1, (1 << 63) - 1])
        if self.chance(0.4):
            message.revision = self.revision_near()
        if self.chance(0.4):
            message.sort_target = self.random.randrange(5)
            message.sort_order = self.random.randrange(3)
        message.serializable = self.chance(0.2)
        message.keys_only = self.chance(0.2)
        message.count_only = self.chance(0.15)
        for field in ("min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision"):
            if self.chance(0.06):
                setattr(message, field, self.bound())
        return message

    def range(self) -> Request:
        return Request("KV.Range", self.range_message())

    def put_message(self, key: bytes | None = None):
        message = pb.PutRequest(key=self.key() if key is None else key, value=self.random.choice(VALUES))
        message.prev_kv = self.chance(0.3)
        if self.chance(0.3):
            message.lease = self.lease()
        if self.chance(SELDOM):
            message.ignore_value = True
            if not self.chance(SELDOM):
                message.value = b""
        if self.chance(SELDOM):
            message.ignore_lease = True
            if not self.chance(SELDOM):
                message.lease = 0
        return message

    def put(self) -> Request:
        return Request("KV.Put", self.put_message())

    def delete_message(self, single: float = 0.6):
        key, end = self.span(single)
        return pb.DeleteRangeRequest(key=key, range_end=end, prev_kv=self.chance(OFTEN))

    def delete_range(self) -> Request:
        if self.chance(SELDOM):
            return Request("KV.DeleteRange", pb.DeleteRangeRequest(key=OPEN_END, range_end=OPEN_END, prev_kv=True))
        return Request("KV.DeleteRange", self.delete_message())

    def compact(self) -> Request:
        oldest, now = max(1, self.compacted), self.revision
        revision = self.random.choice([
            now, now - 1, now - 10, self.random.randint(oldest, now), self.random.randint(oldest, now), oldest,
            self.compacted - 1, now + 1, 0, -3])
        return Request("KV.Compact", pb.CompactionRequest(revision=revision, physical=self.chance(OFTEN)))

    def compact_most(self) -> Request:
        """Leaves only the last revisions."""
        return Request("KV.Compact", pb.CompactionRequest(revision=self.revision - self.random.randint(0, 500)))

    # ---- Txn ----

    def compare(self):
        key, end = self.span_or_all(single=0.8)
        target, result = self.random.randrange(5), self.random.randrange(4)
        message = pb.Compare(key=key, range_end=end, target=target, result=result)
        seen = self._seen.get(key) if self.chance(0.6) else None
        if target == pb.Compare.VERSION:
            message.version = seen.version if seen else self.random.randint(0, 3)
        elif target == pb.Compare.CREATE:
            message.create_revision = seen.create_revision if seen else self.bound()
        elif target == pb.Compare.MOD:
            message.mod_revision = seen.mod_revision if seen else self.bound()
        elif target == pb.Compare.VALUE:
            message.value = seen.value if seen else self.random.choice(VALUES)
        else:
            message.lease = seen.lease if seen else self.random.choice([0, self.lease()])
            if message.lease >= SYMBOL_BASE:  # which of two servers' own ids is greater is theirs
                message.result = self.random.choice([pb.Compare.EQUAL, pb.Compare.NOT_EQUAL])
        self._make_odd(message)
        return message

    def _make_odd(self, compare) -> None:
        """Sometimes: no value, one of another target, or an enumerator that is none."""
        if not self.chance(RARELY):
            return
        odd = self.random.randrange(4)
        if odd == 0:
            compare.ClearField("target_union")
        elif odd == 1:
            compare.version = 1
        elif odd == 2:
            compare.result = 9
        else:
            compare.target = 9

    def txn_message(self, depth: int, unused: list[bytes] | None):
        """With `unused`, every put or delete takes a key of its own from there, so that none is a duplicate."""
        message = pb.TxnRequest()
        for _ in range(self.random.choice([0, 0, 1, 1, 1, 2, 3])):
            message.compare.append(self.compare())
        # Each branch for itself: they exclude each other, at the top.
        for branch in (message.success, message.failure):
            left = list(unused) if depth == 0 and unused is not None else unused
            for _ in range(self.random.choice([0, 1, 1, 2, 3, 4])):
                self._add_operation(branch, depth, left)
        return message

    def _add_operation(self, branch, depth: int, unused: list[bytes] | None) -> None:
        op = branch.add()
        kind = self.random.random()
        if self.chance(0.003):
            return  # one that asks for nothing
        if kind < 0.15 and depth < 3:
            op.request_txn.CopyFrom(self.txn_message(depth + 1, unused))
        elif kind < 0.5 or (unused is not None and not unused):
            op.request_range.CopyFrom(self.range_message())
            if not self.chance(SELDOM):  # one bad revision spoils the whole transaction
                op.request_range.revision = 0 if self.chance(0.7) else self.random.randint(
                    max(1, self.compacted), self.revision)
        elif kind < 0.8:
            op.request_put.CopyFrom(self.put_message(unused.pop() if unused else None))
            if not self.chance(SELDOM):  # so does the absent key of a put that keeps what it had
                op.request_put.ignore_value = op.request_put.ignore_lease = False
        elif unused is not None:
            op.request_delete_range.CopyFrom(pb.DeleteRangeRequest(key=unused.pop(), prev_kv=self.chance(OFTEN)))
        else:
            op.request_delete_range.CopyFrom(self.delete_message(single=0.7))

    def txn(self) -> Request:
        if self.chance(0.01):
            return Request("KV.Txn", self._txn_too_long())
        if self.chance(0.15):
            return Request("KV.Txn", self._txn_of_reads())
        unused = None
        if self.chance(0.75):
            unused = self.random.sample(KEYS, len(KEYS))
        return Request("KV.Txn", self.txn_message(0, unused))

    def _txn_of_reads(self):
        message = pb.TxnRequest(compare=[self.compare() for _ in range(self.random.randint(0, 2))])
        for branch in (message.success, message.failure):
            for _ in range(self.random.randint(0, 3)):
                branch.add().request_range.CopyFrom(self.range_message())
        return message

    def _txn_too_long(self):
        """As many operations as are allowed, or one more, at one level or over two."""
        message = pb.TxnRequest()
        inner, spent = message, 0
        if self.chance(OFTEN):
            spent = self.random.randint(1, 5)
            for _ in range(spent):
                message.failure.add().request_range.key = b"a"
            inner = message.success.add().request_txn
        parts = self.random.choice([inner.compare, inner.success, inner.failure])
        for _ in range(TXN_OPS_MAX - spent + self.random.randint(0, 1)):
            part = parts.add()
            if parts is inner.compare:
                part.key = b"a"
            else:
                part.request_range.CopyFrom(pb.RangeRequest(key=b"a", keys_only=True))
        return message

    # ---- leases ----

    def lease_grant(self) -> Request:
        lease = 0 if self.chance(0.2) and self.symbols < SYMBOLS_MAX else self.random.choice(CHOSEN_LEASES)
        ttl = self.random.choice(TTLS_TOO_LARGE if self.chance(SELDOM) else TTLS)
        return Request("Lease.LeaseGrant", pb.LeaseGrantRequest(TTL=ttl, ID=lease))

    def lease_revoke(self) -> Request:
        return Request("Lease.LeaseRevoke", pb.LeaseRevokeRequest(ID=self.lease()))

    def lease_time_to_live(self) -> Request:
        return Request("Lease.LeaseTimeToLive", pb.LeaseTimeToLiveRequest(
            ID=0 if self.chance(RARELY) else self.lease(), keys=self.chance(0.7)))

    def lease_leases(self) -> Request:
        return Request("Lease.LeaseLeases", pb.LeaseLeasesRequest())

    # ---- what is refused ----

    def bad_sort(self) -> Request:
        """3.6 and later refuse an order or target that is none; 3.4 takes it for some other, in silence."""
        message = pb.RangeRequest(key=b"a", range_end=OPEN_END, sort_order=self.random.choice([1, 7]))
        message.sort_target = 9 if message.sort_order == 1 else self.random.randrange(5)
        settled = ("INVALID_ARGUMENT", "etcdserver: invalid sort option")
        if self.chance(OFTEN):
            return Request("KV.Range", message, settled)
        ops = [pb.RequestOp(request_put=pb.PutRequest(key=b"a")), pb.RequestOp(request_range=message)]
        return Request("KV.Txn", pb.TxnRequest(failure=ops), settled)

    def too_large(self) -> Request:
        size = REQUEST_BYTES_MAX + self.random.choice([10, 300_000, 600_000])
        return Request("KV.Put", pb.PutRequest(key=b"a", value=bytes(size)))

    def next(self) -> Request:
        """A request of a random kind."""
        makers, weights = zip(*self._kinds)
        return self.random.choices(makers, weights)[0]()
