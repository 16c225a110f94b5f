"""The eleven rows that the earlier work published, what is wrong with each, and the recipes that rebuild them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field

from lvm_core.config.params import Group, validate

FILE = "as_published.yaml"

OURS = (("val", "published_margin"), ("val", "recall_at_5"))
"""Split and figure of our row that stand beside a published one: the margin on their tape, and masked R@5."""

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
    final: Mapping[str, Mapping[str, Any]], after_a: Mapping[str, Mapping[str, Any]], stopped: Sequence[str] = ()
) -> dict[str, Any]:
    """The published table for comparison.json: `note`, and `rows` with our figures.

    `final` and `after_a`: summaries of recipes by name and split; `stopped`: those that the gates stopped after A.
    """
    table, by_phase, shown = published_table(), {"a": after_a, "c": final}, []
    for row in table.rows:
        found = by_phase[row.phase].get(row.recipe) if row.recipe else None
        ours = {f"{split}_{figure}": found[split][figure] for split, figure in OURS} if found else None
        shown.append({**row.model_dump(), "ours": ours, "stopped": row.phase == "c" and row.recipe in stopped})
    return {"note": table.note, "rows": shown}
