"""Compares what two servers did in the same run with what a row asks for."""

import dataclasses
import statistics

from bench.rows import Figure, Row


@dataclasses.dataclass(frozen=True)
class Verdict:
    """One figure of a row over all runs. `ours` and `theirs` are medians, `ratio` the median of the runs' ratios (how
    many times better ours is), `met` in how many runs the figure was what it must be, or None where nothing is asked."""

    row: str
    figure: Figure
    ours: float | None
    theirs: float | None
    ratio: float | None
    met: int | None
    runs: int

    def wanted(self) -> str:
        if self.figure.ratio_at_least is not None:
            return f">= {self.figure.ratio_at_least:g}x"
        return f"<= {self.figure.at_most:g}" if self.figure.at_most is not None else ""


def ratio_of(figure: Figure, ours: float | None, theirs: float | None) -> float | None:
    """How many times better ours is; above 1 is better, whichever way the figure counts."""
    if not ours or not theirs:
        return None
    return theirs / ours if figure.lower_is_better else ours / theirs


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _is_met(figure: Figure, ours: float | None, theirs: float | None) -> bool | None:
    if figure.ratio_at_least is not None:
        ratio = ratio_of(figure, ours, theirs)
        return None if ratio is None else ratio >= figure.ratio_at_least
    if figure.at_most is not None:
        return None if ours is None else ours <= figure.at_most
    return None


def judge(row: Row, ours: list[dict], theirs: list[dict]) -> list[Verdict]:
    """Of each figure; `ours` and `theirs` hold one measurement per run, `theirs` none if there was no reference."""
    verdicts = []
    for figure in row.figures:
        mine = [run.get(figure.key) for run in ours]
        others = [run.get(figure.key) for run in theirs] or [None] * len(mine)
        judged = [_is_met(figure, *pair) for pair in zip(mine, others)]
        known = [each for each in judged if each is not None]
        ratio = _median([ratio_of(figure, *pair) for pair in zip(mine, others)])
        verdicts.append(Verdict(row.name, figure, _median(mine), _median(others), ratio,
                                sum(known) if known else None, len(mine)))
    return verdicts


def format_table(verdicts: list[Verdict]) -> str:
    """Aligned columns, a line for each figure."""
    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    lines = [f"{'row':24} {'figure':14} {'conclave':>12} {'etcd':>12} {'better':>8} {'wanted':>10}  met"]
    for each in verdicts:
        ratio = "-" if each.ratio is None else f"{each.ratio:.2f}x"
        met = "" if each.met is None else f"{each.met} of {each.runs}"
        lines.append(f"{each.row:24} {each.figure.unit:14} {number(each.ours):>12} {number(each.theirs):>12} "
                     f"{ratio:>8} {each.wanted():>10}  {met}")
    return "\n".join(lines)
