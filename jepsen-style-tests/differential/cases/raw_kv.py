"""KV by gRPC: what etcdctl cannot say. Responses are compared field by field, errors by code and text."""

from cluster.rpc import pb
from differential.steps import Case, call, ctl

FILL = [ctl("put k v1"), ctl("put k v2"), ctl("put n 10"), ctl("put r/1 a"), ctl("put r/2 b"), ctl("put r/3 c")]


def put(key: bytes, value: bytes = b"", **fields):
    return pb.RequestOp(request_put=pb.PutRequest(key=key, value=value, **fields))


def get(key: bytes, **fields):
    return pb.RequestOp(request_range=pb.RangeRequest(key=key, **fields))


def delete(key: bytes, range_end: bytes = b"", **fields):
    return pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key, range_end=range_end, **fields))


def nested(compare=(), success=(), failure=()):
    return pb.RequestOp(request_txn=pb.TxnRequest(compare=compare, success=success, failure=failure))


def compare(target: str, result: str, key: bytes, **fields):
    return pb.Compare(target=target, result=result, key=key, **fields)


def txn(note: str, compare=(), success=(), failure=()):
    return call("KV.Txn", note, compare=compare, success=success, failure=failure)


RESULTS = ("EQUAL", "GREATER", "LESS", "NOT_EQUAL")

