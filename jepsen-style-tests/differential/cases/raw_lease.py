"""Lease by gRPC: ids of one's own choice, and the keep-alive stream."""

from cluster.rpc import pb
from differential.steps import Case, Reply, Stream, call, ctl

CASES = [
    Case("chosen ids", [
        call("Lease.LeaseGrant", "grant", ID=4242, TTL=100),
        call("Lease.LeaseGrant", "again", ID=4242, TTL=100),
        call("Lease.LeaseGrant", "negative id", ID=-7, TTL=100),
        call("Lease.LeaseGrant", "too long", ID=4343, TTL=9_000_000_001),
        call("Lease.LeaseGrant", "too short", ID=4343, TTL=-3),
        call("Lease.LeaseRevoke", "the short one", ID=4343),
        call("KV.Put", "with it", key=b"l/2", value=b"1", lease=4242),
        call("KV.Put", "with it too", key=b"l/1", value=b"1", lease=4242),
        call("KV.Put", "with the negative one", key=b"m", value=b"1", lease=-7),
        call("KV.Range", "everything", key=b"\0", range_end=b"\0"),
        call("KV.Txn", "compare leases", compare=[pb.Compare(
            key=b"l/1", target="LEASE", result="EQUAL", lease=4242)]),
        call("KV.Txn", "compare leases over a range", compare=[pb.Compare(
            key=b"l/", range_end=b"m0", target="LEASE", result="EQUAL", lease=4242)]),
        call("KV.Txn", "unknown lease", success=[
            pb.RequestOp(request_put=pb.PutRequest(key=b"a", value=b"1")),
            pb.RequestOp(request_put=pb.PutRequest(key=b"b", value=b"1", lease=99))]),
        call("KV.Put", "keeps the lease", key=b"m", value=b"2", ignore_lease=True, prev_kv=True),
        call("Lease.LeaseRevoke", "the negative one", ID=-7),
        call("Lease.LeaseRevoke", "again", ID=-7),
        call("Lease.LeaseRevoke", "none", ID=0),
        call("KV.Range", "everything", key=b"\0", range_end=b"\0"),
        call("Lease.LeaseRevoke", "with two keys", ID=4242),
        call("Lease.LeaseLeases", "none left"),
        call("Lease.LeaseTimeToLive", "unknown", ID=4242, keys=True),
        call("KV.Range", "everything", key=b"\0", range_end=b"\0"),
    ], via="follower"),
    Case("keep-alive stream", [
        call("Lease.LeaseGrant", "grant", ID=11, TTL=50),
        call("Lease.LeaseGrant", "grant another", ID=12, TTL=60),
        Stream("Lease.LeaseKeepAlive", lambda _: [
            pb.LeaseKeepAliveRequest(ID=11), Reply(), pb.LeaseKeepAliveRequest(ID=12), Reply(),
            pb.LeaseKeepAliveRequest(ID=13), Reply(), pb.LeaseKeepAliveRequest(ID=11),
            pb.LeaseKeepAliveRequest(ID=12), pb.LeaseKeepAliveRequest(ID=-1), Reply(3)], "known and unknown"),
    ], via="follower"),
    Case("keep-alive stream at the leader", [
        call("Lease.LeaseGrant", "grant", ID=21, TTL=50),
        ctl("put k v --lease=15"),
        Stream("Lease.LeaseKeepAlive", lambda _: [
            pb.LeaseKeepAliveRequest(ID=21), Reply(), pb.LeaseKeepAliveRequest(ID=22), Reply(),
            pb.LeaseKeepAliveRequest(ID=21), Reply()], "known and unknown"),
        call("Lease.LeaseRevoke", "with a key", ID=21),
        Stream("Lease.LeaseKeepAlive", lambda _: [pb.LeaseKeepAliveRequest(ID=21), Reply()], "revoked"),
    ]),
]
