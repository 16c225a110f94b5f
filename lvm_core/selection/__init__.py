"""Gates, and the ladder that selects a recipe by them. Here: the form of the answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lvm_core.config import Group
from lvm_core.config.gates import Bound, Relation, Split


class ConditionResult(Group):
    """What became of a condition.

    Attributes:
        split: None for a condition on a set.
        figure: its name in this frame; `gates_<set>` for a condition on a set.
        point: the number, before `bound`; None where undefined.
        value: what was held against the limit: the number or an end of its interval; None where undefined.
        limit: of the condition.
        bound: of the condition.
        relation: of the condition.
        passed: None where it cannot be told.
    """

    split: Split | None
    figure: str
    point: float | None
    value: float | None
    limit: float
    bound: Bound
    relation: Relation
    passed: bool | None


class GateResult(Group):
    """What became of a gate.

    Attributes:
        passed: None where it is not applicable, or undefined on these data.
        applies: False where it is not applicable: a test of the use of the context for a predictor that does not read
            it, or a split without windows (no other source was given).
        counts: False if it is only reported.
        conditions: in the order of the gate's.
    """

    passed: bool | None
    applies: bool
    counts: bool
    conditions: list[ConditionResult]


class RowResult(Group):
    """What a row of the comparison reached in a set.

    Attributes:
        passed: number of gates that count and are passed.
        of: number of gates that count and have an answer.
        gates: by name.
    """

    passed: int
    of: int
    gates: dict[str, GateResult]

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
    """What a recipe reached in the set it is held against, phase by phase, in the corrected frame.

    Attributes:
        set: name of the set.
        a: after phase A.
        b: after phase B.
        c: the final model.
        stopped_after: the phase after which it was not trained further (the later answers are then those of the same
            weights); None if it went through all.
        why: it was stopped.
    """

    set: str
    a: RowResult
    b: RowResult
    c: RowResult
    stopped_after: str | None
    why: str | None


class SetResult(Group):
    """The answers of a set.

    Attributes:
        definition: the set as it was (`params.definition_of`).
        corrected: by row, in the corrected frame.
        published: by row, in the published frame; empty if no figure of the set has a counterpart there.
    """

    definition: dict[str, Any]
    corrected: dict[str, RowResult]
    published: dict[str, RowResult]

    def in_frame(self, frame: str) -> dict[str, RowResult]:
        """The answers by row in a frame (`corrected` or `published`)."""
        return {"corrected": self.corrected, "published": self.published}[frame]


def to_json(results: Mapping[str, SetResult]) -> dict[str, Any]:
    """The answers by set as json values."""
    return {name: result.model_dump() for name, result in results.items()}
