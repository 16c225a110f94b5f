"""The comparison table: a row for every recipe and every reference predictor, on the same windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lvm_core.errors import LvmError
from lvm_core.files import read_json
from lvm_core.fivecat.headline import HEADLINE, headline, headlines

SPLITS = ("val", "ood")
COLUMNS = ("name", "kind", *(f"{split}_{figure}" for split in SPLITS for figure in HEADLINE))
"""Columns of metrics/comparison.csv (a contract)."""

SHOWN = {
    "val_recall_at_5": "R@5",
    "val_recall_at_1": "R@1",
    "val_mrr": "MRR",
    "val_cosine": "cosine",
    "val_margin": "margin",
    "val_margin_last": "margin last",
    "val_margin_unseen": "margin unseen",
    "val_rollout": "rollout",
    "ood_recall_at_5": "ood R@5",
    "ood_cosine": "ood cosine",
}
"""Columns of metrics/comparison.md and their titles."""

BLURRED = ("val_cosine", "val_margin", "val_margin_last", "val_margin_unseen", "val_rollout", "ood_cosine")
"""Figures that reward blur: shown, but no best value is marked and nothing is sorted by them (design, section 5)."""


def about_recipes(names: Sequence[str], recipes: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The line about each named recipe (`recipes.<name>.about` in params.yaml).

    Raises:
        LvmError: there is no such recipe, or no line about it.
    """
    for name in names:
        if not isinstance(recipes.get(name, {}).get("about"), str):
            raise LvmError(f"params.yaml: recipes.{name}.about is missing")
    return {name: recipes[name]["about"] for name in names}


def read_summaries(directory: str | Path, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The `summary.json` of each named folder of `directory`.

    Raises:
        LvmError: one is missing (names it).
    """
    return {name: read_json(Path(directory) / name / "summary.json") for name in names}


def table_row(name: str, kind: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the table: `COLUMNS`, None where undefined."""
    row: dict[str, Any] = {"name": name, "kind": kind}
    for split in SPLITS:
        row |= {f"{split}_{figure}": value for figure, value in headline(summary[split]).items()}
    return row


def comparison_rows(
    recipes: Mapping[str, Mapping[str, Any]], references: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """All rows, best masked R@5 on val first; undefined last, equal ones by name.

    Args:
        recipes: summary by name.
        references: summary by name.

    Raises:
        LvmError: two rows have the same name.
    """
    both = set(recipes) & set(references)
    if both:
        raise LvmError(f"params.yaml: recipes.{sorted(both)[0]} has the name of a reference predictor; rename it")
    rows = [table_row(name, "recipe", summary) for name, summary in recipes.items()]
    rows += [table_row(name, "reference", summary) for name, summary in references.items()]

    def order(row: Mapping[str, Any]) -> tuple[bool, float, str]:
        value = row["val_recall_at_5"]
        return value is None, -(value or 0.0), row["name"]

    return sorted(rows, key=order)


def comparison_csv(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The rows as a data frame with `COLUMNS`."""
    return pd.DataFrame(rows, columns=list(COLUMNS))


def comparison_details(
    rows: Sequence[Mapping[str, Any]],
    summaries: Mapping[str, Mapping[str, Any]],
    after_a: Mapping[str, Mapping[str, Any]],
    about: Mapping[str, str],
) -> dict[str, Any]:
    """What `metrics/comparison.json` holds: each row with its whole summary, and the recipes' figures after phase A."""
    details = [
        {**row, "about": about.get(row["name"]), **{split: summaries[row["name"]][split] for split in SPLITS}}
        for row in rows
    ]
    after = {name: headlines(summary) for name, summary in after_a.items()}
    return {"frame": "corrected", "rows": details, "after_stage_a": after}


def window_counts(summaries: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Number of windows by split, which is the same for every row."""
    some = next(iter(summaries.values()))
    return {split: some[split]["windows"]["all"] for split in SPLITS}


def profile_table(summary: Mapping[str, Any]) -> pd.DataFrame:
    """The offset profiles of a summary: one column a split, one row an offset `k`, NaN where undefined."""
    columns = {split: {int(k): value for k, value in summary[split]["profile"].items()} for split in SPLITS}
    return pd.DataFrame(columns, dtype=float).rename_axis("k")


def stack_tables(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables below one another, with a first column `name` that tells them apart; their indices become columns."""
    return pd.concat(tables, names=["name"]).reset_index()


def comparison_text(rows: Sequence[Mapping[str, Any]], about: Mapping[str, str], windows: Mapping[str, int]) -> str:
    """The table as Markdown: recipes, then the reference predictors.

    Args:
        rows: from `comparison_rows`.
        about: one line on each recipe.
        windows: number of windows by split.
    """
    recipes = [row for row in rows if row["kind"] == "recipe"]
    references = [row for row in rows if row["kind"] == "reference"]
    undefined = any(row[column] is None for row in rows for column in SHOWN)
    lines = [
        "# Comparison",
        "",
        "Corrected frame: the prediction is compared with the chunk after the last context chunk. "
        f"{windows['val']:,} windows of `val`, {windows['ood']:,} of `ood`. Sorted by R@5 on `val` (the 5 context "
        "chunks are not among the candidates). Cosine, margins and rollout are shown but reward blur: nothing is "
        "sorted or marked by them.",
        "",
        "## Recipes",
        "",
        *_markdown_table(recipes),
        "",
        *(f"- `{row['name']}`: {about[row['name']]}" for row in recipes),
        "",
        "## Reference predictors on the same windows",
        "",
        *_markdown_table(references),
        "",
        "`oracle` answers with the true chunk and shows what a perfect predictor scores; `article_centroid` cheats (it "
        "sees the whole article); the others have nothing or little to learn, and are what a recipe has to beat.",
        "",
        *(["`-`: undefined on these data; [diagnosis.md](diagnosis.md) says why.", ""] if undefined else []),
        "![R@5 and cosine of all rows](../plots/comparison.svg)",
        "",
        "![offset profile](../plots/offset_profile.svg)",
        "",
    ]
    return "\n".join(lines)


def _markdown_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    best = {
        column: max((row[column] for row in rows if row[column] is not None), default=None)
        for column in SHOWN
        if column not in BLURRED and rows and rows[0]["kind"] == "recipe"
    }
    lines = ["| name | " + " | ".join(SHOWN.values()) + " |", "|---|" + "---:|" * len(SHOWN)]
    for row in rows:
        cells = [_cell(row[column], best=column in best and row[column] == best[column]) for column in SHOWN]
        lines.append(f"| `{row['name']}` | " + " | ".join(cells) + " |")
    return lines


def _cell(value: float | None, *, best: bool) -> str:
    if value is None:
        return "-"
    return f"**{value:.4f}**" if best else f"{value:.4f}"
