"""Gates, selection and confidence on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lvm_core.config.gates import FRAMES, Gate
from lvm_core.report.check_text import metric_sentence
from lvm_core.report.drawing import BASELINE, RECIPE, Picture, drawing
from lvm_core.report.ladder_text import attempt_text, beside_text, parameters_text, standing_text, why_selected
from lvm_core.report.numbers import UNDEFINED, count, number
from lvm_core.report.tables import Cell, Line, Table
from lvm_core.selection import AfterPhases, RowResult
from lvm_core.selection.gates_text import gate_text, missed_names, outcome_text

TITLES = {"certified": "certified", "stage_a": "stage A of the summary", "published_5cat": "5CAT as published"}

FRAME_TITLES = {"corrected": "corrected frame", "published": "published frame (one chunk late)"}


@dataclass(frozen=True)
class Column:
    """A gate: its name, its conditions in words, and whether it counts."""

    name: str
    conditions: str
    counts: bool


@dataclass(frozen=True)
class GateLine:
    """One predictor: name, kind, number passed of number counted, and for each gate True, False or None."""

    name: str
    kind: str
    score: str
    outcomes: list[bool | None]


@dataclass(frozen=True)
class GateTable:
    """One set in one frame.

    oracle_fails: names of counted gates that the oracle fails. passed_by: names of the recipes that pass the whole set.
    """

    key: str
    caption: str
    gates: list[Column]
    lines: list[GateLine]
    oracle_fails: list[str]
    passed_by: list[str]


def gate_tables(gates: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[GateTable]:
    """A table for each set and frame, recipes first."""
    ordered = sorted(rows, key=lambda row: row["kind"] != "recipe")
    return [
        _table(name, frame, found, ordered) for name, found in gates.items() for frame in FRAMES if found.get(frame)
    ]


def phases_table(after_phases: Mapping[str, Any]) -> Table | None:
    """What each recipe reached in its own set after each phase; None where it was not measured."""
    lines = []
    for name, value in after_phases.items():
        found = AfterPhases.model_validate(value)
        cells = [Cell(found.set), *(Cell(outcome_text(row)) for row in (found.a, found.b, found.c))]
        cells.append(Cell(", ".join(missed_names(found.a)) or UNDEFINED))
        cells.append(Cell(f"after {found.stopped_after.upper()}" if found.stopped_after else UNDEFINED))
        lines.append(Line(str(name), "recipe", None, cells))
    columns = ["recipe", "set", "after A", "after B", "final", "not passed after A", "stopped"]
    return Table("Gates passed after each phase, in the corrected frame", columns, lines) if lines else None


def _table(name: str, frame: str, found: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> GateTable:
    judged = found[frame]
    shown = [row for row in rows if row["name"] in judged]
    defined = {key: Gate.model_validate(gate) for key, gate in found["definition"].items()}
    columns = list(defined)
    gates = [Column(key, _signs(gate_text(gate, frame)), not gate.report_only) for key, gate in defined.items()]
    lines = []
    for row in shown:
        of_row = judged[row["name"]]
        outcomes = [of_row["gates"][column]["passed"] for column in columns]
        lines.append(GateLine(str(row["name"]), row["kind"], f"{of_row['passed']}/{of_row['of']}", outcomes))
    oracle = judged.get("oracle", {}).get("gates", {})
    fails = [column for column in columns if oracle.get(column, {}).get("passed") is False and oracle[column]["counts"]]
    whole = [
        str(row["name"])
        for row in shown
        if row["kind"] == "recipe" and RowResult.model_validate(judged[row["name"]]).whole
    ]
    caption = f"Gate set {TITLES.get(name, name)}, {FRAME_TITLES[frame]}"
    return GateTable(f"{name}-{frame}", caption, gates, lines, fails, whole)


def _signs(text: str) -> str:
    return text.replace(">=", "≥").replace("<=", "≤").replace(" x ", " × ")


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
    chosen = ladder["selected"]
    rows = dict(ladder["candidates"])
    if chosen["model"] not in rows:
        rows = {chosen["model"]: {**chosen["dev"], "epoch": chosen["epoch"]}, **rows}
    lines = [
        Line(
            name,
            "recipe",
            None,
            [
                Cell(number(one["recall_at_5"])),
                Cell(number(one["cosine"])),
                Cell(count(one["epoch"])),
                Cell("selected" if name == chosen["model"] else ""),
            ],
        )
        for name, one in rows.items()
    ]
    columns = ["final model", "R@5, dev", "cosine, dev", "epoch kept", "choice"]
    return Table("All final models on dev, which decides", columns, lines)


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
    val = calibration["val"]
    sentences = [_fit(val)] if val else ["– val has no windows, so the confidence was not checked on other windows."]
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


def _picture(groups: pd.DataFrame) -> Picture:
    title = "Confidence against the observed rate (val)"
    with drawing("reliability", f"{title}: {len(groups)} groups of windows.") as done:
        top = float(max(groups["high"].max(), groups["confidence"].max())) * 1.05
        done.axes.plot([0, top], [0, top], color=BASELINE, linestyle="--", linewidth=1)
        errors = [groups["observed"] - groups["low"], groups["high"] - groups["observed"]]
        done.axes.errorbar(
            groups["confidence"], groups["observed"], yerr=errors, fmt="o", color=RECIPE, markersize=4, linewidth=1
        )
        done.axes.set(
            xlabel="confidence stated (fitted on dev)", ylabel="observed on val", xlim=(0, top), ylim=(0, top)
        )
    caption = (
        "Each point is a tenth of the windows, with the 95 % Wilson interval of its rate (windows of one article are "
        "not independent: the true interval is wider). On the dashed line stated and observed agree."
    )
    return Picture("reliability", done.svg, title, caption, f"{title}: {len(groups)} groups of windows.")


def _fills(dev: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Table:
    given = dev["given"]["5_given"]
    columns = ["filling", *(f"{chunks} given" for chunks in range(1, 5)), "5 given", "mean of 1-4"]
    lines = []
    for fill in ("repeat", "neighbours"):
        found = [dev[fill][f"{chunks}_given"]["found"] for chunks in range(1, 5)]
        cells = [Cell(number(value)) for value in [*found, given["found"], sum(found) / len(found)]]
        lines.append(Line(fill, "recipe", None, cells))
    return Table("Share of dev windows with the true chunk among five of the whole bank, by filling", columns, lines)
