"""The recipes held against their sets of gates after each phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lvm_core.decision import Decision, decision_file, read_decision
from lvm_core.fivecat.resampled import Judgement
from lvm_core.gates.judge import judge_row
from lvm_core.gates.params import GatesParams
from lvm_core.gates.results import AfterPhases

PHASES = ("a", "b", "c")


def read_decisions(names: Sequence[str]) -> dict[str, Decision]:
    """What the gates decided on each named recipe after phase A.

    Raises:
        LvmError: a decision is missing or damaged (names the file).
    """
    return {name: read_decision(decision_file("a", name)) for name in names}


def judge_phases(
    params: GatesParams,
    sets: Mapping[str, str],
    judgements: Mapping[str, Mapping[str, Judgement]],
    decisions: Mapping[str, Decision],
) -> dict[str, AfterPhases]:
    """Hold each recipe against its own set after each phase, in the corrected frame.

    Args:
        params: the sets.
        sets: name of the set of each recipe.
        judgements: by phase and row, the reference predictors among the rows.
        decisions: of each recipe after phase A.
    """
    found = {}
    for name, chosen in sets.items():
        rows = {phase: judge_row(params, chosen, name, judgements[phase]) for phase in PHASES}
        why = decisions[name].why
        found[name] = AfterPhases(set=chosen, **rows, stopped_after=None if why is None else "a", why=why)
    return found


def to_json(found: Mapping[str, AfterPhases]) -> dict[str, Any]:
    """The answers by recipe as json values."""
    return {name: one.model_dump() for name, one in found.items()}
