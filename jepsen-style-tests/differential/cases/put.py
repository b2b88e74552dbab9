"""etcdctl put."""

from differential.steps import Case, ctl

CASES = [
    Case("put and overwrite", [
        ctl("put k one"),
        ctl("put k two"),
        ctl("get k -w json"),
        ctl("put k two -w json"),
        ctl("put k three -w fields"),
        ctl("get k -w fields"),
    ]),
    Case("put --prev-kv", [
        ctl("put new v --prev-kv"),
        ctl("put new w --prev-kv"),
        ctl("put other v --prev-kv -w json"),
        ctl("put other w --prev-kv -w json"),
        ctl("put other x --prev-kv -w fields"),
    ], via="follower"),
    Case("values of every sort", [
        ctl("put empty ''"),
        ctl("get empty -w json"),
        ctl("put spaces '  a b  '"),
        ctl("get spaces"),
        ctl("put lines -- 'one\ntwo'"),
        ctl("get lines"),
        ctl("put piped", stdin="from\nstandard input"),
        ctl("get piped -w json"),
        ctl("put -- -dash -value"),
        ctl("get -- -dash"),
        ctl("put ключ значение"),
        ctl("get ключ"),
        ctl("get ключ -w json"),
        ctl("get ключ --hex"),
    ]),
    Case("put --ignore-value and --ignore-lease", [
        ctl("put k --ignore-value"),
        ctl("put k v --ignore-lease"),
        ctl("put k v"),
        ctl("put k --ignore-value -w json"),
        ctl("get k -w json"),
        ctl("lease grant 300", saves={"lease": r"lease (\w+) granted"}),
        ctl("put k --lease={lease} --ignore-value"),
        ctl("get k -w json"),
        ctl("put k other --ignore-lease"),
        ctl("get k -w json"),
        ctl("put k detached"),
        ctl("get k -w json"),
        ctl("put k v --lease={lease} --ignore-lease"),
        ctl("lease revoke {lease}"),
    ], via="follower"),
]
