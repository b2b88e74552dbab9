"""etcdctl txn: compares of every kind, both branches, one revision for all."""

from differential.steps import Case, ctl

FILL = [ctl("put k v1"), ctl("put k v2"), ctl("put n 10")]


def txn(compares: str, success: str, failure: str, options: str = ""):
    """A transaction on standard input: three paragraphs, each ended by an empty line."""
    return ctl(f"txn {options}".strip(), stdin="".join(f"{part}\n\n" if part else "\n" for part in
                                                       (compares, success, failure)))


COMPARES = [
    f"{target}(\"{key}\") {operator} \"{value}\""
    for target, values in (
        ("value", ("v1", "v2", "v3")),
        ("version", ("1", "2", "3")),
        ("create", ("{rev}", "{rev+1}", "{rev+2}")),
        ("mod", ("{rev+1}", "{rev+2}", "{rev+3}")),
    )
    for operator in ("=", "<", ">")
    for key in ("k",)
    for value in values
] + [
    f"{target}(\"absent\") {operator} \"{value}\""
    for target, value in (("value", ""), ("version", "0"), ("create", "0"), ("mod", "0"))
    for operator in ("=", ">", "<")
]

CASES = [
    Case("compares", FILL + [txn(compare, "get k", "get n") for compare in COMPARES]),
    Case("several compares", FILL + [
        txn('value("k") = "v2"\nversion("k") = "2"\nmod("n") > "0"', "put done yes", "put done no"),
        ctl("get done -w json"),
        txn('value("k") = "v2"\nversion("k") = "3"', "put done yes", "put done no"),
        ctl("get done -w json"),
    ]),
    Case("operations", FILL + [
        txn("", "get k\nput k v3\nget k\ndel n\nget n\nput m 1", ""),
        ctl("get '' --prefix -w json"),
        txn('version("k") > "100"', "put k never", "put a 1\nput b 2\nput c 3\nget --prefix \"\""),
        ctl("get '' --prefix -w json"),
        txn('version("absent") = "0"', "", "put never 1"),
        txn('version("absent") > "0"', "put never 1", ""),
        ctl("get '' --prefix -w json"),
        txn("", "del absent", "", "-w json"),
        txn("", "put k v4\nput l v\ndel m", "", "-w json"),
        txn("", "get k\nget absent\ndel a b\nput z z", "", "-w fields"),
        txn("", "get --prefix \"\" --limit 2 --order DESCEND", "", "-w json"),
        txn("", "get k --rev {rev+1}", "", "-w json"),
        txn("", "put k v5 --prev-kv\ndel --prefix l --prev-kv", "", "-w json"),
    ], via="follower"),
    Case("reads only", FILL + [
        txn("", "get k\nget n", "", "-w json"),
        txn('value("k") = "v2"', "get k", "get n", "-w json"),
        txn("", "", "", "-w json"),
        ctl("get k -w json"),
    ], via="follower"),
    Case("errors leave nothing behind", FILL + [
        txn("", "put a 1\nput a 2", ""),
        txn("", "put a 1\ndel a", ""),
        txn("", "put a 1\ndel --prefix a", ""),
        txn("", "", "put a 1\nput a 2"),
        txn("", "del a\ndel a", ""),
        txn("", "put a 1\nget a\nget --prefix a", ""),
        txn("", "put b 1\nget k --rev 9000000", ""),
        txn("", "put b 1\nput c 1 --lease=1234abcd", ""),
        txn("", "put b 1\nput c --ignore-value", ""),
        txn("", "put \"\" 1", ""),
        txn('value("") = "1"', "put b 1", ""),
        txn('nonsense("k") = "1"', "put b 1", ""),
        ctl("get '' --prefix -w json"),
    ]),
    Case("128 operations and no more", [
        txn("", "\n".join(f"put many/{i:03} {i}" for i in range(128)), ""),
        txn("", "\n".join(f"put more/{i:03} {i}" for i in range(129)), ""),
        txn("\n".join(f'version("x/{i}") = "0"' for i in range(129)), "put more/x y", ""),
        txn("", "", "\n".join(f"get more/{i:03}" for i in range(129))),
        ctl("get m --prefix --keys-only"),
        ctl("get many/ --prefix --limit 3 -w json"),
    ], via="follower"),
]
