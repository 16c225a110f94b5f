"""Reading what the evaluations of all rows left, and the columns made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lvm_core.config.figures import HEADLINE, SPLITS, headlines
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.readers import read_json
from lvm_core.runtime.yaml_text import read_yaml


def left_out_text(names: Sequence[str]) -> str:
    """Why recipes that were stopped do not stand beside their variants, in one line; nothing without names."""
    if not names:
        return ""
    return (
        f"Left out: {', '.join(names)}, stopped after phase A, whereas a variant (reversed articles, another seed) is "
        "trained through all phases."
    )


ENDS = ("lo", "hi")
"""Of the interval of a figure `x`: `x_lo` and `x_hi`."""

BASELINES = ("copy_last", "p1")
"""Rows whose masked R@5 on val is subtracted from every row's, on the same drawn articles."""

COPYING = ("copy_last", "context_mean")
"""References that are judged on articles read backwards too."""

FIGURES = (
    *(f"{split}_{figure}" for split in SPLITS for figure in HEADLINE),
    *(f"val_r5_vs_{baseline}" for baseline in BASELINES),
)
"""Figures of a row, each with an interval."""

SPREAD = ("val_recall_at_5", "val_cosine", "val_mrr", "ood_recall_at_5", "ood_cosine")
"""Figures `x` with a standard deviation over seeds, `x_sd`, for recipes that were trained with several."""


def columns(sets: Sequence[str]) -> tuple[str, ...]:
    """Columns of metrics/comparison.csv (a contract)."""
    gates = (column for name in sets for column in (f"gates_{name}", f"gates_{name}_of"))
    figures = (column for x in FIGURES for column in (x, *(f"{x}_{end}" for end in ENDS)))
    return ("name", "kind", "status", *gates, *figures, "seeds", *(f"{x}_sd" for x in SPREAD))


RANKING = {
    "val_recall_at_5": "R@5",
    "val_r5_vs_copy_last": "R@5 - copy_last",
    "val_recall_at_1": "R@1",
    "val_mrr": "MRR",
    "val_full_bank_recall_at_5": "full-bank R@5",
    "val_contrastive_accuracy": "contrastive",
    "ood_recall_at_5": "ood R@5",
    "ood_full_bank_recall_at_5": "ood full-bank R@5",
}
"""Figures that ask for the next chunk among others, and their titles in metrics/comparison.md: best values are
marked."""

BLURRED = {
    "val_cosine": "cosine",
    "val_centred_cosine": "centred cosine",
    "val_margin": "margin",
    "val_margin_last": "margin last",
    "val_margin_unseen": "margin unseen",
    "val_rollout": "rollout",
    "val_par": "PAR",
    "val_raw_norm": "raw norm",
    "ood_cosine": "ood cosine",
    "ood_centred_cosine": "ood centred",
}
"""Figures that reward blur, or judge nothing: shown, but no best value is marked and nothing is sorted by them."""


def about_recipes(names: Sequence[str], recipes: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The line about each named recipe (`recipes.<name>.about` in params.yaml).

    Raises:
        LvmError: there is no such recipe, or no line about it.
    """
    for name in names:
        if not isinstance(recipes.get(name, {}).get("about"), str):
            raise LvmError(f"params.yaml: recipes.{name}.about is missing")
    return {name: recipes[name]["about"] for name in names}


def pos_scalars(names: Sequence[str]) -> dict[str, float | None]:
    """The positional scalar of each named recipe as it was resolved (data/recipes); None: without a position.

    Raises:
        LvmError: a resolved recipe is missing or damaged (names the file).
    """
    return {name: _resolved(name).get("pos_scalar") for name in names}


def _resolved(name: str) -> Mapping[str, Any]:
    """The `model` of a resolved recipe; read as plain YAML, because its type brings torch with it."""
    path = Path("data/recipes") / f"{name}.yaml"
    try:
        model: Mapping[str, Any] = read_yaml(path, "run `dvc repro resolve`")["model"]
    except (KeyError, TypeError) as error:
        raise LvmError(f"{path}: cannot be read as a recipe ({error}); run `dvc repro resolve`") from None
    return model


def read_summaries(directory: str | Path, names: Sequence[str], within: str = "") -> dict[str, dict[str, Any]]:
    """The `summary.json` of each named folder of `directory`, or of the folder `within` each."""
    return {name: read_json(Path(directory) / name / within / "summary.json") for name in names}


def comparison_details(
    rows: Sequence[Mapping[str, Any]],
    summaries: Mapping[str, Mapping[str, Any]],
    about: Mapping[str, str],
    after_a: Mapping[str, Mapping[str, Any]],
    **others: Any,
) -> dict[str, Any]:
    """What `metrics/comparison.json` holds."""
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
