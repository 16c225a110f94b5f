"""metrics/comparison.json, and the tables behind the plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lvm_core.comparison.columns import SPLITS
from lvm_core.fivecat.headline import headlines


def comparison_details(
    rows: Sequence[Mapping[str, Any]],
    summaries: Mapping[str, Mapping[str, Any]],
    about: Mapping[str, str],
    after_a: Mapping[str, Mapping[str, Any]],
    **others: Any,
) -> dict[str, Any]:
    """What `metrics/comparison.json` holds.

    Args:
        rows: of the table, complete.
        summaries: of every row, by split.
        about: a line on each recipe.
        after_a: the recipes' summaries after phase A.
        others: further parts by name (gates, time_direction, seeds, more).
    """
    details = [
        {**row, "about": about.get(row["name"]), **{split: summaries[row["name"]][split] for split in SPLITS}}
        for row in rows
    ]
    after = {name: headlines(summary) for name, summary in after_a.items()}
    return {"frame": "corrected", "rows": details, "after_stage_a": after, **others}


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
