"""Gates, and the ladder that selects a recipe by them. Here: the form of the answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lvm_core.config.gates import Bound, Relation, Split
from lvm_core.config.params import Group


class ConditionResult(Group):
    """What became of a condition."""

    split: Split | None
    """None for a condition on a set."""
    figure: str
    """Its name in this frame; `gates_<set>` for a condition on a set."""
    point: float | None
    """The number, before `bound`; None where undefined."""
    value: float | None
    """What was compared with the limit: the number or an end of its interval; None where undefined."""
    limit: float
    """Of the condition."""
    bound: Bound
    """Of the condition."""
    relation: Relation
    """Of the condition."""
    passed: bool | None
    """None where it cannot be told."""


class GateResult(Group):
    """What became of a gate."""

    passed: bool | None
    """None where it is not applicable, or undefined on these data."""
    applies: bool
    """False where it is not applicable: a test of the use of the context for a predictor that does not read it, or a
    split without windows (no other source was given)."""
    counts: bool
    """False if it is only reported."""
    conditions: list[ConditionResult]
    """In the order of the gate's."""


class RowResult(Group):
    """What a row of the comparison reached in a set."""

    passed: int
    """Number of gates that count and are passed."""
    of: int
    """Number of gates that count and have an answer."""
    gates: dict[str, GateResult]
    """By name."""

    @property
    def undefined(self) -> list[str]:
        """Names of the gates that count and apply, but cannot be told on these data."""
        return [name for name, gate in self.gates.items() if gate.counts and gate.applies and gate.passed is None]

    @property
    def missed(self) -> list[str]:
        """Names of the gates that count and are failed, or apply but cannot be told on these data."""
        undefined = self.undefined
        return [
            name for name, gate in self.gates.items() if name in undefined or (gate.counts and gate.passed is False)
        ]

    @property
    def whole(self) -> bool:
        """Whether every gate that counts and applies is passed, and there is one; an undefined one is not."""
        return 0 < self.of == self.passed and not self.undefined


class AfterPhases(Group):
    """What a recipe reached in its set, phase by phase, in the corrected frame."""

    set: str
    """Name of the set."""
    a: RowResult
    """After phase A."""
    b: RowResult
    """After phase B."""
    c: RowResult
    """The final model."""
    stopped_after: str | None
    """The phase after which it was not trained further (the later answers are then those of the same weights); None if
    it went through all."""
    why: str | None
    """It was stopped."""


class SetResult(Group):
    """The answers of a set."""

    definition: dict[str, Any]
    """The set as it was (`params.definition_of`)."""
    corrected: dict[str, RowResult]
    """By row, in the corrected frame."""
    published: dict[str, RowResult]
    """By row, in the published frame; empty if no figure of the set has a counterpart there."""

    def in_frame(self, frame: str) -> dict[str, RowResult]:
        """The answers by row in a frame (`corrected` or `published`)."""
        return {"corrected": self.corrected, "published": self.published}[frame]


def to_json(results: Mapping[str, SetResult]) -> dict[str, Any]:
    """The answers by set as json values."""
    return {name: result.model_dump() for name, result in results.items()}
