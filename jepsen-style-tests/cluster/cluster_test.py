#!/usr/bin/python3
"""Tests of the cluster package, with stand-ins for servers."""

import os
import stat
import sys
import tempfile
import textwrap
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from cluster import Binary, Cluster, MemberFailed, wait_until  # noqa: E402
from cluster.cluster import member_id  # noqa: E402
from cluster.ports import reserve_ports  # noqa: E402

# Serves /health on its client port; what else it does, its name decides.
STAND_IN = textwrap.dedent("""\
    #!/usr/bin/python3
    import http.server, os, signal, sys
    flags = dict(argument[2:].split("=", 1) for argument in sys.argv[1:])
    name = os.path.basename(sys.argv[0])
    print("flags:", sorted(flags), flush=True)
    if name == "broken":
        sys.exit("cannot: broken by design")
    if name == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if name == "polite":
        signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
    os.makedirs(flags["data-dir"], exist_ok=True)

    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"health":"false"}' if name == "ill" else b'{"health":"true"}')

        def log_message(self, *_):
            pass

    port = int(flags["listen-client-urls"].rsplit(":", 1)[1])
    http.server.HTTPServer(("127.0.0.1", port), Health).serve_forever()
    """)


class ClusterTest(unittest.TestCase):
    def setUp(self):
        self._directory = tempfile.TemporaryDirectory()

    def tearDown(self):
        self._directory.cleanup()

    def _binary(self, name: str) -> Binary:
        path = os.path.join(self._directory.name, name)
        with open(path, "w") as script:
            script.write(STAND_IN)
        os.chmod(path, stat.S_IRWXU)
        return Binary.of(path)

    def test_starts_and_leaves_nothing_behind(self):
        with Cluster(self._binary("plain"), 3) as cluster:
            directory = cluster.directory
            pids = [member.pid for member in cluster.members]
            self.assertTrue(all(member.is_healthy() for member in cluster.members))
            self.assertIn("initial-cluster", cluster.members[0].log_tail())
        self.assertFalse(os.path.exists(directory))
        for pid in pids:
            with self.assertRaises(ProcessLookupError):
                os.kill(pid, 0)

    def test_cleans_up_after_a_failure_too(self):
        with self.assertRaises(KeyboardInterrupt), Cluster(self._binary("plain")) as cluster:
            directory, pid = cluster.directory, cluster.members[0].pid
            raise KeyboardInterrupt
        self.assertFalse(os.path.exists(directory))
        with self.assertRaises(ProcessLookupError):
            os.kill(pid, 0)

    def test_members_are_in_the_order_of_their_ids(self):
        with Cluster(self._binary("plain"), 3) as cluster:
            ids = [member_id(member.peer_url) for member in cluster.members]
        self.assertEqual(ids, sorted(ids))

    def test_kill_and_restart_on_the_same_ports_and_data(self):
        with Cluster(self._binary("plain")) as cluster:
            member = cluster.members[0]
            address, pid = member.client_address, member.pid
            member.kill()
            self.assertFalse(member.is_running())
            self.assertFalse(member.is_healthy())
            cluster.start()
            self.assertEqual(member.client_address, address)
            self.assertNotEqual(member.pid, pid)
            self.assertTrue(os.path.isdir(member.data_dir))

    def test_terminate_returns_the_exit_status(self):
        with Cluster(self._binary("polite")) as cluster:
            self.assertEqual(cluster.members[0].terminate(), 7)

    def test_terminate_has_a_time_limit(self):
        with Cluster(self._binary("stubborn")) as cluster:
            with self.assertRaisesRegex(MemberFailed, "still running"):
                cluster.members[0].terminate(timeout_s=0.3)

    def test_a_member_that_ends_by_itself_shows_its_log(self):
        with self.assertRaisesRegex(MemberFailed, "(?s)ended with status 1.*cannot: broken by design"):
            Cluster(self._binary("broken")).__enter__()

    def test_a_member_that_stays_ill_is_not_waited_for_without_end(self):
        cluster = Cluster(self._binary("plain"))
        with cluster:
            cluster.members[0].kill()
            cluster.members[0].binary = self._binary("ill")
            cluster.members[0].start()
            with self.assertRaisesRegex(MemberFailed, "not healthy within"):
                cluster.members[0].wait_healthy(timeout_s=1)

    def test_kind_of_binary(self):
        self.assertEqual(self._binary("etcd").kind, "etcd")
        self.assertEqual(self._binary("conclave").kind, "conclave")
        with self.assertRaises(FileNotFoundError):
            Binary.of("/nonexistent/etcd")


class PortsTest(unittest.TestCase):
    def test_reserved_ports_are_not_given_twice(self):
        ports = reserve_ports(200) + reserve_ports(200)
        self.assertEqual(len({port.number for port in ports}), 400)
        for port in ports:
            port.release()


class WaitTest(unittest.TestCase):
    def test_returns_what_the_condition_returned(self):
        self.assertEqual(wait_until(lambda: 5, 1, "five"), 5)

    def test_names_what_did_not_come(self):
        began = time.monotonic()
        with self.assertRaisesRegex(TimeoutError, "0.2 s: the moon"):
            wait_until(lambda: None, 0.2, "the moon")
        self.assertGreaterEqual(time.monotonic() - began, 0.2)


class MemberIdTest(unittest.TestCase):
    def test_is_the_documented_digest(self):
        # The reference's example, with its own token.
        import hashlib
        digest = hashlib.sha1(b"http://localhost:2380etcd-cluster").digest()[:8]
        self.assertEqual(digest.hex(), "8e9e05c52164694d")
        self.assertEqual(member_id("http://localhost:2380"), int.from_bytes(
            hashlib.sha1(b"http://localhost:2380conclave-tests").digest()[:8], "big"))


if __name__ == "__main__":
    unittest.main()
