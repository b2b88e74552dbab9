"""etcdctl check perf, small load: a minute of writes on both sides at once. Figures differ; verdicts must not."""

import re

from differential.steps import COMMAND_TIMEOUT_S, Case, Run

SLOW = True


class Verdicts(Run):
    """The lines that judge, without their numbers; progress bars are for terminals."""

    def finish(self, side, begun) -> str:
        code = begun.wait(self.timeout_s)
        verdicts = re.findall(r"(PASS|FAIL):? ?([A-Za-z ]*)", begun.stdout)
        return "".join(f"{verdict}: {rest.strip()}\n" for verdict, rest in verdicts) + f"-- exit {code}\n"


CASES = [Case("small", [Verdicts("check perf --load s", timeout_s=60 + 2 * COMMAND_TIMEOUT_S)])]
