"""From the figures of all rows to the gates they pass, and to a status word; pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from lvm_core.config.gates import CERTIFIED, FRAMES, Condition, Gate, GatesParams, definition_of, frames_of
from lvm_core.config.references import ORACLE, REFERENCES
from lvm_core.fivecat.statistics import Judgement, interval
from lvm_core.selection import ConditionResult, GateResult, RowResult, SetResult

Status = Literal["forward", "copies", "blurs", "lost", "weak"]

COPIES = 0.95
"""Mean cosine with the last context chunk from which on a predictor is said to copy it."""

Figure = tuple[float, np.ndarray]
"""A figure over all windows, and [B] float64 of each draw of articles."""


def judge_gates(params: GatesParams, judgements: Mapping[str, Judgement]) -> dict[str, SetResult]:
    """Judge every row by every set, in each frame that the set has; all judgements are from the same draws of articles.

    A gate whose figures, or whose rivals' figures, are missing or undefined has the answer None.
    """

    def rows(name: str, frame: str) -> dict[str, RowResult]:
        has_it = frame in frames_of(params, name)
        return {row: judge_row(params, name, row, judgements, frame) for row in judgements if has_it}

    return {
        name: SetResult(
            definition=definition_of(gates), corrected=rows(name, "corrected"), published=rows(name, "published")
        )
        for name, gates in params.sets.items()
    }


def judge_row(
    params: GatesParams, name: str, row: str, judgements: Mapping[str, Judgement], frame: str = FRAMES[0]
) -> RowResult:
    """Judge a row by the named set in a frame, from the judgements of the row and of the set's `rivals_of_sets`."""
    gates = params.sets[name].items()
    return RowResult(gates={key: _gate(params, gate, row, judgements, frame) for key, gate in gates})


def status_of(name: str, judgements: Mapping[str, Judgement], results: Mapping[str, SetResult]) -> Status:
    """What a row's figures amount to, in one word; the first that is true.

    1. `copies`: on val, mean cosine of at least `COPIES` with the last context chunk, and more than with the target.
    2. `forward`: passes every gate of the set `certified` that applies to it; none of them is undefined.
    3. On val, masked R@5 below that of `context_mean`, which predicts no order of things at all: `blurs` if predictions
       are nearer to a mean (of the article or of the split) than to any chunk of the article, else `lost`.
    4. `weak`: none of these, or undefined.
    """
    copied, right, mean, nearest, own = (
        _value(judgements, name, figure)
        for figure in ("cosine_last", "cosine", "cosine_mean", "cosine_nearest", "recall_at_5")
    )
    if copied is not None and right is not None and copied >= COPIES and copied > right:
        return "copies"
    if results[CERTIFIED].corrected[name].outcome.whole:
        return "forward"
    blur = _value(judgements, "context_mean", "recall_at_5")
    if own is None or blur is None or own >= blur:
        return "weak"
    return "blurs" if mean is not None and nearest is not None and mean > nearest else "lost"


def judge_relatives(
    params: GatesParams, judgements: Mapping[str, Judgement], relatives: Mapping[str, Judgement]
) -> dict[str, dict[str, Any]]:
    """What each near relative of the references reached in the set `certified`, beside the rows: json values by name.

    `failed` names the gates that it does not pass, those that cannot be told on these data included.
    """
    reached = {
        name: judge_row(params, CERTIFIED, name, {**judgements, name: own}).outcome for name, own in relatives.items()
    }
    return {
        name: {"sees": relatives[name].sees, "passed": one.passed, "of": one.of, "failed": one.missed}
        for name, one in reached.items()
    }


