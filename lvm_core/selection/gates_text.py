"""Gates in words."""

from __future__ import annotations

from collections.abc import Mapping

from lvm_core.config.gates import ALL_RIVALS, FRAMES, Condition, Gate, GatesParams, Relation
from lvm_core.selection import AfterPhases, ConditionResult, GateResult, Outcome, RowResult
from lvm_core.train import Decision

SIGNS: dict[Relation, str] = {"at_least": ">=", "above": ">", "at_most": "<=", "below": "<"}

STATUS_WORDS = {
    "copies": "repeats the last context chunk: cosine with it at least 0.95",
    "forward": "passes every certified gate: ranks the next chunk higher than every reference that sees as much",
    "blurs": "averages: finds the next chunk less often than the mean of the context does (R@5 below context_mean's), "
    "and is nearer to a mean than to any chunk of the article",
    "lost": "as seldom right, but near no mean either: its predictions point nowhere",
    "weak": "none of these: neither a copy nor a blur, but not all certified gates passed",
}
"""What the status words mean; the first that is true (`selection.judge.status_of`)."""


def mark(passed: bool | None) -> str:
    """`pass`, `fail`, or `-` for not applicable or undefined."""
    return "-" if passed is None else "pass" if passed else "fail"


def number_text(condition: Condition, frame: str) -> str:
    """What a condition puts its limit to, such as `val margin` or `lo[val recall_at_5 - best of copy_last, random]`."""
    if condition.set is not None:
        return f"gates of {condition.set} passed"
    figure = condition.figure_in(frame)
    text = f"{condition.split} {figure}"
    if condition.distance_to is not None:
        text = f"|{condition.split} - {condition.distance_to}| of {figure}"
    if condition.minus is not None:
        names = condition.minus.best_of
        rivals = f"best of {', '.join(names)}" if len(names) > 1 or names == [ALL_RIVALS] else names[0]
        text += f" - {rivals}" if condition.minus.times == 1 else f" - {condition.minus.times:g} x {rivals}"
    return text if condition.bound == "point" else f"{condition.bound}[{text}]"


def limit_text(condition: Condition) -> str:
    """The limit of a condition, such as `>= 0.02`."""
    return f"{SIGNS[condition.relation]} {condition.limit:g}"


def gate_text(gate: Gate, frame: str = FRAMES[0]) -> str:
    """All conditions of a gate in one line."""
    return ", ".join(f"{number_text(one, frame)} {limit_text(one)}" for one in gate.all_of)


def answer_text(condition: Condition, result: ConditionResult, frame: str) -> str:
    """A condition with the value reached, such as `val margin = -0.1242, needs >= 0.02: fail`."""
    value = "undefined" if result.value is None else f"{result.value:.4g}"
    return f"{number_text(condition, frame)} = {value}, needs {limit_text(condition)}: {mark(result.passed)}"


POLICIES = {
    "report": "every recipe goes through all phases, whatever it passes",
    "enforce": "a recipe that does not pass its set after phase A goes no further, and the later phases pass the "
    "weights of phase A on",
}
"""What becomes of a recipe, by policy (`gates.policy`)."""


def decide(params: GatesParams, name: str, row: RowResult) -> Decision:
    """Whether a recipe goes on after phase A.

    Under `report` the answer is always the same, so that another threshold trains nothing anew. Under `enforce` a
    recipe stops at every gate of the named set that is failed, or that applies but cannot be told.
    """
    if params.policy == "report" or not row.outcome.missed:
        return Decision(goes_on=True, why=None)
    return Decision(goes_on=False, why=f"{name}: {missed_text(params.sets[name], row)}")


def missed_text(gates: Mapping[str, Gate], row: RowResult) -> str:
    """The gates that a row does not pass, with figures and limits, in one line."""
    return "; ".join(f"{key} ({_shortfall(gates[key], row.gates[key])})" for key in row.outcome.missed)


def _shortfall(gate: Gate, result: GateResult) -> str:
    pairs = zip(gate.all_of, result.conditions, strict=True)
    return ", ".join(_short(condition, answer) for condition, answer in pairs if answer.passed is not True)


def _short(condition: Condition, answer: ConditionResult) -> str:
    number = "undefined" if answer.value is None else f"{round(answer.value, 4) + 0.0:g}"
    return f"{number_text(condition, FRAMES[0])} = {number}, needs {limit_text(condition)}"


def missed_names(row: Outcome) -> list[str]:
    """Names of the gates that a row does not pass; those that cannot be told on these data are marked by a `?`."""
    return [f"{name}?" if name in row.undefined else name for name in row.missed]


def stopped_note(found: AfterPhases) -> str:
    """What is added to the line about a recipe: nothing, or that it was stopped."""
    if found.stopped_after is None:
        return ""
    return f" (stopped after phase {found.stopped_after.upper()}: see Gates after each phase)"
