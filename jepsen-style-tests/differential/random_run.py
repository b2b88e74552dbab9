#!/usr/bin/python3
"""Sends the same random requests to two servers, one after the other, and compares all replies and event streams.

    random_run.py --subject build/release/bin/conclave                  ours beside Debian's etcd, a fresh seed
    random_run.py --subject ... --seed 7 --requests 50000               again, or longer
    random_run.py --subject etcd                                        etcd beside etcd: must find nothing

Exit status 1 when anything differs. docs/testing.md says what is compared.
"""

import argparse
import collections
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import grpc  # noqa: E402

from cluster import Binary, Cluster, rpc  # noqa: E402
from cluster.rpc import pb  # noqa: E402
from differential.random_replies import (  # noqa: E402
    Failure, LeaseSymbols, decode, differing, replace_leases, split_header)
from differential.random_requests import SYMBOL_BASE, Generator, Request  # noqa: E402
from differential.random_watches import Channel, Difference, Watches  # noqa: E402

METHODS = ("KV.Range", "KV.Put", "KV.DeleteRange", "KV.Txn", "KV.Compact", "Lease.LeaseGrant", "Lease.LeaseRevoke",
           "Lease.LeaseTimeToLive", "Lease.LeaseLeases")
WATCH_STEPS = 0.04
KEEP_ALIVES = 0.02
SHORT_LEASES = 0.002
REVISIONS_MAX = 3000  # that are not compacted
CALL_TIMEOUT_S = 20
SYMBOL_MARK = b"\x80" * 7 + b"\x10"  # the end of a symbol's encoding
TEXT_CHARACTERS_MAX = 6000
PROGRESS_EVERY_S = 10.0
MEMORY = "/dev/shm"


class Side:
    """One of the two servers: the only member of its cluster, or a follower."""

    def __init__(self, cluster: Cluster):
        leader = cluster.leader()
        self.member = next((member for member in cluster.members if member is not leader), leader)
        self.leads = self.member is leader
        self.connection = rpc.Connection(self.member.client_address)
        self.leases = LeaseSymbols()
        self._calls = {method: self.connection.undecoded(method) for method in METHODS}
        self._renewals: list = []
        self._keep_alive = Channel(self.connection, "Lease.LeaseKeepAlive", self._renewals.append)

    def call(self, method: str, request) -> bytes | Failure:
        """The encoded response, or the status."""
        encoded = request.SerializeToString()
        if SYMBOL_MARK in encoded:
            copy = type(request).FromString(encoded)
            replace_leases(copy, self.leases.ids)
            encoded = copy.SerializeToString()
        try:
            return self._calls[method](encoded, timeout=CALL_TIMEOUT_S)
        except grpc.RpcError as error:
            return Failure(error)

    def renew(self, lease: int) -> bytes:
        """The encoded answer to a keepalive; none at all is empty."""
        before = len(self._renewals)
        self._keep_alive.send(pb.LeaseKeepAliveRequest(ID=self.leases.ids.get(lease, lease)))
        self._keep_alive.wait(lambda: len(self._renewals) > before)
        return b"".join(answer.SerializeToString() for answer in self._renewals[before:])

    def close(self) -> None:
        self._keep_alive.close()
        self.connection.close()


