"""etcdctl check perf, small load: a minute of writes on both sides at once. Figures differ; verdicts must not."""

import re

from differential.steps import COMMAND_TIMEOUT_S, Case, Run

SLOW = True


class Verdicts(Run):
    """The lines that judge, without their numbers; progress bars are for terminals.

    The slowest of 9000 requests tells of the machine's disk, which both sides share, so its verdict and the sum of all
    verdicts are left out: one slow sync of either side must not fail the suite.
    """

    def finish(self, side, begun) -> str:
        code = begun.wait(self.timeout_s)
        verdicts = re.findall(r"(PASS|FAIL):? ?([A-Za-z ]*)", begun.stdout)
        lines = ["(either)" if rest.strip() in ("", "Slowest request took") else verdict for verdict, rest in verdicts]
        return "".join(f"{line}: {rest.strip()}\n" for line, (_, rest) in zip(lines, verdicts)) + f"-- ended {code < 2}\n"


CASES = [Case("small", [Verdicts("check perf --load s", timeout_s=60 + 2 * COMMAND_TIMEOUT_S)])]
