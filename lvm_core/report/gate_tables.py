"""The matrix of gates: who passes what, what the oracle itself fails, which sets no recipe passes; the phases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lvm_core.gates.after_phases import missed_names, outcome_text
from lvm_core.gates.params import FRAMES, Gate
from lvm_core.gates.results import AfterPhases, RowResult
from lvm_core.gates.text import gate_text
from lvm_core.report.numbers import UNDEFINED
from lvm_core.report.tables import Cell, Line, Table

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
    """A table for each set and frame, recipes first.

    Args:
        gates: of metrics/comparison.json, by set, frame and row.
        rows: of the comparison, in the order of the tables.
    """
    ordered = sorted(rows, key=lambda row: row["kind"] != "recipe")
    return [
        _table(name, frame, found, ordered) for name, found in gates.items() for frame in FRAMES if found.get(frame)
    ]


def phases_table(after_phases: Mapping[str, Any]) -> Table | None:
    """What each recipe reached in its own set after each phase; None where it was not measured.

    Args:
        after_phases: of metrics/comparison.json, by recipe.
    """
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
