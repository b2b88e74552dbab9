#!/usr/bin/python3
"""Runs every case against two clusters and compares. Exit status 1 when any answer differs.

    run.py --subject build/release/bin/conclave        ours beside Debian's etcd
    run.py --subject etcd                               etcd beside etcd: proves that the cases are deterministic
"""

import argparse
import difflib
import importlib
import os
import pkgutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from cluster import Binary, Cluster  # noqa: E402
from differential import cases  # noqa: E402
from differential.side import Side  # noqa: E402
from differential.steps import Case  # noqa: E402

LINE_CHARACTERS_MAX = 400


def cases_of(topics: list[str]) -> list[tuple[str, Case]]:
    """(topic, case) of the named topics, or of all but those that must be named because they are slow."""
    found = sorted(module.name for module in pkgutil.iter_modules(cases.__path__))
    unknown = set(topics) - set(found)
    if unknown:
        sys.exit(f"run.py: no topic {', '.join(sorted(unknown))} (expected some of: {', '.join(found)})")
    pairs = []
    for topic in topics or found:
        module = importlib.import_module(f"differential.cases.{topic}")
        if topics or not getattr(module, "SLOW", False):
            pairs += [(topic, case) for case in module.CASES]
    return pairs


class Comparison:
    """Runs cases on both sides and counts what differs."""

    def __init__(self, reference: Side, subject: Side, verbose: bool):
        self._verbose = verbose
        self._sides = [reference, subject]
        self.steps = 0
        self.differences = 0

    def run(self, topic: str, case: Case) -> None:
        """Runs one case, printing each difference as a diff."""
        for side in self._sides:
            side.begin_case(case.via)
        self._align()
        for side in self._sides:
            side.set_variables()
        try:
            for step in case.steps:
                self._compare(f"{topic} / {case.name} ({case.via})", step)
        finally:
            for side in self._sides:
                side.end_case()

    def _align(self) -> None:
        """Brings both stores to the same revision, so that answers can be compared to the last number."""
        while len({side.revision() for side in self._sides}) > 1:
            target = max(side.revision() for side in self._sides) + 2
            for side in self._sides:
                side.advance_to(target)

    def _compare(self, where: str, step) -> None:
        begun = [step.begin(side) for side in self._sides]
        answers = [step.finish(side, each) for side, each in zip(self._sides, begun)]
        if answers[0] is None:
            return
        self.steps += 1
        if self._verbose:
            print(f"\n== {where}\n$ {step.title}\n{answers[0]}", end="")
        if answers[0] != answers[1]:
            self.differences += 1
            names = [f"{side.name} ({which})" for side, which in zip(self._sides, ("reference", "subject"))]
            texts = [[line[:LINE_CHARACTERS_MAX] for line in each.splitlines()] for each in answers]
            diff = "\n".join(difflib.unified_diff(*texts, *names, n=10, lineterm=""))
            print(f"\n== {where}\n$ {step.title}\n{diff or '(they differ beyond what is shown of a line)'}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares the answers of two servers to the same commands.")
    parser.add_argument("--subject", required=True, help="server program under test")
    parser.add_argument("--reference", default="etcd", help="server program to compare with (default: etcd)")
    parser.add_argument("--topic", action="append", default=[], help="only this topic; may be repeated")
    parser.add_argument("--keep", action="store_true", help="keep the clusters' directories")
    parser.add_argument("--verbose", action="store_true", help="print every answer of the reference")
    options = parser.parse_args()
    began = time.monotonic()
    chosen = cases_of(options.topic)
    with (Cluster(Binary.of(options.reference), 3, options.keep) as reference,
          Cluster(Binary.of(options.subject), 3, options.keep) as subject):
        comparison = Comparison(Side(reference), Side(subject), options.verbose)
        for topic, case in chosen:
            comparison.run(topic, case)
    print(f"differential: {comparison.steps} steps of {len(chosen)} cases, {comparison.differences} differ, "
          f"{time.monotonic() - began:.0f} s")
    return 1 if comparison.differences else 0


if __name__ == "__main__":
    sys.exit(main())
