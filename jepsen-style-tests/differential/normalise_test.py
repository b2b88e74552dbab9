#!/usr/bin/python3
"""Tests of what a comparison ignores, and above all of what it does not."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from differential.normalise import Normaliser  # noqa: E402

KNOWN = {
    "127.0.0.1:1001": "<client0>",
    "127.0.0.1:100": "<client1>",
    "8e9e05c52164694d": "<member0>",
    "10276657743932975437": "<member0>",
}


class NormaliserTest(unittest.TestCase):
    def setUp(self):
        self.normaliser = Normaliser(KNOWN)

    def same(self, text: str):
        """What must be compared as it is."""
        self.assertEqual(self.normaliser.text(text), text)

    def test_known_names(self):
        self.assertEqual(self.normaliser.text("127.0.0.1:1001 127.0.0.1:100 8e9e05c52164694d"),
                         "<client0> <client1> <member0>")
        self.assertEqual(self.normaliser.text("http://127.0.0.1:1001,"), "http://<client0>,")
        self.same("127.0.0.1:10012")

    def test_an_id_is_one_symbol_in_hexadecimal_and_decimal(self):
        text = self.normaliser.text(f"lease 47c8a20a61f7f016\nm/47c8a20a61f7f017\n{0x47c8a20a61f7f016}")
        self.assertEqual(text, "lease <id1>\nm/<id2>\n<id1>")
        self.normaliser.forget()
        self.assertEqual(self.normaliser.text("47c8a20a61f7f017"), "<id1>")

    def test_an_id_of_a_member_with_a_small_id_is_short(self):
        for number in (0x5aa2202b70d305, 0x5a2202b70d305, 0xa2202b70d305):
            self.normaliser.forget()
            self.assertEqual(self.normaliser.text(f"m/{number:x}\n{number}"), "m/<id1>\n<id1>")

    def test_ordinary_text_and_numbers_stay(self):
        for text in ("k\nvalue\n", "OK", "deleted 3", '"Revision" : 17', '"Count" : 2', '"Version" : 3',
                     '"Lease" : 0', "compacted revision 12", "1234abcd", "00000000000000000042"):
            self.same(text)

    def test_own_numbers_must_be_there(self):
        self.assertEqual(self.normaliser.text('"RaftTerm" : 7'), '"RaftTerm" : <own>')
        self.same('"RaftTerm" : 0')

    def test_json_is_laid_out_and_its_bytes_are_read(self):
        text = self.normaliser.text('{"header":{"revision":3,"raft_term":2},"kvs":[{"key":"YQ==","version":1}]}')
        self.assertIn('"key": "a"', text)
        self.assertIn('"revision": 3', text)
        self.assertIn('"raft_term": <own>', text)
        self.assertIn('"version": 1', text)

    def test_json_version_text_is_the_servers_own(self):
        self.assertIn('"version": "<version>"', self.normaliser.text('{"version":"3.4.23"}'))

    def test_what_is_not_json_stays(self):
        self.same("{not json")
        self.same("[1, 2")

    def test_time_left_of_a_lease(self):
        self.assertIn('"ttl": "<time>"', self.normaliser.text('{"ttl":298,"granted-ttl":300}'))
        self.assertIn('"ttl": -1', self.normaliser.text('{"ttl":-1,"granted-ttl":0}'))
        self.assertIn('"ttl": 12', self.normaliser.text('{"ttl":12,"granted-ttl":300}'))
        self.assertEqual(self.normaliser.text("granted with TTL(300s), remaining(299s)"),
                         "granted with TTL(300s), remaining(<time>)")

    def test_clients_own_log(self):
        line = ('{"level":"warn","ts":"2026-01-01T00:00:00.000Z","caller":"x.go:1",'
                '"target":"endpoint://client-41e4c7b9-56f8-4520-b187-3751df4c0c7c/127.0.0.1:1001",'
                '"error":"rpc error: code = NotFound desc = no"}')
        self.assertEqual(
            self.normaliser.text(line),
            '{"level":"warn","ts":"<time>","caller":"x.go:1","target":"endpoint://client-<uuid>/<client0>",'
            '"error":"rpc error: code = NotFound desc = no"}')

    def test_status_row(self):
        row = "127.0.0.1:1001, 8e9e05c52164694d, 3.4.23, 20 kB, true, false, 2, 15, 15, "
        self.assertEqual(self.normaliser.text(row),
                         "<client0>, <member0>, <version>, <own>, true, false, <own>, <own>, <own>, ")
        broken = "127.0.0.1:1001, 8e9e05c52164694d, 3.4.23, 20 kB, true, false, 0, 15, 15, "
        self.assertIn(", 0, 15, 15, ", self.normaliser.text(broken))

    def test_tables_without_their_widths(self):
        self.assertEqual(self.normaliser.text("+------+-----+\n| 127.0.0.1:1001 |   12 |"),
                         "+-+-+\n| <client0> | <own> |")

    def test_any_order_sorts_lines_and_lists(self):
        self.assertEqual(self.normaliser.text("b\na\n", any_order=True), "a\nb\n")
        self.assertEqual(self.normaliser.text('[{"e":"2"},{"e":"1"}]\n', any_order=True),
                         self.normaliser.text('[{"e":"1"},{"e":"2"}]\n', any_order=True))


if __name__ == "__main__":
    unittest.main()
