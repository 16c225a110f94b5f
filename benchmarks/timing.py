"""Timing two things against each other on a machine that others use too: in turn, several times, medians."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Paired:
    """Seconds of two things run in turn.

    Attributes:
        ratio: median over the rounds of the first's time over the second's.
        first: median seconds of the first.
        second: median seconds of the second.
    """

    ratio: float
    first: float
    second: float


def seconds(work: Callable[[], Any]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turn(first: Callable[[], Any], second: Callable[[], Any], rounds: int) -> Paired:
    """Run both once to warm up, then in turn, `rounds` times."""
    first()
    second()
    pairs = [(seconds(first), seconds(second)) for _ in range(rounds)]
    ones, others = zip(*pairs, strict=True)
    return Paired(median(a / b for a, b in pairs), median(ones), median(others))
