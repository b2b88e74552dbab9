"""Bounded waits: a test that waits says for what and for how long."""

import time
from typing import Callable, TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], timeout_s: float, what: str, every_s: float = 0.05) -> T:
    """Polls until `condition` returns something true and returns that; raises TimeoutError naming `what`."""
    deadline = time.monotonic() + timeout_s
    while True:
        held = condition()
        if held:
            return held
        if time.monotonic() >= deadline:
            raise TimeoutError(f"not within {timeout_s:g} s: {what}")
        time.sleep(every_s)
