#!/usr/bin/python3
"""Changes the members of a cluster under load: grows it from 1 to 3 to 5, replaces each member, shrinks it to 1.

All by etcdctl, as an operator would. Every write must succeed within 2 s, tried again where it failed, and every
acknowledged one must be there in the end. Who was removed must end by itself and never come back; who lost its data must
say that it has to be replaced.

    run.py --server build/release/bin/conclave --rounds 50
"""

import argparse
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from cluster import Binary  # noqa: E402
from membership.changing_cluster import ChangingCluster  # noqa: E402
from membership.load import Load  # noqa: E402


class Round:
    """One way from 1 member to 5 and back, all five of them new ones."""

    def __init__(self, cluster: ChangingCluster, load: Load, label: str):
        self._cluster = cluster
        self._load = load
        self._label = label

    def run(self) -> None:
        began = time.monotonic()
        for size in range(2, 6):
            # Every second one the careful way: as a learner first.
            self._add(learner=size % 2 == 1)
        self._cluster.check_equal()
        for number, member in enumerate(list(self._cluster.members)):
            self._replace(member, number)
        self._cluster.check_equal()
        while len(self._cluster.members) > 1:
            self._remove(self._cluster.members[0])
        print(f"{self._label}: {time.monotonic() - began:.0f} s; slowest write so far {self._load.worst_s * 1000:.0f} ms, "
              f"{len(self._load.acknowledged)} acknowledged", flush=True)

    def _add(self, learner: bool) -> None:
        self._cluster.add(learner)
        self._load.endpoints = self._cluster.endpoints

    def _remove(self, member) -> None:
        # Clients are told first, as they would be by an operator; those that ask it nevertheless find another.
        self._load.endpoints = [address for address in self._cluster.endpoints if address != member.client_address]
        self._cluster.remove(member)

    def _replace(self, member, number: int) -> None:
        """By the three ways in which members go: in health, dead, and without their data."""
        if number % 3 == 0:
            self._remove(member)
        elif number % 3 == 1:
            self._cluster.remove_dead(member)
        else:
            self._cluster.wipe(member)
            self._cluster.forget(member)
        self._add(learner=False)


def main() -> int:
    parser = argparse.ArgumentParser(description="Members come and go under load; no write may be lost or take over 2 s.")
    parser.add_argument("--server", required=True, help="server program under test")
    parser.add_argument("--rounds", type=int, default=1, help="how often the cluster grows and shrinks (default 1)")
    parser.add_argument("--json", action="store_true", help="end with a line of JSON")
    parser.add_argument("--keep", action="store_true", help="keep the cluster's directory")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    with ChangingCluster(Binary.of(options.server), options.keep) as cluster:
        load = Load(cluster.endpoints)
        load.start()
        try:
            cluster.interrupt_joining()
            for i in range(options.rounds):
                Round(cluster, load, f"round {i + 1}/{options.rounds}").run()
                assert load.is_running(), "a writer has ended"
        finally:
            load.stop()
        lost = cluster.missing(load.acknowledged)
    well = not lost and not load.slow
    for key, took_s in load.slow[:20]:
        print(f"the write of {key} took {took_s:.1f} s")
    print(f"{len(load.acknowledged)} writes acknowledged, the slowest after {load.worst_s * 1000:.0f} ms, "
          f"{len(load.slow)} not mended in time; "
          f"{'all read back' if not lost else f'{len(lost)} NOT READ BACK, such as {lost[:5]}'}")
    if options.json:
        print(json.dumps({"rounds": options.rounds, "acknowledged": len(load.acknowledged), "slow": len(load.slow),
                          "worst_ms": round(load.worst_s * 1000), "lost": len(lost), "well": well}))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
