"""Gates, selection and confidence on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from lvm_core.config.gates import FRAMES, Gate
from lvm_core.config.references import ORACLE, REFERENCES
from lvm_core.report.drawing import BASELINE, RECIPE, Picture, drawing
from lvm_core.report.ladder_text import TITLES as LADDER_TITLES
from lvm_core.report.ladder_text import (
    attempt_text,
    beside_text,
    final_models,
    metric_sentence,
    parameters_text,
    standing_text,
    why_selected,
)
from lvm_core.report.numbers import UNDEFINED, Cell, Line, Table, bracket, count, number, with_interval
from lvm_core.selection import AfterPhases, Outcome, RowResult, SetResult
from lvm_core.selection.gates_text import gate_text, mark, missed_names

TITLES = {"certified": "certified", "stage_a": "stage A of the summary", "published_5cat": "5CAT as published"}

FRAME_TITLES = {"corrected": "corrected frame", "published": "published frame (one chunk late)"}

TRIVIAL = tuple(name for name in REFERENCES if name != ORACLE)
"""References that a set worth its name lets through only where they do beat all others that see as much."""


class Remark(NamedTuple):
    """What a reader must know before the matrix: is the set fit to judge by, and does any recipe pass it?"""

    text: str
    warns: bool


@dataclass(frozen=True)
class GateTable:
    """One set in one frame."""

    caption: str
    remarks: list[Remark]
    table: Table
    """A line a predictor: what it passed, and `pass`, `fail` or an en dash for each gate."""
    conditions: dict[str, str]
    """Of each gate, in words."""


def gate_tables(gates: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[GateTable]:
    """A table for each set and frame of comparison.json's `gates`, recipes first."""
    kinds = {str(row["name"]): str(row["kind"]) for row in sorted(rows, key=lambda row: row["kind"] != "recipe")}
    sets = {name: SetResult.model_validate(found) for name, found in gates.items()}
    return [_table(name, frame, one, kinds) for name, one in sets.items() for frame in FRAMES if one.in_frame(frame)]


def _table(name: str, frame: str, result: SetResult, kinds: Mapping[str, str]) -> GateTable:
    answers = result.in_frame(frame)
    shown = {row: (kind, answers[row]) for row, kind in kinds.items() if row in answers}
    words = {key: gate_text(Gate.model_validate(gate), frame) for key, gate in result.definition.items()}
    lines = [
        Line(row, kind, None, [Cell(_of(found.outcome)), *(Cell(_mark(found.gates[key].passed)) for key in words)])
        for row, (kind, found) in shown.items()
    ]
    caption = f"Gate set {TITLES.get(name, name)}, {FRAME_TITLES[frame]}"
    return GateTable(caption, _remarks(name, shown), Table(caption, ["name", "passed", *words], lines), words)


def _of(outcome: Outcome) -> str:
    return f"{outcome.passed} of {outcome.of}"


def _mark(passed: bool | None) -> str:
    return UNDEFINED if passed is None else mark(passed)


def _remarks(name: str, rows: Mapping[str, tuple[str, RowResult]]) -> list[Remark]:
    outcomes = {row: found.outcome for row, (_, found) in rows.items()}
    remarks = _about_the_oracle(rows[ORACLE][1]) if ORACLE in rows else []
    through = [row for row in TRIVIAL if row in rows and outcomes[row].whole]
    if through:
        remarks.append(Remark(f"Passed whole without a training: {', '.join(through)}.", True))
    elif any(row in rows for row in TRIVIAL) and not (ORACLE in rows and outcomes[ORACLE].undefined):
        remarks.append(Remark("No trivial predictor passes the set.", False))  # where nothing can, this says nothing
    remarks += _about_the_gates([rows[row][1] for row in TRIVIAL if row in rows])
    whole = [row for row, (kind, _) in rows.items() if kind == "recipe" and outcomes[row].whole]
    said = f"Passed whole by {', '.join(whole)}." if whole else f"No trained recipe passes {name}."
    return [*remarks, Remark(said, not whole)]


def _about_the_gates(trivial: Sequence[RowResult]) -> list[Remark]:
    """How many of the trivial predictors that a gate applies to pass it, and which lets most of them through."""
    answers: dict[str, list[bool]] = {}
    for row in trivial:
        for key, gate in row.gates.items():
            if gate.passed is not None:
                answers.setdefault(key, []).append(gate.passed)
    if not answers:
        return []
    counts = ", ".join(f"{key} {sum(found)} of {len(found)}" for key, found in answers.items())
    remarks = [Remark(f"Passed by trivial predictors, where it applies: {counts}.", False)]
    lax = [key for key, found in answers.items() if 2 * sum(found) > len(found)]
    if lax:
        remarks.append(Remark(f"More than half of them pass {', '.join(lax)}, which alone tells little.", True))
    return remarks


