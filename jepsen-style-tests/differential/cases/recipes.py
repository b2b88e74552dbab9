"""etcdctl lock and elect: leases, transactions, reads and watches as recipes put them together."""

import signal

from differential.steps import Await, Case, End, Silent, Start, ctl

CASES = [
    Case("lock around a command", [
        ctl("lock m -- sh -c 'echo inside; test -n \"$ETCD_LOCK_KEY\" && echo with a key'"),
        ctl("lock m -- sh -c 'exit 3'"),
        ctl("get m --prefix -w json"),
        ctl("lease list", any_order=True),
    ]),
    Case("lock held, and two who want it", [
        Start("first", "lock m"),
        Await("first", 1),
        ctl("get m --prefix --keys-only"),
        ctl("get m --prefix -w json"),
        Start("second", "lock m"),
        ctl("get m --prefix --keys-only", until="(?s)m/.*m/"),
        Silent("second", 0),
        End("first"),
        Await("second", 1),
        ctl("get m --prefix --keys-only"),
        End("second", by=signal.SIGTERM),
        ctl("get m --prefix -w json"),
        ctl("lease list", any_order=True),
    ], via="follower"),
    Case("lock --ttl", [
        Start("lock", "lock n --ttl 30"),
        Await("lock", 1),
        ctl("lease list", saves={"lease": r"(?m)^([0-9a-f]{12,16})$"}),
        ctl("lease timetolive {lease}"),
        End("lock"),
        ctl("lock n --ttl x"),
    ]),
    Case("elect, observe, succeed", [
        Start("first", "elect e one"),
        Await("first", 2),
        Start("observer", "elect -l e"),
        Await("observer", 2),
        Start("second", "elect e two"),
        ctl("get e --prefix --keys-only", until="(?s)e/.*e/"),
        Silent("second", 0),
        ctl("get e --prefix --print-value-only"),
        ctl("get e --prefix --keys-only --limit 1 --sort-by CREATE", saves={"leader": r"(e/\w+)"}),
        ctl("put {leader} proclaimed --ignore-lease"),
        Await("observer", 4),
        End("first"),
        Await("second", 2),
        Await("observer", 6),
        End("second"),
        End("observer", heed_stderr=False),
        ctl("get e --prefix -w json"),
        ctl("lease list", any_order=True),
    ], via="follower"),
    Case("bad arguments", [
        ctl("lock"),
        ctl("elect"),
        ctl("elect -l"),
        ctl("elect e one two"),
    ]),
]
