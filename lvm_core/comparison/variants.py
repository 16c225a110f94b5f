"""Recipes beside their variants: trained and tested on articles read backwards, or with other seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lvm_core.comparison.columns import SPLITS, SPREAD
from lvm_core.fivecat.resampled import Judgement
from lvm_core.statistics import interval

DIRECTED = tuple(f"{split}_{x}" for split in SPLITS for x in ("recall_at_5", "mrr", "cosine", "centred_cosine"))
"""Figures compared between the two directions of time."""


def time_direction(forward: Judgement, backward: Judgement) -> dict[str, dict[str, float | None]]:
    """Figures of a recipe and of its variant on articles read backwards, and the difference with its interval.

    The articles are the same, so both are drawn together and the differences are paired.

    Args:
        forward: of the recipe.
        backward: of the variant, on the reversed bank.

    Returns:
        By figure: `forward`, `reversed`, `difference` (positive: forwards is better), `lo`, `hi`; None where undefined.
    """
    table: dict[str, dict[str, float | None]] = {}
    for key in DIRECTED:
        one, other = forward.value[key], backward.value[key]
        difference = None if one is None or other is None else one - other
        low, high = (None, None) if difference is None else interval(forward.draws[key] - backward.draws[key])
        table[key] = {"forward": one, "reversed": other, "difference": difference, "lo": low, "hi": high}
    return table


def seed_spread(by_seed: Mapping[int, Judgement]) -> dict[str, Any]:
    """Spread of a recipe's figures over the seeds it was trained with.

    Args:
        by_seed: the recipe's own seed and the others, at least two.

    Returns:
        `seeds` and, by figure, `mean`, `sd` (of the sample: n - 1), `min`, `max`; None where undefined.
    """
    figures = {}
    for key in SPREAD:
        values = [judgement.value[key] for judgement in by_seed.values()]
        defined = [value for value in values if value is not None]
        figures[key] = (
            {
                "mean": float(np.mean(defined)),
                "sd": float(np.std(defined, ddof=1)),
                "min": min(defined),
                "max": max(defined),
            }
            if len(defined) == len(values)
            else dict.fromkeys(("mean", "sd", "min", "max"))
        )
    return {"seeds": list(by_seed), "figures": figures}