def formulas_forward(results: Mapping[str, SetResult], relatives: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """References (but the oracle) and near relatives that pass every certified gate, as no model has to be trained for.

    `relatives`: by `judge_relatives`.
    """
    rows = results[CERTIFIED].corrected
    whole = [name for name in REFERENCES if name != ORACLE and name in rows and rows[name].outcome.whole]
    return whole + [name for name, one in relatives.items() if one["of"] and not one["failed"]]


def passed_of(name: str, results: Mapping[str, SetResult]) -> dict[str, int]:
    """A row's `gates_<set>` and `gates_<set>_of` for every set, in the corrected frame."""
    columns: dict[str, int] = {}
    for set_name, result in results.items():
        row = result.corrected[name].outcome
        columns |= {f"gates_{set_name}": row.passed, f"gates_{set_name}_of": row.of}
    return columns


def _gate(params: GatesParams, gate: Gate, row: str, judgements: Mapping[str, Judgement], frame: str) -> GateResult:
    conditions = []
    for condition in gate.all_of:
        if condition.set is None:
            conditions.append(_condition(condition, row, judgements, frame))
        else:
            conditions.append(_counted(condition, judge_row(params, condition.set, row, judgements, frame)))
    return GateResult(
        passed=all_true(one.passed for one in conditions),
        applies=all(_applies(condition, row, judgements) for condition in gate.all_of),
        conditions=conditions,
    )


def _applies(condition: Condition, row: str, judgements: Mapping[str, Judgement]) -> bool:
    """False where the split has no windows, or the use of the context is asked of a row that does not read it."""
    if condition.set is not None or row not in judgements:
        return True
    if _figure(judgements, row, f"{condition.split}_cosine") is None:
        return False
    asks_for_order = condition.figure is not None and condition.figure.startswith("order_")
    return not asks_for_order or _figure(judgements, row, f"{condition.split}_order_repeat_last") is not None


def all_true(answers: Iterable[bool | None]) -> bool | None:
    """False if one is False, else None if one is None, else True: a condition that fails decides, whatever the rest."""
    known = list(answers)
    return False if False in known else None if None in known else True


def _condition(condition: Condition, row: str, judgements: Mapping[str, Judgement], frame: str) -> ConditionResult:
    figure = condition.figure_in(frame)
    number = _number(condition, figure, row, judgements)
    value = None if number is None else number[0]
    if number is not None and condition.bound != "point":
        value = interval(number[1])[0 if condition.bound == "lo" else 1]
    return ConditionResult(value=value, passed=None if value is None else holds(condition, value))


def _number(condition: Condition, figure: str, row: str, judgements: Mapping[str, Judgement]) -> Figure | None:
    """What a condition puts its limit to."""
    own = _figure(judgements, row, f"{condition.split}_{figure}")
    if own is not None and condition.distance_to is not None:
        other = _figure(judgements, row, f"{condition.distance_to}_{figure}")
        return None if other is None else (abs(own[0] - other[0]), np.abs(own[1] - other[1]))
    if own is not None and condition.minus is not None:
        names = condition.minus.of(row, judgements[row].sees)
        found = [_figure(judgements, name, f"{condition.split}_{figure}") for name in names]
        rivals = [rival for rival in found if rival is not None]
        if len(rivals) < len(found):
            return None
        times, best = condition.minus.times, np.max([draws for _, draws in rivals], axis=0)  # the best of each draw
        return own[0] - times * max(point for point, _ in rivals), own[1] - times * best
    return own


def _value(judgements: Mapping[str, Judgement], row: str, figure: str) -> float | None:
    """A figure of val."""
    found = _figure(judgements, row, f"val_{figure}")
    return None if found is None else found[0]


def _figure(judgements: Mapping[str, Judgement], row: str, key: str) -> Figure | None:
    judgement = judgements.get(row)
    value = judgement.value.get(key) if judgement else None
    return None if judgement is None or value is None else (float(value), judgement.draws[key])


def holds(condition: Condition, value: float) -> bool:
    """Whether a value keeps to the limit of a condition."""
    limit = condition.limit
    kept = {"at_least": value >= limit, "above": value > limit, "at_most": value <= limit, "below": value < limit}
    return kept[condition.relation]


def _counted(condition: Condition, other: RowResult) -> ConditionResult:
    """A condition on the number of another set's gates: None while gates without an answer could still decide it."""
    passed, open_gates = other.outcome.passed, len(other.gates) - other.outcome.of
    at_worst, at_best = (holds(condition, number) for number in (passed, passed + open_gates))
    return ConditionResult(value=passed, passed=at_worst if at_worst == at_best else None)
