"""Clusters of real server processes on loopback, for the tests of this folder.

    with Cluster(Binary.of("etcd"), size=3) as cluster:
        cluster.leader().kill()

Whatever happens to the test, its members end with it and its directory goes.
"""

from cluster.binary import Binary
from cluster.cluster import Cluster
from cluster.member import Member, MemberFailed
from cluster.waiting import wait_until

__all__ = ["Binary", "Cluster", "Member", "MemberFailed", "wait_until"]