class Run:
    """One seed on one fresh pair of servers."""

    def __init__(self, clusters: list[Cluster], seed: int, counts: collections.Counter):
        self._counts = counts
        self._sides = [Side(cluster) for cluster in clusters]
        self._leads = self._sides[0].leads
        self._leases = [side.leases for side in self._sides]
        self._generator = Generator(seed, self._leads)
        self._watches = Watches(
            self._generator, [side.connection for side in self._sides], [side.member for side in self._sides],
            [side.leases.symbols for side in self._sides], self._call)
        self.requests = 0
        self.request: Request | None = None  # the last one

    def step(self) -> None:
        """Makes one random request, or the few that belong together. Raises Difference."""
        generator = self._generator
        kind = generator.random.random()
        self.requests += 1
        self.request = None
        if kind < WATCH_STEPS:
            self._counts[self._watches.step()] += 1
        elif kind < WATCH_STEPS + KEEP_ALIVES:
            if self._leads:
                self._renew(0 if generator.chance(0.05) else generator.lease())
        elif kind < WATCH_STEPS + KEEP_ALIVES + SHORT_LEASES:
            self._grant_short()
        elif generator.revision - generator.compacted > REVISIONS_MAX:
            self._compact(generator.compact_most())
        else:
            request = generator.next()
            self._compact(request) if request.method == "KV.Compact" else self._call(request)

    def finish(self) -> None:
        """Compares what is under way. Raises Difference."""
        self._watches.sync()

    def close(self) -> None:
        self._watches.close()
        for side in self._sides:
            side.close()

    def _compact(self, request: Request) -> None:
        self._watches.sync()  # a watcher that it overtakes is cancelled, which would be a matter of time
        self._call(request)

    def _grant_short(self) -> None:
        """A TTL below the least there is; revoked before it can run out."""
        lease = self._generator.random.choice([77, -77])
        grant = pb.LeaseGrantRequest(ID=lease, TTL=self._generator.random.choice([1, 0, -5]))
        self._call(Request("Lease.LeaseGrant", grant))
        self._call(Request("KV.Put", pb.PutRequest(key=b"a", lease=lease)))
        self._call(Request("Lease.LeaseRevoke", pb.LeaseRevokeRequest(ID=lease)))

    def _renew(self, lease: int) -> None:
        method = "Lease.LeaseKeepAlive"
        self.request = Request(method, pb.LeaseKeepAliveRequest(ID=lease))
        self._compare(self.request, [side.renew(lease) for side in self._sides])

    def _call(self, request: Request) -> None:
        """Makes a unary call on both sides, compares, and tells the generator. Raises Difference."""
        self.request = request
        if request.settled is not None:
            self._call_settled(request)
            return
        replies = [side.call(request.method, request.message) for side in self._sides]
        self._compare(request, replies)
        if not isinstance(replies[0], Failure):
            self._learn(request, replies)

    def _call_settled(self, request: Request) -> None:
        if self._sides[1].member.binary.kind == "etcd":
            return
        reply = self._sides[1].call(request.method, request.message)
        self._count(request.method, reply)
        if not isinstance(reply, Failure) or reply.status != request.settled:
            text = reply if isinstance(reply, Failure) else decode(request.method, reply, self._leases[1])
            raise Difference(f"-- wanted, unlike etcd 3.4\n{': '.join(request.settled)}\n-- subject\n{text}")

    def _compare(self, request: Request, replies: list) -> None:
        self._count(request.method, replies[0])
        if request.method == "Lease.LeaseGrant" and request.message.ID == 0:
            self._name_granted(replies)
        texts = differing(request.method, request.message, replies, self._leases, self._leads)
        if texts is not None:
            raise Difference(f"-- reference\n{texts[0]}\n-- subject\n{texts[1]}")

    def _count(self, method: str, reply) -> None:
        outcome = reply.status[1] if isinstance(reply, Failure) else "ok"
        self._counts[f"{method}: {outcome}"] += 1

    def _name_granted(self, replies: list) -> None:
        if any(isinstance(reply, Failure) for reply in replies):
            return
        symbol = SYMBOL_BASE + self._generator.symbols
        self._generator.symbols += 1
        for own, reply in zip(self._leases, replies):
            own.add(symbol, pb.LeaseGrantResponse.FromString(reply).ID)

    def _learn(self, request: Request, replies: list) -> None:
        generator, message = self._generator, request.message
        generator.revision = split_header(replies[0])[0].revision
        if request.method == "KV.Range" and message.revision == 0 and not message.keys_only:
            generator.saw(decode(request.method, replies[0], self._leases[0]).kvs)
        elif request.method == "KV.Compact":
            generator.compacted = message.revision
        elif request.method == "Lease.LeaseGrant":
            generator.granted(decode(request.method, replies[0], self._leases[0]).ID)
        elif request.method == "Lease.LeaseRevoke":
            generator.revoked(message.ID)


def difference_text(run: Run, difference: Difference, seed: int, options: argparse.Namespace) -> str:
    """A difference with its request and how to see it again."""
    request = "" if run.request is None else f"-- {run.request.method}\n{shortened(str(run.request.message))}\n"
    command = (f"{sys.argv[0]} --reference {options.reference} --subject {options.subject} --seed {seed} "
               f"--members {options.members}")
    return (f"\n== seed {seed}, request {run.requests}\n{request}{shortened(str(difference))}\n"
            f"-- again: {command} --requests {run.requests}")


def shortened(text: str) -> str:
    return text if len(text) <= TEXT_CHARACTERS_MAX else text[:TEXT_CHARACTERS_MAX] + "\n... (shortened)"


def run_seed(options: argparse.Namespace, seed: int, requests: int, counts: collections.Counter) -> tuple[int, bool]:
    """Runs a seed on a fresh pair of servers; returns how many requests were made, and whether all were answered alike."""
    parent = MEMORY if os.path.isdir(MEMORY) else None  # what is on disk is no matter here
    with (Cluster(Binary.of(options.reference), options.members, parent=parent) as reference,
          Cluster(Binary.of(options.subject), options.members, parent=parent) as subject):
        run = Run([reference, subject], seed, counts)
        began = shown = time.monotonic()
        try:
            while run.requests < requests:
                run.step()
                if time.monotonic() - shown > PROGRESS_EVERY_S:
                    shown = time.monotonic()
                    print(f"seed {seed}: {run.requests} requests, {run.requests / (shown - began):.0f}/s", flush=True)
            run.finish()
            return run.requests, True
        except Difference as difference:
            print(difference_text(run, difference, seed, options), flush=True)
            return run.requests, False
        finally:
            run.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares two servers' answers to the same random requests.")
    parser.add_argument("--subject", required=True, help="server program under test")
    parser.add_argument("--reference", default="etcd", help="server program to compare with (default: etcd)")
    parser.add_argument("--seed", type=int, help="default: a fresh one")
    parser.add_argument("--requests", type=int, default=5000, help="of all seeds together")
    parser.add_argument("--members", type=int, default=1, choices=(1, 3), help="of three, a follower is asked")
    parser.add_argument("--keep-going", action="store_true",
                        help="after a difference go on with the next seed, until all requests are made")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    print(f"random_run: seed {seed}", flush=True)
    began = time.monotonic()
    counts: collections.Counter = collections.Counter()
    done = differences = 0
    while done < options.requests and (not differences or options.keep_going):
        requests, same = run_seed(options, seed, options.requests - done, counts)
        done += requests
        differences += not same
        seed += 1
    for what, count in sorted(counts.items()):
        print(f"{count:8} {what}")
    print(f"random_run: {done} requests, {differences} differences, {time.monotonic() - began:.0f} s")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
