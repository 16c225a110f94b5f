"""The lines of the benchmarks, as json for programs and as a table for people."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lvm_core.runtime.files import write_json, write_text


@dataclass(frozen=True)
class Line:
    """One thing measured.

    Attributes:
        name: what.
        ratio: the measure.
        goal: what it should reach; None for a line that only informs.
        met: whether it does; None without a goal.
        against: what the ratio is to.
        detail: the times or sizes behind it.
    """

    name: str
    ratio: float
    goal: float | None
    met: bool | None
    against: str
    detail: str

    def sentence(self) -> str:
        """The line as plain text."""
        goal = "" if self.goal is None else f" (goal {self.goal:g}: {'met' if self.met else 'NOT met'})"
        return f"{self.name}: {self.ratio:.3g}{goal}; {self.against}; {self.detail}"


def at_least(name: str, ratio: float, goal: float, against: str, detail: str) -> Line:
    """A line whose ratio should be `goal` or more."""
    return Line(name, ratio, goal, ratio >= goal, against, detail)


def at_most(name: str, ratio: float, goal: float, against: str, detail: str) -> Line:
    """A line whose ratio should be `goal` or less."""
    return Line(name, ratio, goal, ratio <= goal, against, detail)


def for_information(name: str, ratio: float, against: str, detail: str) -> Line:
    """A line without a goal."""
    return Line(name, ratio, None, None, against, detail)


def machine() -> str:
    """Processor, cores, load and versions, in one line."""
    import torch

    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    processor = found.group(1) if found else platform.processor() or platform.machine()
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{processor}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end; {versions}"


def write_report(directory: str | Path, lines: Sequence[Line]) -> None:
    """Write bench.json (a list of lines) and bench.md."""
    rows = [
        f"| {x.name} | {x.ratio:.3g} | {'-' if x.goal is None else f'{x.goal:g}'} "
        f"| {'-' if x.met is None else 'yes' if x.met else '**no**'} | {x.against} | {x.detail} |"
        for x in lines
    ]
    text = [
        "# Benchmarks",
        "",
        "Made by `python -m benchmarks`. Both sides of a ratio run in turn, several times: medians.",
        f"Machine: {machine()}.",
        "",
        "| what | ratio | goal | met | against | detail |",
        "|---|---:|---:|---|---|---|",
        *rows,
        "",
    ]
    write_json(Path(directory) / "bench.json", [asdict(line) for line in lines])
    write_text(Path(directory) / "bench.md", "\n".join(text))
