"""The set that a recipe is held against after each phase: what follows from it, and the chapter about it."""

from __future__ import annotations

from collections.abc import Mapping

from lvm_core.decision import Decision
from lvm_core.gates.params import FRAMES, Condition, Gate, GatesParams
from lvm_core.gates.results import AfterPhases, ConditionResult, GateResult, RowResult
from lvm_core.gates.text import limit_text, number_text

POLICIES = {
    "report": "every recipe goes through all phases, whatever it passes",
    "enforce": "a recipe that does not pass its set after phase A goes no further, and the later phases pass the "
    "weights of phase A on",
}
"""What becomes of a recipe, by policy (`gates.policy`)."""


def decide(params: GatesParams, name: str, row: RowResult) -> Decision:
    """Whether a recipe goes on after phase A.

    Under `report` the answer is always the same, so that another threshold trains nothing anew. Under `enforce` a
    recipe stops at every gate of its set that counts and is failed, or that applies but cannot be told.

    Args:
        params: policy and sets.
        name: of the set.
        row: what the recipe reached in it.
    """
    if params.policy == "report" or not row.missed:
        return Decision(goes_on=True, why=None)
    return Decision(goes_on=False, why=f"{name}: {missed_text(params.sets[name], row)}")


def missed_text(gates: Mapping[str, Gate], row: RowResult) -> str:
    """The gates that a row does not pass, with figures and limits, in one line."""
    return "; ".join(f"{key} ({_shortfall(gates[key], row.gates[key])})" for key in row.missed)


def _shortfall(gate: Gate, result: GateResult) -> str:
    pairs = zip(gate.all_of, result.conditions, strict=True)
    return ", ".join(_short(condition, answer) for condition, answer in pairs if answer.passed is not True)


def _short(condition: Condition, answer: ConditionResult) -> str:
    number = "undefined" if answer.value is None else f"{round(answer.value, 4) + 0.0:g}"
    return f"{number_text(condition, FRAMES[0])} = {number}, needs {limit_text(condition)}"


def outcome_text(row: RowResult) -> str:
    """What a row reached in a few words, such as `2 of 7`."""
    return f"{row.passed} of {row.of}"


def missed_names(row: RowResult) -> list[str]:
    """Names of the gates that a row does not pass; those that cannot be told on these data are marked by a `?`."""
    return [f"{name}?" if name in row.undefined else name for name in row.missed]


def policy_text(policy: str) -> str:
    """The policy in one sentence."""
    return f"Policy `{policy}`: {POLICIES[policy]}."


def stopped_note(found: AfterPhases) -> str:
    """What is added to the line about a recipe: nothing, or that it was stopped."""
    if found.stopped_after is None:
        return ""
    return f" (stopped after phase {found.stopped_after.upper()}: see Gates after each phase)"


def after_phases_text(params: GatesParams, found: Mapping[str, AfterPhases]) -> str:
    """The chapter of metrics/comparison.md.

    Args:
        params: policy and sets.
        found: by recipe, in their order.
    """
    lines = [
        "## Gates after each phase",
        "",
        "Each recipe is held against one set of gates after every phase, in the corrected frame: against its own "
        f"(`recipes.<name>.gates`), else against `{params.in_force}` (`gates.in_force`). {policy_text(params.policy)}",
        "`2 of 7`: gates passed, of those that count and have an answer; `?`: cannot be told on these data.",
        "",
        "| recipe | set | after A | after B | final | not passed after A | stopped |",
        "|---|---|---:|---:|---:|---|---|",
    ]
    for name, one in found.items():
        cells = [f"`{name}`", f"`{one.set}`", *(outcome_text(row) for row in (one.a, one.b, one.c))]
        cells.append(", ".join(f"`{key}`" for key in missed_names(one.a)) or "-")
        cells.append(f"after {one.stopped_after.upper()}" if one.stopped_after else "-")
        lines.append(f"| {' | '.join(cells)} |")
    stopped = [
        f"- `{name}` was stopped after phase {one.stopped_after.upper()} by {one.why}."
        for name, one in found.items()
        if one.stopped_after
    ]
    return "\n".join([*lines, *(["", *stopped] if stopped else [])])
