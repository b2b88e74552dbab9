"""etcdctl get: ranges, order, limits, revisions, consistency and writers."""

from differential.steps import Case, ctl

# Values, versions, creation and modification each give another order. No two are equal: ties have no order.
FILL = [
    ctl("put fruit/c 3rd"),
    ctl("put fruit/a 9th"),
    ctl("put fruit/d 1st"),
    ctl("put fruit/b 5th"),
    ctl("put fruit/c 4th"),
    ctl("put fruit/c 2nd"),
    ctl("put fruit/c 6th"),
    ctl("put fruit/b 7th"),
    ctl("put fruit/d 0th"),
    ctl("put fruit/b 8th"),
    ctl("put fruit/e 5th"),
    ctl("del fruit/e"),
    ctl("put fruitless none"),
    ctl("put zebra stripes"),
]

CASES = [
    Case("ranges", FILL + [
        ctl("get fruit/a"),
        ctl("get absent"),
        ctl("get absent -w json"),
        ctl("get absent -w fields"),
        ctl("get fruit/ --prefix"),
        ctl("get fruit/ --prefix -w json"),
        ctl("get fruit/ --prefix -w fields"),
        ctl("get fruit/b fruit/d"),
        ctl("get fruit/b fruit/d -w json"),
        ctl("get fruit/d fruit/b"),
        ctl("get fruit/c --from-key"),
        ctl("get '' --prefix"),
        ctl("get '' --from-key"),
        ctl("get nothing --prefix -w json"),
        ctl("get zz --from-key"),
        ctl("get fruit/a --hex"),
        ctl("get fruit/ --prefix --hex"),
        ctl("get fruit/a -w table"),
        ctl("get fruit/ --prefix --print-value-only"),
        ctl("get fruit/ --prefix --keys-only"),
        ctl("get fruit/ --prefix --keys-only -w json"),
    ]),
    Case("limit and order", FILL + [
        ctl("get fruit/ --prefix --limit 2"),
        ctl("get fruit/ --prefix --limit 2 -w json"),
        ctl("get fruit/ --prefix --limit 4 -w json"),
        ctl("get fruit/ --prefix --limit 2 -w fields"),
        ctl("get fruit/ --prefix --order ASCEND"),
        ctl("get fruit/ --prefix --order DESCEND"),
        ctl("get fruit/ --prefix --order DESCEND --limit 1 -w json"),
        ctl("get fruit/ --prefix --order DESCEND --keys-only --limit 3 -w json"),
    ], via="follower"),
    Case("sort by each target", FILL + [
        ctl(f"get fruit/ --prefix --sort-by {target}{order} {rest}")
        for target in ("CREATE", "KEY", "MODIFY", "VALUE", "VERSION")
        for order in ("", " --order ASCEND", " --order DESCEND")
        for rest in (("--keys-only", "--limit 2 -w json") if order else ("",))
        # Equal versions have no order, and a limit would choose among them: versions are 1, 2, 3 and 4 here.
    ]),
    Case("revisions", FILL + [
        ctl("get fruit/c --rev {rev+1}"),
        ctl("get fruit/c --rev {rev+5} -w json"),
        ctl("get fruit/ --prefix --rev {rev+3} -w json"),
        ctl("get fruit/ --prefix --rev {rev+4} --limit 2 -w json"),
        ctl("get fruit/e --rev {rev+11}"),
        ctl("get fruit/e --rev {rev+12} -w json"),
        ctl("get fruit/ --prefix --rev {rev+8} --sort-by MODIFY --order DESCEND"),
        ctl("get fruit/ --prefix --rev {rev+6} --keys-only"),
        ctl("get fruit/a --rev {rev+14}"),
        ctl("get fruit/a --rev {rev+15}"),
        ctl("get fruit/a --rev 9000000"),
        ctl("get fruit/a --rev -1"),
    ], via="follower"),
    Case("counts", FILL + [
        ctl("get fruit/ --prefix --keys-only --limit 1 -w fields"),
        ctl("get absent --keys-only -w fields"),
        ctl("get fruit/ --prefix --limit 3 --rev {rev+4} -w fields"),
    ]),
    Case("consistency", FILL + [
        ctl("get fruit/c --consistency l"),
        ctl("get fruit/c --consistency s"),
        ctl("get fruit/ --prefix --consistency s -w json"),
        ctl("get fruit/ --prefix --consistency s --rev {rev+5} --limit 2 -w json"),
    ], via="follower"),
    Case("bytes that sort as bytes", [
        ctl("put a 1"),
        ctl("put a/ 2"),
        ctl("put a0 3"),
        ctl("put aa 4"),
        ctl("put A 5"),
        ctl("put é 6"),
        ctl("put ~ 7"),
        ctl("get a --prefix"),
        ctl("get a/ --prefix"),
        ctl("get A --from-key"),
        ctl("get a a0 -w json"),
    ]),
]
