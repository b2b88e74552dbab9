"""etcdctl del."""

from differential.steps import Case, ctl

FILL = [ctl(f"put {key} v-{key}") for key in ("a", "b/1", "b/2", "b/3", "c", "d")]

CASES = [
    Case("one key", FILL + [
        ctl("del a"),
        ctl("del a"),
        ctl("del absent -w json"),
        ctl("del c -w json"),
        ctl("del d -w fields"),
        ctl("get '' --prefix --keys-only"),
        ctl("put a again -w json"),
        ctl("get a -w json"),
    ], via="follower"),
    Case("prev-kv", FILL + [
        ctl("del a --prev-kv"),
        ctl("del a --prev-kv"),
        ctl("del b/ --prefix --prev-kv"),
        ctl("del c e --prev-kv -w json"),
        ctl("put x y"),
        ctl("del x --prev-kv -w fields"),
    ]),
    Case("ranges", FILL + [
        ctl("del b/1 b/3"),
        ctl("get '' --prefix -w json"),
        ctl("del b/ --prefix"),
        ctl("del d b"),
        ctl("del c --from-key"),
        ctl("get '' --from-key -w json"),
        ctl("del '' --prefix"),
        ctl("get '' --prefix -w json"),
        ctl("del '' --from-key -w json"),
    ]),
]
