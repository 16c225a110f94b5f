"""The eleven rows that the earlier work published, what is wrong with each, and the recipes that rebuild them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field

from lvm_core.config.params import Group, validate

FILE = "as_published.yaml"

OURS = ("val_published_margin", "val_recall_at_5")
"""Figures of our row that stand beside a published one: the margin on their tape, and masked R@5."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class PublishedRow(Group):
    """A row of the table of 2 November 2025, as it stood there; None for a question mark."""

    number: int
    """Place in that table, 11 is the newest."""
    name: str
    """Of the model."""
    created: str
    """Day and time of 2025."""
    size: str
    """Of the checkpoint."""
    approach: str
    """In a few words."""
    val_cosine: float | None
    """As published."""
    margin: float | None
    """As published, on whichever tape."""
    recall_at_1: Share | None
    """Share, context chunks among the candidates."""
    recall_at_5: Share | None
    """Share, context chunks among the candidates."""
    gates: Annotated[str, Field(pattern=r"^[0-5]/5$")] | None
    """5CAT gates passed, of 5."""
    status: str
    """Their word."""
    correction: str
    """What is wrong with the row, or known beyond it."""
    recipe: str | None
    """Name of the recipe that rebuilds it; None where there is none."""
    phase: Literal["a", "c"]
    """Of the curriculum after which it was published; c: at the end."""


class PublishedTable(Group):
    """All rows, and a note on what is wrong with them together."""

    note: str
    rows: list[PublishedRow]


def published_table() -> PublishedTable:
    """The table as it was published, with corrections (prior results, section 8)."""
    text = files("lvm_core.comparison").joinpath(FILE).read_text(encoding="utf-8")
    table: PublishedTable = validate(yaml.safe_load(text), PublishedTable, "table", FILE)
    return table


def beside_ours(
    rows: Sequence[Mapping[str, Any]],
    after_a: Mapping[str, Mapping[str, Mapping[str, float | None]]],
    stopped: Sequence[str] = (),
) -> dict[str, Any]:
    """The published table for comparison.json: `note`, and `rows` with our figures."""
    final = {row["name"]: row for row in rows if row["kind"] == "recipe"}
    early = {
        name: {f"{split}_{figure}": value for split, figures in splits.items() for figure, value in figures.items()}
        for name, splits in after_a.items()
    }
    by_phase: dict[str, Mapping[str, Mapping[str, Any]]] = {"a": early, "c": final}
    table = published_table()
    shown = []
    for row in table.rows:
        found = by_phase[row.phase].get(row.recipe) if row.recipe else None
        ours = {key: found[key] for key in OURS} if found else None
        shown.append({**row.model_dump(), "ours": ours, "stopped": row.phase == "c" and row.recipe in stopped})
    return {"note": table.note, "rows": shown}


def as_published_chapter(table: Mapping[str, Any]) -> str:
    """The chapter of comparison.md, Markdown."""
    lines = [
        "## As published",
        "",
        f"The eleven models of the earlier work's table of 2 November 2025, with its own figures. {table['note']} (See "
        "[the story of the off-by-one](../docs/how-to-read-the-numbers.md#the-story-of-the-off-by-one).)",
        "",
        "| # | model | created | size | approach | val cosine | margin | R@1 | R@5 | gates | status | rebuilt here | "
        "our margin, their tape | our R@5 |",
        "|---:|---|---|---|---|---:|---:|---:|---:|---|---|---|---:|---:|",
        *(_line(row) for row in table["rows"]),
        "",
        "What is wrong with each row, or known beyond it:",
        "",
        *(f"- {row['number']}, {row['name']}: {row['correction']}." for row in table["rows"]),
    ]
    return "\n".join(lines)


def _line(row: Mapping[str, Any]) -> str:
    ours = row["ours"]
    when = " after phase A" if row["phase"] == "a" else ", stopped after phase A" if row["stopped"] else ""
    rebuilt = f"`{row['recipe']}`{when}" if ours else ""
    own = [_number(ours[key], form, "-") for key, form in zip(OURS, ("+.4f", ".4f"), strict=True)] if ours else ["", ""]
    cells = [
        *(str(row[key]) for key in ("number", "name", "created", "size", "approach")),
        *(_number(row["val_cosine"], ".3f"), _number(row["margin"], "+.3f")),
        *(_number(row["recall_at_1"], ".4f"), _number(row["recall_at_5"], ".3f")),
        *(row["gates"] or "?", row["status"], rebuilt, *own),
    ]
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, form: str, unknown: str = "?") -> str:
    return unknown if value is None else format(value, form)
