"""Names of the comparison's figures and columns, and which of them are shown where; imports no numerical library."""

from __future__ import annotations

from collections.abc import Sequence

from lvm_core.fivecat.headline import HEADLINE

SPLITS = ("val", "ood")
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
    """Columns of metrics/comparison.csv (a contract).

    Args:
        sets: names of the sets of gates.
    """
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