def _about_the_oracle(row: RowResult) -> list[Remark]:
    failed = [key for key, gate in row.gates.items() if gate.passed is False]
    if failed:
        said = f"The oracle itself fails {', '.join(failed)}: no predictor can be blamed for failing there."
        return [Remark(said, True)]
    found, remarks = row.outcome, []
    if found.of:
        gates = f"all {found.of} gates that apply" if found.of > 1 else "the one gate that applies"
        remarks.append(Remark(f"The oracle passes {gates} to it.", False))
    if found.undefined:
        said = f"{', '.join(found.undefined)} cannot be told on these data, so nothing can pass the set."
        remarks.append(Remark(said, True))
    return remarks


def phase_tables(gates: Mapping[str, Any], after_phases: Mapping[str, AfterPhases]) -> list[GateTable]:
    """A table for each set that recipes are judged by and each phase before the last, in the corrected frame."""
    tables = []
    for name in dict.fromkeys(one.set for one in after_phases.values()):
        judged = SetResult.model_validate(gates[name])
        words = {key: gate_text(Gate.model_validate(gate)) for key, gate in judged.definition.items()}
        for phase in ("a", "b"):
            lines = []
            for row, found in after_phases.items():
                if found.set == name:
                    outcome: Outcome = getattr(found, phase)
                    marks = [_early(outcome, key, judged.corrected[row]) for key in words]
                    lines.append(Line(row, "recipe", None, [Cell(_of(outcome)), *map(Cell, marks)]))
            caption = f"Gate set {TITLES.get(name, name)}, after phase {phase.upper()}"
            tables.append(GateTable(caption, [], Table(caption, ["name", "passed", *words], lines), words))
    return tables


def _early(outcome: Outcome, gate: str, final: RowResult) -> str:
    """A gate's mark after a phase before the last; it applies where it does to the final model."""
    if gate in outcome.undefined or not final.gates[gate].applies:
        return UNDEFINED
    return mark(gate not in outcome.missed)


def row_gates(tables: Sequence[GateTable]) -> dict[str, list[str]]:
    """By row, a line for each table: what it passed and the names of the gates that it failed."""
    lines: dict[str, list[str]] = {}
    for one in tables:
        for line in one.table.lines:
            failed = [key for key, cell in zip(one.conditions, line.cells[1:], strict=True) if cell.text == "fail"]
            text = f"{one.caption.removeprefix('Gate set ')}: {line.cells[0].text}"
            lines.setdefault(line.name, []).append(text + (f"; failed: {', '.join(failed)}" if failed else ""))
    return lines


def phases_table(after_phases: Mapping[str, AfterPhases], rows: Sequence[Mapping[str, Any]]) -> Table | None:
    """What each recipe reached in its own set after each phase; None where it was not measured."""
    final, lines = {row["name"]: row for row in rows}, []
    for name, found in after_phases.items():
        passed, of = (final[name][f"gates_{found.set}{part}"] for part in ("", "_of"))
        cells = [Cell(found.set), Cell(_of(found.a)), Cell(_of(found.b)), Cell(f"{passed} of {of}")]
        cells.append(Cell(", ".join(missed_names(found.a)) or UNDEFINED))
        cells.append(Cell(f"after {found.stopped_after.upper()}" if found.stopped_after else UNDEFINED))
        lines.append(Line(str(name), "recipe", None, cells))
    columns = ["recipe", "set", "after A", "after B", "final", "not passed after A", "stopped"]
    return Table("Gates passed after each phase, in the corrected frame", columns, lines) if lines else None


@dataclass(frozen=True)
class Selection:
    """What the block shows: the model's name, sentences about it, the attempts (None without any) and all recipes."""

    name: str
    sentences: list[str]
    attempts: Table | None
    candidates: Table


def selection(ladder: Mapping[str, Any] | None) -> Selection | None:
    """The block from metrics/ladder.json; None where there is none."""
    if ladder is None:
        return None
    chosen = ladder["selected"]
    sentences = [
        _plain(why_selected(ladder)),
        _plain(beside_text(ladder)),
        f"{_plain(standing_text(chosen))}.",
        f"Option 1, is forward-distinctness the right metric: {_plain(metric_sentence(ladder['check']))}.",
    ]
    if ladder["skipped"]:
        sentences.append(
            f"Skipped, because they are not among the recipes of this run: {', '.join(ladder['skipped'])}."
        )
    return Selection(str(chosen["model"]), sentences, _attempts(ladder["attempts"]), _candidates(ladder))


def _attempts(attempts: Mapping[str, Any]) -> Table | None:
    columns = ["attempt", "step of the summary", "parameters", "R@5, dev", "R@5, val", "outcome on dev"]
    lines = []
    for name, one in attempts.items():
        recalls = [Cell(number(one[split]["recall_at_5"])) for split in ("dev", "val")]
        cells = [Cell(one["step"] or "–"), Cell(parameters_text(one)), *recalls, Cell(attempt_text(one))]
        lines.append(Line(name, "attempt", None, cells))
    return Table("Attempts after phase A, in the order of the summary", columns, lines) if lines else None


