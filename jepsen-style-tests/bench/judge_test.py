#!/usr/bin/python3
"""Tests of the judge and the page."""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from bench.judge import format_table, judge, ratio_of  # noqa: E402
from bench.page import write_page  # noqa: E402
from bench.rows import ROWS, Figure, Row  # noqa: E402

RATE = Figure("rate", "/s", ratio_at_least=3)
DELAY = Figure("delay", "us", lower_is_better=True, ratio_at_least=2)
CPU = Figure("cpu", "us CPU", lower_is_better=True, at_most=10)


class JudgeTest(unittest.TestCase):
    def test_ratio_is_above_one_where_ours_is_better(self):
        self.assertEqual(ratio_of(RATE, 30, 10), 3)
        self.assertEqual(ratio_of(DELAY, 10, 30), 3)
        self.assertIsNone(ratio_of(RATE, 30, None))

    def test_counts_the_runs_in_which_it_was_met(self):
        ours = [{"rate": 29, "delay": 1, "cpu": 10}, {"rate": 31, "delay": 3, "cpu": 11}]
        theirs = [{"rate": 10, "delay": 2}, {"rate": 10, "delay": 5}]
        rate, delay, cpu = judge(Row("r", 1, (RATE, DELAY, CPU)), ours, theirs)
        self.assertEqual((rate.met, rate.runs, rate.ratio), (1, 2, 3))
        self.assertEqual(delay.met, 1)
        self.assertEqual((cpu.met, cpu.ratio, cpu.theirs), (1, None, None))

    def test_without_a_reference_only_bounds_are_judged(self):
        rate, cpu = judge(Row("r", 1, (RATE, CPU)), [{"rate": 29, "cpu": 9}], [])
        self.assertIsNone(rate.met)
        self.assertEqual(cpu.met, 1)

    def test_table_and_page_show_every_figure(self):
        verdicts = judge(Row("some-row", 1, (RATE, CPU)), [{"rate": 29000, "cpu": 9}], [{"rate": 1000, "cpu": None}])
        table = format_table(verdicts)
        self.assertIn("29,000", table)
        self.assertIn("29.00x", table)
        self.assertIn("1 of 1", table)
        with tempfile.TemporaryDirectory() as directory:
            open(os.path.join(directory, "some-row-conclave.html"), "w", encoding="utf-8").close()
            with open(write_page(verdicts, directory), encoding="utf-8") as page:
                text = page.read()
        self.assertEqual(text.count("class='met'"), 2)
        self.assertIn("some-row-conclave.html", text)
        self.assertNotIn("some-row-etcd.html", text)

    def test_rows_have_names_of_their_own(self):
        self.assertEqual(len({row.name for row in ROWS}), len(ROWS))


if __name__ == "__main__":
    unittest.main()
