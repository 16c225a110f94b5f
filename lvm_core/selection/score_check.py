"""The Option 1 check, and the choice where no attempt passes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from lvm_core.bank import Bank
from lvm_core.config.groups import Rule
from lvm_core.config.ladder import OF_EPOCHS
from lvm_core.config.recipe import Recipe
from lvm_core.curriculum.phases import add_measures, phase_means
from lvm_core.runtime.errors import LvmError

SCORE, ALTERNATIVE = "distinctness", "forward_gain"
"""The summary's score, 1 - cos(target, last), and what it asks about, cos(target, next) - cos(target, last)."""

ROUNDING = 1e-4
"""Largest difference of a stored score to one computed anew in float64 that rounding explains."""


def check_metric(
    scores: pd.DataFrame,
    bank: Bank,
    recipe: str | None,
    rows: np.ndarray,
    cut: Mapping[str, float],
    number: int,
    seed: int,
) -> dict[str, Any]:
    """What the check finds about the score, as json values.

    Args:
        rows: [W] int64, target rows of phase A.
    """
    chosen = np.sort(np.random.default_rng(seed).choice(rows, min(number, len(rows)), replace=False))
    sample = scores.set_index("row").reindex(chosen)
    difference = largest_difference(sample, bank, chosen)
    if not difference <= ROUNDING:
        raise LvmError(
            f"data/scores.parquet: {SCORE} or {ALTERNATIVE} is not that of the vectors in data/bank (difference "
            f"{difference:.3g}); run `dvc repro score`"
        )
    measured = add_measures(scores, bank.vectors)
    means = {"sample": phase_means(measured, chosen), "all": phase_means(measured, scores["row"].to_numpy())}
    above = np.all([sample[column].to_numpy() >= bound for column, bound in cut.items()], axis=0) if cut else None
    return {
        "recipe": recipe,
        "sample": len(chosen),
        "largest_difference": difference,
        "cut": dict(cut),
        "above_cut": None if above is None else float(np.mean(above)),
        "cosines": {
            where: {name: None if math.isnan(mean[name]) else mean[name] for name in ("sim_prev", "sim_prev2")}
            for where, mean in means.items()
        },
        "alternative": compare_scores(scores, len(rows)),
    }


def largest_difference(sample: pd.DataFrame, bank: Bank, rows: np.ndarray) -> float:
    """Largest absolute difference of the stored scores to their definitions, computed one window at a time in float64.

    Args:
        rows: [W] int64 target rows.
    """

    def cosine(one: int, other: int) -> float:
        left, right = (np.asarray(bank.vectors[row], dtype=np.float64) for row in (one, other))
        return float(left @ right)

    worst = 0.0
    for row, distinctness, gain in zip(rows.tolist(), sample[SCORE], sample[ALTERNATIVE], strict=True):
        worst = max(worst, _distance(1 - cosine(row, row - 1), distinctness))
        follows = row + 1 < len(bank.vectors) and bank.article_of_row[row + 1] == bank.article_of_row[row]
        wanted = cosine(row, row + 1) - cosine(row, row - 1) if follows else math.nan
        worst = max(worst, _distance(wanted, gain))
    return worst


def _distance(wanted: float, found: float) -> float:
    if math.isnan(wanted) or math.isnan(found):
        return 0.0 if math.isnan(wanted) and math.isnan(found) else math.inf
    return abs(wanted - found)


def compare_scores(scores: pd.DataFrame, kept: int) -> dict[str, float | None]:
    """How alike the two scores are, over the windows that have both."""
    both = scores[scores[ALTERNATIVE].notna()]
    kept = min(kept, len(both))
    if len(both) < 2:
        return {"rank_correlation": None, "share": None, "overlap": None}
    ranks = both[[SCORE, ALTERNATIVE]].rank()
    correlation = float(ranks.corr().to_numpy()[0, 1])  # Pearson's of ranks is Spearman's
    tops = [set(both.nlargest(kept, [name, "row"])["row"]) for name in (SCORE, ALTERNATIVE)]
    return {
        "rank_correlation": None if math.isnan(correlation) else correlation,
        "share": kept / len(both),
        "overlap": len(tops[0] & tops[1]) / kept,
    }


def after_phase_a(
    recipes: Mapping[str, Recipe], rules: Mapping[str, Rule], figures: Mapping[str, Mapping[str, float | None]]
) -> dict[str, Any]:
    """What recipes reach on `dev` after phase A, by the score that orders their curriculum."""
    by_score = {
        score: {name: dict(figures[name]) for name in recipes if rules[name].score == score}
        for score in (SCORE, ALTERNATIVE)
    }
    pairs = {}
    for one, other in combinations(recipes, 2):
        scored = {str(rules[name].score): name for name in (one, other)}
        alike = recipes[one].model_dump(exclude={"name"}) == recipes[other].model_dump(exclude={"name"})
        if alike and set(scored) == {SCORE, ALTERNATIVE}:
            new, old = scored[ALTERNATIVE], scored[SCORE]
            gains = {key: _minus(figures[new].get(key), figures[old].get(key)) for key in OF_EPOCHS}
            pairs[f"{new}-{old}"] = {ALTERNATIVE: new, SCORE: old, "gain": gains}
    return {"by_score": by_score, "pairs": pairs}


def _minus(left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else left - right
