"""`make report`: the report with commit and date, in build/report.html; DVC's own copy has neither."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime

from lvm_core.runtime.cli import run_stage
from stages.report import write_report

TARGET = "build/report.html"


def commit() -> str:
    """The commit that lies here, and whether something differs from it."""
    try:
        head, changes = (
            subprocess.run(["git", *command], capture_output=True, text=True, check=True).stdout.strip()
            for command in (("rev-parse", "HEAD"), ("status", "--porcelain"))
        )
    except (OSError, subprocess.CalledProcessError):
        return "not in git"
    return f"{head}, with uncommitted changes" if changes else head


def main() -> None:
    """Write the page."""
    written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    write_report(TARGET, [("commit", commit()), ("written", written)])


if __name__ == "__main__":
    run_stage(main)
