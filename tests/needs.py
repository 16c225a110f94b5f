"""Programs that some tests need and a machine may not have: without one, its tests are skipped and the end says so."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache

import pytest

from tools.browser import REMEDY, find_browser

NO_SKIP = "LVM_NO_SKIP"
"""Environment variable under which the lack of a program is a failure: set where everything has to be tested."""
SKIPPED = "Skipped: "
WANTED: dict[str, tuple[Callable[[], str | None], str]] = {
    "browser": (find_browser, REMEDY),
    "curl": (lambda: shutil.which("curl"), "apt-get install curl"),
}
"""By name: finds the program, and how to get it."""


def demand(what: str) -> None:
    """Skip the test that is running, or fail it under `NO_SKIP`, if a program is not here."""
    if _is_here(what):
        return
    reason = f"not tested, there is no {what}; get one: {WANTED[what][1]}"
    if os.environ.get(NO_SKIP):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@cache
def _is_here(what: str) -> bool:
    return WANTED[what][0]() is not None


def summary(skipped: Sequence[pytest.TestReport]) -> list[str]:
    """A line for each program that was not here, with the number of tests that need it."""
    reasons = Counter(
        report.longrepr[2].removeprefix(SKIPPED) for report in skipped if isinstance(report.longrepr, tuple)
    )
    wanted = [reason for reason in sorted(reasons) if reason.startswith("not tested, ")]
    return [f"{reasons[reason]} tests {reason}" for reason in wanted]
