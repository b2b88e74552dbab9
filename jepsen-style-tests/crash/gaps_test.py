#!/usr/bin/python3
"""Tests of how gaps are found."""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from crash.gaps import JournalTail, longest_gap_us  # noqa: E402


class LongestGapTest(unittest.TestCase):
    TIMES = [10, 20, 30, 1030, 1040, 1050, 5050]

    def test_a_gap_within_the_window(self):
        self.assertEqual(longest_gap_us(self.TIMES, 25, 1045), 1000)

    def test_a_gap_that_reaches_out_of_the_window(self):
        self.assertEqual(longest_gap_us(self.TIMES, 40, 50), 1000)
        self.assertEqual(longest_gap_us(self.TIMES, 1051, 1052), 4000)

    def test_gaps_outside_are_left_out(self):
        self.assertEqual(longest_gap_us(self.TIMES, 11, 25), 10)

    def test_no_acknowledgements_no_gap(self):
        self.assertEqual(longest_gap_us([], 1, 2), 0)
        self.assertEqual(longest_gap_us([5], 1, 9), 0)


class JournalTailTest(unittest.TestCase):
    def test_follows_a_growing_file(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "journal")
            tail = JournalTail(path)
            self.assertEqual(tail.acknowledged_since(0), 0)
            with open(path, "w") as journal:
                journal.write("1 2 100 5\n2 3 200 60\n3 4 300 7")
                journal.flush()
                self.assertEqual(tail.acknowledged_since(0), 2)
                journal.write("0\n")
                journal.flush()
                self.assertEqual(tail.acknowledged_since(100), 2)
                self.assertEqual(tail.times_us, [100, 200, 300])
            tail.close()

    def test_what_was_never_acknowledged_waited_for_ever(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "journal")
            with open(path, "w") as journal:
                journal.write("1 2 100 9\n4 3 200 60\n3 4 300 7\n5 5 400 8\n8 6 500 1\n")
            tail = JournalTail(path)
            self.assertEqual(tail.waits_us(200, 450), [7, 8, 60])
            self.assertEqual(tail.waits_us(400, 500), [1, 8, float("inf"), float("inf")])
            self.assertEqual(tail.waits_us(501, 600), [])
            tail.close()


if __name__ == "__main__":
    unittest.main()
