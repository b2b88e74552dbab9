"""How long writes stood still, from the journal of their acknowledgements."""

import bisect
import os


class JournalTail:
    """Reads a journal while it grows: of each acknowledgement, in the order in which they came, which write's it was, its
    time, and how long after the write was sent it came."""

    def __init__(self, path: str):
        self._path = path
        self._file = None
        self._rest = b""
        self.numbers: list[int] = []
        self.times_us: list[int] = []
        self.took_us: list[int] = []

    def read(self) -> None:
        """Takes in what was written since the last time."""
        if self._file is None:
            if not os.path.exists(self._path):
                return
            self._file = open(self._path, "rb")
        lines = (self._rest + self._file.read()).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            number, _, time, took = line.split()
            self.numbers.append(int(number))
            self.times_us.append(int(time))
            self.took_us.append(int(took))

    def acknowledged_since(self, time_us: int) -> int:
        """How many writes were acknowledged after the time."""
        self.read()
        return len(self.times_us) - bisect.bisect_right(self.times_us, time_us)

    def waits_us(self, begin_us: int, end_us: int) -> list[float]:
        """How long each write waited of those acknowledged between the two moments, ascending; infinity for one that
        was sent among them and never acknowledged. Numbers are given in the order of sending."""
        self.read()
        window = range(bisect.bisect_left(self.times_us, begin_us), bisect.bisect_right(self.times_us, end_us))
        if not window:
            return []
        numbers = [self.numbers[i] for i in window]
        lost = set(range(min(numbers), max(numbers))) - set(self.numbers)
        return sorted(float(self.took_us[i]) for i in window) + [float("inf")] * len(lost)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def longest_gap_us(times_us: list[int], begin_us: int, end_us: int) -> int:
    """The longest time without an acknowledgement that begins or ends between the two moments. The time before
    the first acknowledgement and after the last one is unknown and no gap."""
    first = max(0, bisect.bisect_left(times_us, begin_us) - 1)
    last = bisect.bisect_right(times_us, end_us) + 1
    window = times_us[first:last]
    return max((after - before for before, after in zip(window, window[1:])), default=0)
