"""Progress that stays readable in a log file: a plain line at most every few seconds, with rate and time left."""

from __future__ import annotations

import sys
import time
from contextlib import suppress

from lvm_core.runtime.distributed import speaks


def human_seconds(seconds: float) -> str:
    """`75` -> `1m15s`."""
    whole = round(seconds)
    return f"{whole // 60}m{whole % 60:02d}s" if whole >= 60 else f"{whole}s"


class Progress:
    """Counts units of work and prints `label: done/total (percent), rate unit/s, time left` to stderr.

    Of several processes of one run (`lvm_core.runtime.distributed`) only the first one prints.

    Args:
        label: what is being done.
        total: number of units.
        unit: name of a unit, plural.
        done: units already done before this run (resumed); they do not enter the rate.
        every: seconds between lines.
    """

    def __init__(self, label: str, total: int, unit: str, done: int = 0, every: float = 5.0) -> None:
        self.label, self.total, self.unit, self.every = label, total, unit, every
        self.done = self.start_done = done
        self.start = self.last = time.monotonic()

    def update(self, units: int) -> None:
        """Count `units` more; print a line if the last one is old enough."""
        self.done += units
        now = time.monotonic()
        if now - self.last >= self.every and self.done < self.total:
            self.last = now
            self._print(now)

    def close(self) -> None:
        """Print the last line, unless everything took less than a second."""
        now = time.monotonic()
        if now - self.start >= 1.0:
            self._print(now)

    def _print(self, now: float) -> None:
        if not speaks():
            return
        elapsed = max(now - self.start, 1e-9)
        rate = (self.done - self.start_done) / elapsed
        left = (self.total - self.done) / rate if rate > 0 else float("nan")
        tail = (
            f"{human_seconds(left)} left" if self.done < self.total and rate > 0 else f"{human_seconds(elapsed)} in all"
        )
        share = 100 * self.done / max(self.total, 1)
        count = f"{self.done:,}/{self.total:,} {self.unit} ({share:.0f} %)"
        with suppress(OSError):  # the terminal may be gone, which is no reason to stop
            print(f"{self.label}: {count}, {rate:,.0f} {self.unit}/s, {tail}", file=sys.stderr, flush=True)
