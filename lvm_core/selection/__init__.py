"""Gates, and the ladder that selects a recipe by them. Here: the form of the answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lvm_core.config.params import Group


class ConditionResult(Group):
    """What became of a condition."""

    value: float | None
    """What was compared with the limit: the number or an end of its interval; None where undefined."""
    passed: bool | None
    """None where it cannot be told."""


class GateResult(Group):
    """What became of a gate."""

    passed: bool | None
    """None where it is not applicable, or undefined on these data."""
    applies: bool = True
    """False where it is not applicable: a test of the use of the context for a predictor that does not read it, or a
    split without windows (no other source was given)."""
    conditions: list[ConditionResult]
    """In the order of the gate's."""


class Outcome(Group):
    """What a row of the comparison reached in a set, in short."""

    passed: int
    """Number of gates that are passed."""
    of: int
    """Number of gates that have an answer."""
    undefined: list[str]
    """Names of the gates that apply, but cannot be told on these data."""
    missed: list[str]
    """Names of the gates that are failed, or apply but cannot be told on these data."""

    @property
    def whole(self) -> bool:
        """Whether every gate that applies is passed, and there is one; an undefined one is not."""
        return 0 < self.of == self.passed and not self.undefined


class RowResult(Group):
    """What a row of the comparison reached in a set."""

    gates: dict[str, GateResult]
    """By name."""

    @property
    def outcome(self) -> Outcome:
        """The answers in short."""
        answers = [gate.passed for gate in self.gates.values() if gate.passed is not None]
        undefined = [name for name, gate in self.gates.items() if gate.applies and gate.passed is None]
        missed = [name for name, gate in self.gates.items() if name in undefined or gate.passed is False]
        return Outcome(passed=sum(answers), of=len(answers), undefined=undefined, missed=missed)


class AfterPhases(Group):
    """What a recipe reached in its set after the phases before the last, in the corrected frame."""

    set: str
    """Name of the set."""
    a: Outcome
    """After phase A."""
    b: Outcome
    """After phase B."""
    stopped_after: str | None
    """The phase after which it was not trained further (the later answers are then those of the same weights); None if
    it went through all."""
    why: str | None
    """It was stopped."""


class SetResult(Group):
    """The answers of a set."""

    definition: dict[str, Any]
    """The set as it was (`gates.definition_of`)."""
    corrected: dict[str, RowResult]
    """By row, in the corrected frame."""
    published: dict[str, RowResult]
    """By row, in the published frame; empty if no figure of the set has a counterpart there."""

    def in_frame(self, frame: str) -> dict[str, RowResult]:
        """The answers by row in a frame (`corrected` or `published`)."""
        return {"corrected": self.corrected, "published": self.published}[frame]


def to_json(results: Mapping[str, SetResult | AfterPhases]) -> dict[str, Any]:
    """The answers by set (or by recipe) as json values, without `applies` where it is true."""
    return {name: result.model_dump(exclude_defaults=True) for name, result in results.items()}
