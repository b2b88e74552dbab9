"""etcdctl endpoint, member, move-leader, alarm and defrag. An Alarm answer has a header since 3.5, so no JSON of it."""

from differential.steps import Case, ctl

WRITERS = ("simple", "table", "json", "fields")

CASES = [
    Case("endpoint", [ctl("put a 1")] + [
        ctl(f"endpoint {command} -w {writer}", any_order=command == "health")
        for command in ("status", "health", "hashkv")
        for writer in WRITERS
    ], via="all"),
    Case("endpoint --cluster", [
        ctl("put a 1"),
        ctl("endpoint status --cluster"),
        ctl("endpoint health --cluster", any_order=True),
        ctl("endpoint hashkv --cluster"),
        ctl("endpoint hashkv --rev {rev+1} -w json"),
        ctl("endpoint hashkv --rev 9000000"),
        ctl("compaction {rev+1}"),
        ctl("endpoint hashkv -w json"),
        ctl("endpoint hashkv --rev {rev}"),
    ], via="follower"),
    Case("endpoint of nobody", [
        ctl("endpoint health --dial-timeout 500ms --command-timeout 1s", endpoints="127.0.0.1:1"),
    ]),
    Case("member list", [ctl(f"member list -w {writer}") for writer in WRITERS], via="follower"),
    Case("member errors", [
        ctl("member remove nonsense"),
        ctl("member add m9"),
        ctl("member remove 1234abcd"),
        ctl("member promote 1234abcd"),
        ctl("member promote {member1}"),
        ctl("member update 1234abcd --peer-urls=http://127.0.0.1:1"),
        ctl("member add m9 --peer-urls=ftp://127.0.0.1:1"),
        ctl("member add m9 --peer-urls=http://127.0.0.1:1/path"),
    ], via="follower"),
    Case("move-leader", [
        ctl("move-leader {member1}", endpoints="{all}"),
        ctl("endpoint status", endpoints="{all}"),
        ctl("put after move"),
        ctl("move-leader {member0}", endpoints="{client1}"),
        ctl("put after move again -w json"),
    ], via="leader"),
    Case("move-leader errors", [
        ctl("move-leader {member1}", endpoints="{client1}"),
        ctl("move-leader {member2}", endpoints="{client1},{client2}"),
        ctl("move-leader 1234abcd", endpoints="{all}"),
        ctl("move-leader"),
        ctl("move-leader nonsense", endpoints="{all}"),
    ]),
    Case("alarm and defrag", [
        ctl("alarm list"),
        ctl("alarm disarm"),
        ctl("defrag"),
        ctl("defrag --cluster", any_order=True),
        ctl("get a -w json"),
    ], via="follower"),
    Case("version", [ctl("version")]),
]
