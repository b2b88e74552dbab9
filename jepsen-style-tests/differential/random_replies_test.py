#!/usr/bin/python3
"""What the comparison of random replies must find, and what it must let pass."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from cluster.rpc import pb  # noqa: E402
from differential.random_replies import Failure, LeaseSymbols, differing  # noqa: E402
from differential.random_watches import decoded_event, settle_compacted_revision  # noqa: E402

BY_VERSION = pb.RangeRequest(key=b"a", range_end=b"z", sort_target=pb.RangeRequest.VERSION)


def header(revision: int = 5, **own):
    return pb.ResponseHeader(revision=revision, **({"cluster_id": 8, "member_id": 9, "raft_term": 2} | own))


def ranged(*kvs: tuple[bytes, int], more: bool = False, **fields) -> bytes:
    """A range's response with these keys and versions."""
    pairs = [{"key": key, "version": version, "mod_revision": key[0]} for key, version in kvs]
    return pb.RangeResponse(**({"header": header(), "kvs": pairs, "more": more} | fields)).SerializeToString()


def failure(code: str, text: str) -> Failure:
    made = Failure.__new__(Failure)
    made.status = (code, text)
    return made


def event(kind: str, key: bytes, revision: int, **fields) -> bytes:
    kv = {"key": key, "mod_revision": revision}
    return pb.WatchResponse(events=[{"type": kind, "kv": kv, **fields}]).events[0].SerializeToString()


class RepliesTest(unittest.TestCase):
    def same(self, method: str, request, reference, subject, leases=None, leads: bool = True) -> bool:
        return differing(method, request, [reference, subject], leases or [LeaseSymbols(), LeaseSymbols()], leads) is None

    def test_headers(self):
        request = pb.RangeRequest(key=b"a")
        own = ranged(header=header(cluster_id=1, member_id=2, raft_term=7))
        self.assertTrue(self.same("KV.Range", request, ranged(), own))
        self.assertFalse(self.same("KV.Range", request, ranged(), ranged(header=header(6))), "revision")
        self.assertFalse(self.same("KV.Range", request, ranged(), ranged(header=header(raft_term=0))), "no term")

    def test_a_reply_and_a_failure(self):
        compacted = failure("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted")
        no_lease = failure("NOT_FOUND", "etcdserver: requested lease not found")
        self.assertFalse(self.same("KV.Range", pb.RangeRequest(), ranged(), compacted))
        self.assertTrue(self.same("KV.Txn", pb.TxnRequest(), no_lease, compacted), "3.4 takes puts first")
        self.assertFalse(self.same("KV.Txn", pb.TxnRequest(), compacted, no_lease), "not the other way round")
        self.assertFalse(self.same("KV.Put", pb.PutRequest(), no_lease, compacted))

    def test_order_of_equals(self):
        one, other = ranged((b"a", 1), (b"b", 1), (b"c", 2)), ranged((b"b", 1), (b"a", 1), (b"c", 2))
        self.assertTrue(self.same("KV.Range", BY_VERSION, one, other))
        self.assertFalse(self.same("KV.Range", pb.RangeRequest(key=b"a", range_end=b"z"), one, other), "by key")
        wrong = ranged((b"a", 1), (b"c", 2), (b"b", 1))
        self.assertFalse(self.same("KV.Range", BY_VERSION, one, wrong), "not sorted")
        self.assertFalse(self.same("KV.Range", BY_VERSION, one, ranged((b"a", 1), (b"x", 1), (b"c", 2))))

    def test_what_a_limit_cuts_off(self):
        one, other = ranged((b"a", 1), (b"b", 2), more=True), ranged((b"a", 1), (b"c", 2), more=True)
        self.assertTrue(self.same("KV.Range", BY_VERSION, one, other))
        self.assertFalse(self.same("KV.Range", BY_VERSION, one, ranged((b"b", 1), (b"c", 2), more=True)))
        self.assertFalse(self.same("KV.Range", BY_VERSION, one, ranged((b"a", 1), more=True)))

    def test_ranges_inside_transactions(self):
        request = pb.TxnRequest(failure=[{"request_range": BY_VERSION}])

        def reply(*keys: bytes) -> bytes:
            kvs = [{"key": key, "version": 1} for key in keys]
            return pb.TxnResponse(responses=[{"response_range": {"kvs": kvs}}]).SerializeToString()

        self.assertTrue(self.same("KV.Txn", request, reply(b"a", b"b"), reply(b"b", b"a")))
        self.assertFalse(self.same("KV.Txn", request, reply(b"a", b"b"), reply(b"b", b"c")))

    def test_leases(self):
        leases = [LeaseSymbols(), LeaseSymbols()]
        leases[0].add(1 << 60, 111)
        leases[1].add(1 << 60, 222)

        def left(lease: int, seconds: int) -> bytes:
            return pb.LeaseTimeToLiveResponse(ID=lease, TTL=seconds, grantedTTL=100).SerializeToString()

        method, request = "Lease.LeaseTimeToLive", pb.LeaseTimeToLiveRequest()
        self.assertTrue(self.same(method, request, left(111, 99), left(222, 98), leases))
        self.assertFalse(self.same(method, request, left(111, 99), left(333, 99), leases), "another id")
        self.assertFalse(self.same(method, request, left(111, 99), left(222, 90), leases), "time left")

    def test_order_of_leases(self):
        one, other = (pb.LeaseLeasesResponse(leases=[{"ID": each} for each in ids]).SerializeToString()
                      for ids in ((1, 2), (2, 1)))
        request = pb.LeaseLeasesRequest()
        self.assertFalse(self.same("Lease.LeaseLeases", request, one, other))
        self.assertTrue(self.same("Lease.LeaseLeases", request, one, other, leads=False))


class CompactedRevisionTest(unittest.TestCase):
    def test_only_what_was_deleted_in_it_goes(self):
        before = {"key": b"b", "mod_revision": 3}
        reference = [event("PUT", b"b", 7), event("DELETE", b"a", 8)]
        subject = [event("DELETE", b"a", 7), event("PUT", b"b", 7, prev_kv=before), event("DELETE", b"a", 8)]
        settle_compacted_revision(7, reference, subject)
        self.assertEqual(reference, subject)
        self.assertEqual([decoded_event(each).kv.mod_revision for each in subject], [7, 8])


if __name__ == "__main__":
    unittest.main()
