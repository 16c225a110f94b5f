"""What training adds to the formulas: the best trained rows against the best reference that sees as much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lvm_core.comparison.rivals import RECALLS
from lvm_core.config.figures import SPLITS
from lvm_core.report.numbers import LEGEND, Cell, Line, Table, bracket, is_defined, marks, signed

Row = Mapping[str, Any]

READINGS = ("recall_at_5", "recall_at_5_forward")
"""In which a trained row is to be ahead, on both splits."""

WANTED = {"val": 0.02, "ood": 0.01}
"""What it is to be ahead by for the training to be worth it, with every interval above 0."""

SHOWN = 3
"""Rows."""


class Gains(NamedTuple):
    """What the chapter says and shows."""

    sentence: str
    table: Table


def gains(rows: Sequence[Row]) -> Gains | None:
    """The recipes with the largest least lead over the best reference that sees as much; None without any defined."""
    leads = {str(row["name"]): _leads(row) for row in rows if row["kind"] == "recipe"}
    defined = {name: found for name, found in leads.items() if all(is_defined(one["lo"]) for one in found.values())}
    if not defined:
        return None
    least = {name: min(one["difference"] for one in found.values()) for name, found in defined.items()}
    best = sorted(least, key=lambda name: -least[name])[:SHOWN]
    marked = marks(row for row in rows if row["name"] in best)
    lines = [
        Line(f"{RECALLS[key[0]]}, {key[1]}", "data", None, [_cell(defined[name][key]) for name in best])
        for key in defined[best[0]]
    ]
    caption = "R@5 of the recipes nearest to it, minus that of the best reference that sees as much"
    caption += f"; {LEGEND}" if any(marked.values()) else ""
    return Gains(_sentence(defined, best[0]), Table(caption, ["", *(f"{name}{marked[name]}" for name in best)], lines))


def _leads(row: Row) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(reading, split): row["vs_rival"][split][reading] for reading in READINGS for split in SPLITS}


def _cell(one: Mapping[str, Any]) -> Cell:
    return Cell(signed(one["difference"]), f"{bracket(one['lo'], one['hi'], sign=True)} over {one['rival']}")


def _enough(key: tuple[str, str], one: Mapping[str, Any]) -> bool:
    return bool(one["difference"] >= WANTED[key[1]] and one["lo"] > 0)


def _sentence(leads: Mapping[str, Mapping[tuple[str, str], Mapping[str, Any]]], best: str) -> str:
    wanted = " and ".join(f"{signed(value, 2)} on {split}" for split, value in WANTED.items())
    asked = f"Asked of training: {wanted}, masked and forward, each with its interval above 0."
    reached = [name for name, found in leads.items() if all(_enough(key, one) for key, one in found.items())]
    if reached:
        return f"{asked} {', '.join(reached)} {'reaches' if len(reached) == 1 else 'reach'} it."
    short = [f"{RECALLS[key[0]]} on {key[1]}" for key, one in leads[best].items() if not _enough(key, one)]
    ahead = sum(one["lo"] > 0 for one in leads[best].values())
    nearest = f"{best} comes nearest: its interval is above 0 in {ahead} of {len(leads[best])}"
    return f"{asked} No recipe reaches it. {nearest}; it falls short in {', '.join(short)}."
