"""Requests that must be refused, each with the reference's words and code, and nothing changed."""

from differential.steps import Case, ctl

CASES = [
    Case("keys and flags", [
        ctl("put '' v"),
        ctl("put k"),
        ctl("put"),
        ctl("get"),
        ctl("get ''"),
        ctl("get a b c d"),
        ctl("get a --prefix --from-key"),
        ctl("get a b --prefix"),
        ctl("get a --order x"),
        ctl("get a --sort-by x"),
        ctl("get a --consistency x"),
        ctl("get a -w nonsense"),
        ctl("del"),
        ctl("del ''"),
        ctl("del a --prefix --from-key"),
        ctl("nonsense"),
        ctl("get '' --prefix -w json"),
    ]),
    Case("too large", [
        # An etcdctl argument may not be longer than 128 KiB; standard input may.
        ctl("put within", stdin="x" * 1_500_000),
        ctl("put beyond", stdin="x" * 1_600_000),
        ctl("put far-beyond", stdin="x" * 2_100_000),
        ctl("get '' --prefix --keys-only"),
        ctl("put within small"),
        ctl("get within -w json"),
    ]),
    Case("too large for a follower too", [
        ctl("put beyond", stdin="x" * 1_600_000),
        ctl("put far-beyond", stdin="x" * 2_100_000),
        ctl("get '' --prefix -w json"),
    ], via="follower"),
    Case("revisions", [
        ctl("put k 1"),
        ctl("put k 2"),
        ctl("get k --rev {rev+3}"),
        ctl("compaction {rev+2}"),
        ctl("get k --rev {rev+1}"),
        ctl("get k --rev {rev+2}"),
        ctl("compaction {rev+3}"),
        ctl("compaction {rev+2}"),
    ], via="follower"),
]
