"""Training: batches, losses, the trainer, phases. Here, without torch: what the gates after a phase decide."""

from __future__ import annotations

from pathlib import Path

from lvm_core.config.params import Group, validate
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import write_json
from lvm_core.runtime.readers import read_json


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