CASES = [
    Case("a key twice", [
        txn("put, put", success=[put(b"a", b"1"), put(b"a", b"2")]),
        txn("put, delete", success=[put(b"a", b"1"), delete(b"a")]),
        txn("delete, put", success=[delete(b"a"), put(b"a", b"1")]),
        txn("put in a deleted range", success=[put(b"b", b"1"), delete(b"a", b"c")]),
        txn("put at the end of a deleted range", success=[put(b"c", b"1"), delete(b"a", b"c")]),
        txn("delete, delete", success=[delete(b"a"), delete(b"a", b"b"), delete(b"a")]),
        txn("put in both branches", success=[put(b"a", b"1")], failure=[put(b"a", b"2")]),
        txn("put in both branches of a nested one", success=[nested((), [put(b"a", b"1")], [put(b"a", b"2")])]),
        txn("put in two nested ones", success=[nested((), [put(b"a", b"1")]), nested((), [put(b"a", b"2")])]),
        txn("put outside and in a nested one", success=[put(b"a", b"1"), nested((), [put(b"a", b"2")])]),
        txn("put and a nested delete", success=[put(b"a", b"1"), nested((), [delete(b"a")])]),
        txn("put twice in the branch not taken", compare=[compare("VERSION", "GREATER", b"zz", version=0)],
            success=[put(b"a", b"1"), put(b"a", b"2")], failure=[]),
        txn("put and delete from the key on", success=[put(b"a", b"1"), delete(b"a", b"\0")]),
        call("KV.Range", "everything", key=b"\0", range_end=b"\0"),
    ]),
    Case("too many operations", [
        txn("128 puts", success=[put(b"p%03d" % i, b"v") for i in range(128)]),
        txn("129 puts", success=[put(b"q%03d" % i, b"v") for i in range(129)]),
        txn("129 compares", compare=[compare("VERSION", "EQUAL", b"x%d" % i, version=0) for i in range(129)]),
        txn("129 in the branch not taken", failure=[get(b"x%d" % i) for i in range(129)]),
        txn("what a nested one may use", success=[nested((), [put(b"q%03d" % i) for i in range(127)])]),
        txn("more than a nested one may use", success=[nested((), [put(b"s%03d" % i) for i in range(128)])]),
        call("KV.Range", "how many", key=b"\0", range_end=b"\0", count_only=True),
    ], via="follower"),
    Case("nested transactions", FILL + [
        txn("compares see the state before the whole",
            success=[put(b"k", b"v3"), nested([compare("VALUE", "EQUAL", b"k", value=b"v2")],
                                              [get(b"k")], [get(b"n")])]),
        txn("two levels", success=[
            nested([compare("VERSION", "EQUAL", b"absent", version=1)], [], [
                put(b"deep", b"1"), nested((), [get(b"deep"), put(b"deeper", b"2")]), get(b"deeper")])]),
        txn("empty ones", success=[nested(), nested((), [nested()])]),
        txn("reads only", success=[nested((), [get(b"k")])]),
        txn("an unset operation", success=[pb.RequestOp()]),
        txn("a nested unset operation", success=[nested((), [pb.RequestOp()])]),
        call("KV.Range", "everything", key=b"\0", range_end=b"\0"),
    ]),
    Case("compares", FILL + [
        txn(f"{target} {result} of {key.decode()}", compare=[compare(target, result, key, **{field: value})],
            success=[get(b"k", keys_only=True)])
        for target, field, value in (("LEASE", "lease", 0), ("LEASE", "lease", 7), ("VALUE", "value", b"v2"),
                                     ("VERSION", "version", 2))
        for result in RESULTS
        for key in (b"k", b"absent")
    ] + [
        txn("over a range, all alike", compare=[compare("VERSION", "EQUAL", b"r/", range_end=b"r0", version=1)]),
        txn("over a range, one differs", compare=[compare("VALUE", "LESS", b"r/", range_end=b"r0", value=b"c")]),
        txn("over everything", compare=[compare("VERSION", "LESS", b"\0", range_end=b"\0", version=3)]),
        txn("over an empty range", compare=[compare("VERSION", "EQUAL", b"y", range_end=b"z", version=0)]),
        txn("values over an empty range", compare=[compare("VALUE", "NOT_EQUAL", b"y", range_end=b"z", value=b"")]),
        txn("no value given", compare=[compare("VERSION", "GREATER", b"k")]),
        txn("an empty key", compare=[compare("VERSION", "EQUAL", b"", version=0)]),
    ]),
    Case("reads within a transaction", FILL + [
        txn("see what was written before them", success=[
            get(b"r/", range_end=b"r0"), delete(b"r/2"), put(b"r/4", b"d"), get(b"r/", range_end=b"r0"), put(b"r/5"),
            get(b"r/", range_end=b"r0", count_only=True)]),
        txn("of a future revision", success=[put(b"never", b"1"), get(b"k", revision=1 << 40)]),
        txn("with limit and sort", success=[
            get(b"r/", range_end=b"r0", limit=2, sort_order="DESCEND", sort_target="VALUE")]),
        txn("serializable ones", success=[get(b"k", serializable=True)]),
        call("KV.Range", "nothing was written by the second", key=b"never"),
    ], via="follower"),
    Case("ranges", FILL + [
        call("KV.Range", "end before key", key=b"r", range_end=b"k"),
        call("KV.Range", "from a key on", key=b"n", range_end=b"\0"),
        call("KV.Range", "count only, with a limit", key=b"\0", range_end=b"\0", count_only=True, limit=1),
        call("KV.Range", "keys only, limited", key=b"r/", range_end=b"r0", keys_only=True, limit=2),
        call("KV.Range", "negative limit and revision", key=b"r/", range_end=b"r0", limit=-1, revision=-1),
        call("KV.Range", "empty key", key=b"", range_end=b"z"),
        call("KV.Range", "least modification", lambda held: pb.RangeRequest(
            key=b"\0", range_end=b"\0", min_mod_revision=int(held["rev"]) + 4)),
        call("KV.Range", "most modification", lambda held: pb.RangeRequest(
            key=b"\0", range_end=b"\0", max_mod_revision=int(held["rev"]) + 4)),
        call("KV.Range", "creation between", lambda held: pb.RangeRequest(
            key=b"\0", range_end=b"\0", min_create_revision=int(held["rev"]) + 3,
            max_create_revision=int(held["rev"]) + 5, limit=2)),
        call("KV.Range", "sorted by a target without an order", key=b"r/", range_end=b"r0", sort_target="VALUE"),
        call("KV.Range", "keys descending", key=b"r/", range_end=b"r0", sort_order="DESCEND", limit=2),
    ]),
    Case("puts", FILL + [
        call("KV.Put", "previous", key=b"k", value=b"v3", prev_kv=True),
        call("KV.Put", "no previous", key=b"new", value=b"v", prev_kv=True),
        call("KV.Put", "value given and ignored", key=b"k", value=b"v", ignore_value=True),
        call("KV.Put", "lease given and ignored", key=b"k", lease=1, ignore_lease=True),
        call("KV.Put", "keeps both", key=b"k", ignore_value=True, ignore_lease=True, prev_kv=True),
        call("KV.Put", "ignores the value of nothing", key=b"absent", ignore_value=True),
        call("KV.Put", "empty key", value=b"v"),
        call("KV.Put", "unknown lease", key=b"k", lease=77),
        call("KV.Put", "bytes that are no text", key=b"\xff\x00\xfe", value=b"\x80\x00"),
        call("KV.Range", "everything", key=b"\0", range_end=b"\0"),
    ], via="follower"),
    Case("deletes", FILL + [
        call("KV.DeleteRange", "nothing", key=b"absent", prev_kv=True),
        call("KV.DeleteRange", "end before key", key=b"r", range_end=b"k"),
        call("KV.DeleteRange", "previous, in order", key=b"r/", range_end=b"r0", prev_kv=True),
        call("KV.DeleteRange", "empty key"),
        call("KV.DeleteRange", "from a key on", key=b"n", range_end=b"\0"),
        call("KV.Range", "everything", key=b"\0", range_end=b"\0"),
    ]),
    Case("compaction", FILL + [
        call("KV.Compact", "future", revision=1 << 40),
        call("KV.Compact", "negative", revision=-1),
        call("KV.Compact", "to the present", lambda held: pb.CompactionRequest(revision=int(held["rev"]) + 6)),
        call("KV.Compact", "again", lambda held: pb.CompactionRequest(revision=int(held["rev"]) + 6, physical=True)),
        call("KV.Range", "at it", lambda held: pb.RangeRequest(key=b"k", revision=int(held["rev"]) + 6)),
        call("KV.Range", "before it", lambda held: pb.RangeRequest(key=b"k", revision=int(held["rev"]) + 5)),
        call("KV.Txn", "before it", lambda held: pb.TxnRequest(success=[get(b"k", revision=int(held["rev"]) + 5)])),
    ]),
]
