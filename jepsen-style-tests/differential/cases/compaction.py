"""etcdctl compaction of revisions."""

from differential.steps import Case, ctl

FILL = [ctl(f"put k v{i}") for i in range(1, 6)] + [ctl("put gone x"), ctl("del gone"), ctl("put last 1")]

CASES = [
    Case("compaction", FILL + [
        ctl("compaction {rev+3}"),
        ctl("get k --rev {rev+2}"),
        ctl("get k --rev {rev+3} -w json"),
        ctl("get k --rev {rev+4}"),
        ctl("get k -w json"),
        ctl("compaction {rev+3}"),
        ctl("compaction {rev+2}"),
        ctl("compaction {rev+100}"),
        ctl("compaction {rev+5} -w json"),
        ctl("compaction {rev+7} -w fields"),
        ctl("get gone --rev {rev+7} -w json"),
        ctl("get gone --rev {rev+6}"),
        ctl("compaction {rev+8}"),
        ctl("get '' --prefix -w json"),
    ], via="follower"),
    Case("compaction --physical", FILL + [
        ctl("compaction --physical {rev+4}"),
        ctl("compaction --physical {rev+4}"),
        ctl("compaction --physical {rev+50}"),
        ctl("get k --rev {rev+4} -w json"),
        ctl("get k --rev {rev+3}"),
        ctl("put k after -w json"),
        ctl("get '' --prefix -w json"),
    ]),
    Case("bad arguments", [
        ctl("compaction"),
        ctl("compaction x"),
        ctl("compaction 1 2"),
        ctl("compaction -- -1"),
    ]),
]
