#!/usr/bin/python3
"""Attacks a server and sees after each attack that it serves, on a connection from before and on a new one, and that
nothing acknowledged is lost.

    run.py --server build/release/bin/conclave
    run.py --server etcd            etcd 3.4, as far as it bears the same
"""

import argparse
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import grpc  # noqa: E402

from cluster import Binary, Cluster, rpc  # noqa: E402
from hostile.attacks import ATTACKS, Refusal, Target, must, must_serve  # noqa: E402


MEMORY_GROWTH_MAX_KB = 256 * 1024


def resident_kb(pid: int) -> int:
    """The memory that a process holds."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


class Witness:
    """A good client that was there before the attacks, writes after each of them and forgets nothing."""

    def __init__(self, address: str):
        self._connection = rpc.Connection(address)
        self._revisions: dict[bytes, int] = {}

    def write(self, name: str) -> None:
        key = b"witness/" + name.encode()
        self._revisions[key] = self._connection.call("KV.Put", key=key, value=name.encode()).header.revision

    def read_all_back(self) -> None:
        response = self._connection.call("KV.Range", key=b"witness/", range_end=b"witness0")
        held = {pair.key: pair.mod_revision for pair in response.kvs}
        must(held == self._revisions, f"held {held}, acknowledged {self._revisions}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Hostile input; the server must stay up and lose nothing.")
    parser.add_argument("--server", required=True, help="server program under test")
    parser.add_argument("--attack", action="append", default=[], help="only this one; may be repeated")
    parser.add_argument("--keep", action="store_true", help="keep the server's directory")
    options = parser.parse_args()
    chosen = [attack for attack in ATTACKS if not options.attack or attack.__name__ in options.attack]
    if not chosen:
        parser.error(f"no such attack (expected some of: {', '.join(attack.__name__ for attack in ATTACKS)})")
    failed = 0
    with Cluster(Binary.of(options.server), 1, options.keep) as cluster:
        member = cluster.members[0]
        target = Target(member.client_address, cluster.binary.kind == "conclave")
        witness = Witness(member.client_address)
        witness.write("before")
        memory_kb = resident_kb(member.pid)
        for attack in chosen:
            began = time.monotonic()
            try:
                attack(target)
                must(member.is_running(), "the server has ended")
                must_serve(target)
                witness.write(attack.__name__)
                witness.read_all_back()
                grown_kb = resident_kb(member.pid) - memory_kb
                must(not target.ours or grown_kb < MEMORY_GROWTH_MAX_KB, f"its memory has grown by {grown_kb} KiB")
                verdict = "borne"
            except (Refusal, grpc.RpcError, OSError) as failure:
                verdict = f"FAILED: {failure}"
                failed += 1
            print(f"{attack.__name__:22} {verdict} ({time.monotonic() - began:.1f} s)", flush=True)
            if not member.is_running():
                print(member.log_tail())
                return 1
    print(f"hostile: {len(chosen)} attacks, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
