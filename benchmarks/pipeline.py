"""What a run of the pipeline cost, by kind of stage: a table of the record that `make repro` leaves in build/runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lvm_core.runtime.errors import LvmError

RUNS = Path("build/runs")
TOOL = "tools/repro.py"
DVC, OTHER = "DVC itself", "other processes"


@dataclass
class Cost:
    """Of one kind of stage."""

    cpu: float = 0.0
    processes: int = 0


@dataclass
class Run:
    """The costs of a run.

    Attributes:
        name: of its record.
        kinds: by kind of stage.
        wall: seconds from the beginning to the end.
    """

    name: str
    kinds: dict[str, Cost] = field(default_factory=dict)
    wall: float = 0.0

    @property
    def all(self) -> Cost:
        """Everything together."""
        return Cost(sum(cost.cpu for cost in self.kinds.values()), sum(cost.processes for cost in self.kinds.values()))


def main(paths: Sequence[str]) -> int:
    """Print the table of these records, side by side (default: the newest one); the exit code."""
    try:
        print(table([read_run(Path(path)) for path in paths or [str(newest(RUNS))]]))
    except LvmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def newest(folder: Path) -> Path:
    """The record of the last run; the names are made of the time.

    Raises:
        LvmError: there is none.
    """
    records = sorted(folder.glob("*.jsonl"))
    if not records:
        raise LvmError(f"{folder}: has no record of a run; run `make repro`, or name a record")
    return records[-1]


def read_run(path: Path) -> Run:
    """Add up a record.

    Raises:
        LvmError: it cannot be read, or a line is none of a record.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LvmError(f"{path}: cannot be read ({error})") from None
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            said = json.loads(line)
            entries.append(([*map(str, said["argv"])], float(said["cpu"]), float(said["wall"]), _processes(said)))
        except (ValueError, LookupError, TypeError):
            raise LvmError(f"{path}: line {number} is no line of a record") from None
    return add_up(path.stem, entries)


def _processes(said: dict[str, Any]) -> int:
    return int(said.get("processes", 1))


def add_up(name: str, entries: Iterable[tuple[list[str], float, float, int]]) -> Run:
    """The costs by kind, of commands with their CPU seconds, wall time and number of processes."""
    run, longest = Run(name), 0.0
    for argv, cpu, wall, processes in entries:
        cost = run.kinds.setdefault(kind_of(argv), Cost())
        cost.cpu += cpu
        cost.processes += processes
        longest = max(longest, wall)
        run.wall += wall if argv and argv[0].endswith(TOOL) else 0.0
    run.wall = run.wall or longest
    return run


def kind_of(argv: Sequence[str]) -> str:
    """Name of the stage's script, or what else a command belongs to."""
    stage = next((one for one in argv if one.startswith("stages.")), None)
    if stage:
        return stage.removeprefix("stages.")
    return DVC if argv and Path(argv[0]).name == "dvc" else OTHER


def table(runs: Sequence[Run]) -> str:
    """Markdown: a row for each kind, the costliest first, then DVC and others, the sum and the wall time."""
    kinds = {kind for run in runs for kind in run.kinds}
    last = (DVC, OTHER)
    costliest = sorted(kinds - {*last}, key=lambda kind: (-max(_cost(run, kind).cpu for run in runs), kind))
    rows = [_row([f"`{kind}`"], [_cells(_cost(run, kind), run) for run in runs]) for kind in costliest]
    rows += [_row([kind], [_cells(_cost(run, kind), run) for run in runs]) for kind in last if kind in kinds]
    rows.append(_row(["**all**"], [_cells(run.all, run) for run in runs]))
    rows.append(_row(["wall time"], [[f"{run.wall:,.0f} s", "", ""] for run in runs]))
    several = len(runs) > 1
    heads = [[f"{what}, {run.name}" if several else what for what in ("CPU s", "processes", "share")] for run in runs]
    return "\n".join([_row(["stage"], heads), _row(["---"], [["---:"] * 3 for _ in runs]), *rows])


def _cost(run: Run, kind: str) -> Cost:
    return run.kinds.get(kind, Cost())


def _cells(cost: Cost, run: Run) -> list[str]:
    if not cost.processes:
        return ["-", "-", "-"]
    return [f"{cost.cpu:,.0f}", str(cost.processes), f"{cost.cpu / (run.all.cpu or 1.0):.1%}"]


def _row(first: list[str], groups: Iterable[list[str]]) -> str:
    return f"| {' | '.join([*first, *(cell for group in groups for cell in group)])} |"
