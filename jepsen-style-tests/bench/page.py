"""The matrix as one HTML page: a bar for each figure's ratio, and links to the plots of each load."""

import html
import os

from bench.judge import Verdict

STYLE = ("body{font:15px sans-serif;margin:2em}td,th{padding:3px 12px;text-align:right}td:first-child{text-align:left}"
         ".bar{background:#0b62a4;height:12px}.missed .bar{background:#b2182b}")
BAR_PIXELS = 30  # of a ratio of 1


def _row(verdict: Verdict, page_dir: str) -> str:
    def cell(value: object) -> str:
        return f"<td>{html.escape(str(value))}</td>"
    missed = verdict.met is not None and verdict.met < verdict.runs
    links = " ".join(f"<a href='{name}'>{kind}</a>" for kind in ("conclave", "etcd")
                     if os.path.exists(os.path.join(page_dir, name := f"{verdict.row}-{kind}.html")))
    number = "{:,.4g}".format
    width = BAR_PIXELS * min(verdict.ratio or 0, 20)
    return (f"<tr class='{'missed' if missed else 'met'}'>{cell(verdict.row)}{cell(verdict.figure.unit)}"
            f"{cell('-' if verdict.ours is None else number(verdict.ours))}"
            f"{cell('-' if verdict.theirs is None else number(verdict.theirs))}{cell(verdict.wanted())}"
            f"{cell('' if verdict.met is None else f'{verdict.met} of {verdict.runs}')}"
            f"<td style='text-align:left'><div class='bar' style='width:{width:.0f}px'></div></td>"
            f"{cell('' if verdict.ratio is None else f'{verdict.ratio:.2f}x')}<td>{links}</td></tr>")


def write_page(verdicts: list[Verdict], page_dir: str) -> str:
    """Writes index.html into the directory; returns its path."""
    rows = "\n".join(_row(verdict, page_dir) for verdict in verdicts)
    path = os.path.join(page_dir, "index.html")
    with open(path, "w", encoding="utf-8") as page:
        page.write(f"<!DOCTYPE html>\n<meta charset='utf-8'><title>Conclave beside etcd</title><style>{STYLE}</style>\n"
                   "<h1>Conclave beside etcd</h1>\n<table><tr><th>row</th><th>figure</th><th>conclave</th><th>etcd</th>"
                   "<th>wanted</th><th>met</th><th>times better</th><th></th><th>plots</th></tr>\n"
                   f"{rows}\n</table>\n")
    return path
