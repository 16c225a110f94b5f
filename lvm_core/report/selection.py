"""The block about the selected model: which one, why, and what was tried before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lvm_core.ladder.check_text import metric_sentence
from lvm_core.ladder.text import beside_text, outcome_text, parameters_text, standing_text, why_selected
from lvm_core.report.numbers import count, number
from lvm_core.report.tables import Cell, Line, Table


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
        cells = [Cell(one["step"] or "–"), Cell(parameters_text(one)), *recalls, Cell(outcome_text(one))]
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