def _candidates(ladder: Mapping[str, Any]) -> Table:
    chosen, lines = ladder["selected"]["model"], []
    for name, one in final_models(ladder).items():
        texts = [one["sees"], *(number(one[key]) for key in LADDER_TITLES), count(one["epoch"])]
        texts.append("selected" if name == chosen else "")
        kind = "recipe" if one["epoch"] is not None else "reference"
        lines.append(Line(name, kind, None, [Cell(text) for text in texts]))
    columns = ["row", "sees", *(f"{title}, dev" for title in LADDER_TITLES.values()), "epoch kept", "choice"]
    return Table("All rows that can be served, on dev, which decides", columns, lines)


def _plain(text: str) -> str:
    return text.replace("`", "")


@dataclass(frozen=True)
class Confidence:
    """What the block shows: sentences, the reliability picture (None without windows on val), and the filling table."""

    sentences: list[str]
    picture: Picture | None
    fills: Table


def confidence(calibration: Mapping[str, Any] | None, reliability: pd.DataFrame | None) -> Confidence | None:
    """The block from metrics/calibration/selected.json and plots/reliability/selected.csv; None where there is none."""
    if calibration is None or reliability is None:
        return None
    val, biases = calibration["val"], calibration["bias"]
    sentences = [_fit(val)] if val else ["– val has no windows, so the confidence was not checked on other windows."]
    sentences += [_biases(biases)] if biases else []
    if calibration["why_not"]:
        sentences = [f"No confidence is stated: {calibration['why_not']}."]
    return Confidence(sentences, _picture(reliability) if len(reliability) else None, _fills(calibration["dev"]))


def _fit(val: Mapping[str, Any]) -> str:
    better = "less" if val["brier"] < val["brier_constant"] else "no less"
    return (
        f"On {count(val['windows'])} windows of val the true chunk is among the five nearest of the whole bank in "
        f"{number(val['found'])} of cases; the confidence stated is {number(val['confidence'])} on average, and "
        f"{number(val['calibration_error'])} away from the observed rate in the mean over ten groups. Its squared "
        f"error is {number(val['brier'], 4)}, {better} than the {number(val['brier_constant'], 4)} of always stating "
        "the mean."
    )


def _biases(found: Mapping[str, Mapping[str, Any]]) -> str:
    told = [f"{split} {with_interval(one['bias'], one['low'], one['high'], sign=True)}" for split, one in found.items()]
    said = (
        "Stated less observed, on articles that the curve was not fitted to (on dev each tenth by the other nine), "
        f"with the 95 % interval over articles: {'; '.join(told)}."
    )
    if "val" in found:
        val, fitted = found["val"], found["dev"]["articles"]
        said += (
            f" With {fitted} other articles for dev, that of val could as well lie in "
            f"{bracket(val['refit_low'], val['refit_high'], sign=True)}."
        )
    return said


def _picture(groups: pd.DataFrame) -> Picture:
    title = "Confidence against the observed rate (val)"
    with drawing("reliability", f"{title}: {len(groups)} groups of windows.") as done:
        top = float(max(groups["high"].max(), groups["confidence"].max())) * 1.05
        done.axes.plot([0, top], [0, top], color=BASELINE, linestyle="--", linewidth=1)
        done.axes.vlines(groups["confidence"], groups["low"], groups["high"], color=RECIPE, linewidth=1)
        (points,) = done.axes.plot(groups["confidence"], groups["observed"], "o", color=RECIPE, markersize=4)
        done.tell(
            points,
            [
                f"stated {number(stated)}, observed {number(rate)} [{number(low)}, {number(high)}]"
                for stated, rate, low, high in groups[["confidence", "observed", "low", "high"]].to_numpy(float)
            ],
        )
        done.axes.set(
            xlabel="confidence stated: the same share, as expected from dev",
            ylabel="observed on val: share with the true next\nchunk among the five nearest of the bank",
            xlim=(0, top), ylim=(0, top),
        )  # fmt: skip
    caption = (
        "Each point is a tenth of the windows, with the 95 % Wilson interval of its rate (windows of one article are "
        "not independent: the true interval is wider). On the dashed line stated and observed agree."
    )
    return Picture(done.svg, title, caption)


def _fills(dev: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Table:
    given = dev["given"]["5_given"]
    columns = ["filling", *(f"{chunks} given" for chunks in range(1, 5)), "5 given", "mean of 1-4"]
    lines = []
    for fill in ("repeat", "neighbours"):
        found = [dev[fill][f"{chunks}_given"]["found"] for chunks in range(1, 5)]
        cells = [Cell(number(value)) for value in [*found, given["found"], sum(found) / len(found)]]
        lines.append(Line(fill, "recipe", None, cells))
    return Table("Share of dev windows with the true chunk among five of the whole bank, by filling", columns, lines)
