"""The comparison table: a row for every recipe and every reference predictor, on the same windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lvm_core.errors import LvmError
from lvm_core.files import read_json, read_parquet
from lvm_core.fivecat.headline import HEADLINE, headline, headlines
from lvm_core.fivecat.resampled import resampled_headline
from lvm_core.statistics import CONFIDENCE, RESAMPLES, interval

SPLITS = ("val", "ood")
ENDS = ("lo", "hi")
"""Of the interval of a figure `x`: `x_lo` and `x_hi`."""

BASELINES = ("copy_last", "p1")
"""Rows whose masked R@5 on val is subtracted from every row's, on the same drawn articles."""

FIGURES = (
    *(f"{split}_{figure}" for split in SPLITS for figure in HEADLINE),
    *(f"val_r5_vs_{baseline}" for baseline in BASELINES),
)
"""Figures of a row, each with an interval."""

COLUMNS = ("name", "kind", *(column for x in FIGURES for column in (x, *(f"{x}_{end}" for end in ENDS))))
"""Columns of metrics/comparison.csv (a contract)."""

SHOWN = {
    "val_recall_at_5": "R@5",
    "val_r5_vs_copy_last": "R@5 - copy_last",
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

WITH_INTERVAL = ("val_recall_at_5", "val_r5_vs_copy_last", "ood_recall_at_5")
"""Columns of metrics/comparison.md that show the interval too."""

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
    """One row of the table without intervals and differences; None where undefined."""
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


def read_windows(directory: str | Path, names: Sequence[str]) -> dict[str, dict[str, pd.DataFrame]]:
    """The tables of windows of each named folder of `directory`, by name and split.

    Raises:
        LvmError: one is missing or damaged (names it).
    """
    return {
        name: {split: read_parquet(Path(directory) / name / f"{split}.parquet") for split in SPLITS} for name in names
    }


def with_intervals(
    rows: Sequence[Mapping[str, Any]], windows: Mapping[str, Mapping[str, pd.DataFrame]], seed: int
) -> list[dict[str, Any]]:
    """The rows with the 95 % interval of each figure, and with the paired differences to the baselines.

    Args:
        rows: from `comparison_rows`.
        windows: table of windows by name and split.
        seed: of the draws of articles.
    """
    drawn = {
        name: {
            f"{split}_{figure}": values
            for split in SPLITS
            for figure, values in resampled_headline(tables[split], RESAMPLES, seed).items()
        }
        for name, tables in windows.items()
    }
    point = {row["name"]: row["val_recall_at_5"] for row in rows}
    complete = []
    for row in rows:
        own = drawn[row["name"]]
        values: dict[str, Any] = dict(row)
        for baseline in BASELINES:
            key, pair = f"val_r5_vs_{baseline}", (row["val_recall_at_5"], point.get(baseline))
            values[key] = None if None in pair else pair[0] - pair[1]
            if values[key] is not None:
                own[key] = own["val_recall_at_5"] - drawn[baseline]["val_recall_at_5"]
        for figure in FIGURES:
            ends = (None, None) if values[figure] is None else interval(own[figure])
            values |= {f"{figure}_{end}": value for end, value in zip(ENDS, ends, strict=True)}
        complete.append(values)
    return complete


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


def window_counts(summaries: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, int], dict[str, int]]:
    """Numbers of windows and of articles by split, which are the same for every row."""
    some = next(iter(summaries.values()))
    windows = {split: some[split]["windows"]["all"] for split in SPLITS}
    return windows, {split: some[split]["articles"] for split in SPLITS}


def profile_table(summary: Mapping[str, Any]) -> pd.DataFrame:
    """The offset profiles of a summary: one column a split, one row an offset `k`, NaN where undefined."""
    columns = {split: {int(k): value for k, value in summary[split]["profile"].items()} for split in SPLITS}
    return pd.DataFrame(columns, dtype=float).rename_axis("k")


def stack_tables(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables below one another, with a first column `name` that tells them apart; their indices become columns."""
    return pd.concat(tables, names=["name"]).reset_index()


def comparison_text(
    rows: Sequence[Mapping[str, Any]],
    about: Mapping[str, str],
    windows: Mapping[str, int],
    articles: Mapping[str, int],
) -> str:
    """The table as Markdown: recipes, then the reference predictors.

    Args:
        rows: from `with_intervals`.
        about: one line on each recipe.
        windows: number of windows by split.
        articles: number of articles with a window by split.
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
        f"In brackets: {CONFIDENCE:.0%} interval of a bootstrap over articles ({articles['val']} of `val`, "
        f"{articles['ood']} of `ood`; {RESAMPLES:,} draws). The difference to `copy_last` is paired: both are judged "
        "on the same drawn articles.",
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
        "## The same predictors on the earlier reports' tape",
        "",
        "The earlier reports compared each prediction with the chunk after the one it was to predict (see [how a model "
        "is judged](../docs/pipeline.md#how-a-model-is-judged)). On that tape no good predictor can pass: look at "
        "`oracle`. The figures are for reading those reports; nothing is judged by them.",
        "",
        "| name | margin | published margin | rollout | published rollout |",
        "|---|---:|---:|---:|---:|",
        *(_published_line(row) for row in rows),
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
        cells = [_cell(row, column, best=column in best and row[column] == best[column]) for column in SHOWN]
        lines.append(f"| `{row['name']}` | " + " | ".join(cells) + " |")
    return lines


def _cell(row: Mapping[str, Any], column: str, *, best: bool) -> str:
    value = row[column]
    if value is None:
        return "-"
    low, high = (row[f"{column}_{end}"] for end in ENDS)
    shown = f"**{value:.4f}**" if best else f"{value:.4f}"
    return f"{shown} [{low:.3f}, {high:.3f}]" if column in WITH_INTERVAL and low is not None else shown


def _published_line(row: Mapping[str, Any]) -> str:
    columns = ("val_margin", "val_published_margin", "val_rollout", "val_published_rollout")
    return f"| `{row['name']}` | " + " | ".join(_cell(row, column, best=False) for column in columns) + " |"
