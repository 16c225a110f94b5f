"""Training: batches, losses, the trainer, phases.

Here, without torch: the curves of all trainings, and what the gates decide after a phase.
"""

from __future__ import annotations

import fcntl
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lvm_core.config.params import Group, validate
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import write_json, write_text
from lvm_core.runtime.readers import read_json

CURVES = Path("plots/training.csv")
"""The curves of all recipes, those in training up to the epoch that they have finished. `dvc plots show` draws them."""


def enter_curve(name: str, history: Sequence[Mapping[str, Any]], path: Path = CURVES) -> None:
    """Put the epochs that a recipe has trained in the place of its earlier ones, and write the whole file anew.

    Several trainings may do so at a time. `history` has one mapping an epoch, all with the same keys.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        header = ",".join(("name", *history[0]))
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        others = [line for line in lines[1:] if not line.startswith(f"{name},")] if lines[:1] == [header] else []
        own = [",".join((name, *(_cell(value) for value in epoch.values()))) for epoch in history]
        rows = sorted([*others, *own], key=lambda line: line.split(",")[0])  # keeps the order of the epochs
        write_text(path, "".join(f"{line}\n" for line in (header, *rows)))
    finally:
        os.close(folder)


def _cell(value: Any) -> str:
    """As `write_csv` writes it."""
    return str(value) if not isinstance(value, float) else "" if math.isnan(value) else f"{value:.7g}"


def kept_line(history: Sequence[Mapping[str, Any]], epoch: int) -> str:
    """What a training says at its end: the epoch kept, and its figures on `dev`."""
    kept = next(row for row in history if row["epoch"] == epoch)  # an early stop leaves numbers out
    return f"kept epoch {epoch}: R@5 {kept['dev_recall_at_5']:.3f}, cosine {kept['dev_cosine']:.3f} on dev"


class Decision(Group):
    """Whether a recipe is trained further after a phase."""

    goes_on: bool
    """False under the policy `enforce` if the recipe does not pass its set of gates."""
    why: str | None
    """The gates that it does not pass, in one line; None if it goes on."""


def decision_file(phase: str, recipe: str) -> Path:
    """Where the decision on a recipe after a phase lies."""
    return Path("data/gates") / phase / f"{recipe}.json"


def write_decision(path: str | Path, decision: Decision) -> None:
    """Write a decision as json, atomically."""
    write_json(path, decision.model_dump())


def read_decision(path: str | Path) -> Decision:
    """Read a decision.

    Raises:
        LvmError: the file is missing, or holds something else (names it).
    """
    raw = read_json(path)
    try:
        decision: Decision = validate(raw, Decision, "decision", path)
    except LvmError as error:
        raise LvmError(f"{error}; delete it and run `dvc repro`") from None
    if decision.goes_on != (decision.why is None):
        raise LvmError(f"{path}: goes_on and why contradict each other; delete it and run `dvc repro`")
    return decision
