"""Gates as text: of a comparison, and after each phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lvm_core.config.gates import FRAMES, Condition, Gate, GatesParams, Relation, frames_of
from lvm_core.selection import AfterPhases, ConditionResult, GateResult, RowResult, SetResult
from lvm_core.train.decision import Decision

SIGNS: dict[Relation, str] = {"at_least": ">=", "above": ">", "at_most": "<=", "below": "<"}

STATUS_WORDS = {
    "copies": "repeats the last context chunk: cosine with it at least 0.95",
    "forward": "passes every certified gate: ranks the next chunk higher than anything that learns little or nothing",
    "blurs": "averages: finds the next chunk less often than the mean of the context does (R@5 below context_mean's)",
    "weak": "none of these: neither a copy nor a blur, but not all certified gates passed",
}
"""What the status words mean; the first that is true (`judge.status_of`)."""

ORACLE = "oracle"

TRIVIAL = (
    *("copy_last", "context_mean", "decay", "decay_centred", "linear5"),
    *("article_centroid", "corpus_mean", "random"),
)
"""References that a set worth its name must not let through."""


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
        rivals = f"best of {', '.join(names)}" if len(names) > 1 else names[0]
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


def gates_text(params: GatesParams, results: Mapping[str, SetResult], kinds: Mapping[str, str]) -> str:
    """The chapter on gates of metrics/comparison.md.

    Args:
        params: the sets.
        results: from `judge.judge_gates`.
        kinds: `recipe` or `reference` of each row, in the order of the table.
    """
    lines = [
        "## Gates",
        "",
        "What a row has to reach, set by set (`gates.sets` in params.yaml). `lo[x]`, `hi[x]`: lower and upper end of "
        "the 95% interval of x, paired where x is a difference. `pass`, `fail`, `-` (not applicable, or undefined on "
        "these data); where two stand, the first is for the corrected frame, the second for the published one. "
        "`passed` counts the gates that count and have an answer.",
        "",
    ]
    for name, gates in params.sets.items():
        lines += [f"### {name}", "", *_sentences(name, results[name], kinds, frames_of(params, name)), ""]
        lines += [*_matrix(gates, results[name], kinds, frames_of(params, name)), ""]
        lines += [*(f"- `{key}`: {gate_text(gate)}" for key, gate in gates.items()), ""]
    return "\n".join(lines)


def _matrix(gates: Mapping[str, Gate], result: SetResult, kinds: Mapping[str, str], frames: Sequence[str]) -> list[str]:
    titles = [f"{key} (report only)" if gate.report_only else key for key, gate in gates.items()]
    titles += ["passed"] if len(frames) == 1 else [f"passed ({frame})" for frame in frames]
    lines = ["| name | " + " | ".join(titles) + " |", "|---|" + ":---:|" * len(titles)]
    for kind in ("recipe", "reference"):
        for name in (name for name, its_kind in kinds.items() if its_kind == kind):
            rows = [result.in_frame(frame)[name] for frame in frames]
            cells = [_cell([row.gates[key].passed for row in rows]) for key in gates]
            cells += [f"{row.passed} of {row.of}" for row in rows]
            lines.append(f"| `{name}` ({kind}) | " + " | ".join(cells) + " |")
    return lines


def _cell(answers: Sequence[bool | None]) -> str:
    marks = [mark(answer) for answer in answers]
    return marks[0] if len(set(marks)) == 1 else " / ".join(marks)


def _sentences(name: str, result: SetResult, kinds: Mapping[str, str], frames: Sequence[str]) -> list[str]:
    """What a reader must know before the matrix: is the set fit to judge by, and does any recipe pass it?"""
    lines = []
    for frame in frames:
        rows = result.in_frame(frame)
        found = [_about_the_oracle(rows), _about_the_trivial(rows), _about_the_recipes(name, rows, kinds)]
        where = f"{frame.capitalize()} frame: " if len(frames) > 1 else ""
        lines.append(f"- {where}{' '.join(sentence for sentence in found if sentence)}")
    return lines


def _about_the_oracle(rows: Mapping[str, RowResult]) -> str:
    if ORACLE not in rows:
        return ""
    failed = [f"`{key}`" for key, gate in rows[ORACLE].gates.items() if gate.passed is False]
    if failed:
        return f"**The oracle itself fails {', '.join(failed)}**: no predictor can be blamed for failing there."
    undefined = [f"`{key}`" for key in rows[ORACLE].undefined]
    unknown = (
        f" **{', '.join(undefined)} cannot be told on these data**, so nothing can pass the set." if undefined else ""
    )
    of = rows[ORACLE].of
    if not of:
        return unknown.strip()
    gates = f"all {of} gates that apply" if of > 1 else "the one gate that applies"
    return f"The oracle passes {gates} to it.{unknown}"


def _about_the_trivial(rows: Mapping[str, RowResult]) -> str:
    through = [f"`{name}`" for name in TRIVIAL if name in rows and rows[name].whole]
    if through:
        return f"**Passed whole without having learned anything: {', '.join(through)}.**"
    if not any(name in rows for name in TRIVIAL) or (ORACLE in rows and rows[ORACLE].undefined):
        return ""  # where nothing can pass, that these do not says nothing
    return "No trivial predictor passes the set."


def _about_the_recipes(name: str, rows: Mapping[str, RowResult], kinds: Mapping[str, str]) -> str:
    whole = [f"`{row}`" for row, kind in kinds.items() if kind == "recipe" and rows[row].whole]
    return f"Passed whole by {', '.join(whole)}." if whole else f"**No trained recipe passes `{name}`.**"


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
        "Each recipe is judged by one set of gates after every phase, in the corrected frame: by its own "
        f"(`recipes.<name>.gates`), else by `{params.in_force}` (`gates.in_force`). {policy_text(params.policy)}",
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
