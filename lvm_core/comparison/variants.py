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


Cells = dict[str, dict[str, float | None]]
"""By figure: `forward`, `reversed`, `difference` (positive: forwards is better), `lo`, `hi`, None where undefined."""


def time_direction(forward: Mapping[str, Judgement], backward: Mapping[str, Judgement]) -> dict[str, Cells]:
    """Figures of recipes and of predictors that only copy, in both directions, with paired intervals.

    The articles, the targets and so the draws are the same in both directions and for all rows. Ranks within an article
    are not symmetric, so that predictors which know nothing of time differ too: `beyond_copy_last` (with `_lo`, `_hi`)
    is what a row's difference has beyond that of `copy_last`.

    Args:
        forward: by row, `copy_last` among them, over the targets that both directions have.
        backward: the same rows on the reversed articles.
    """
    tables: dict[str, Cells] = {}
    trivial = backward["copy_last"]
    for name in backward:
        tables[name] = {}
        for key in DIRECTED:
            pair, plain = (forward[name], backward[name]), (forward["copy_last"], trivial)
            values = [judgement.value[key] for judgement in (*pair, *plain)]
            cell: dict[str, float | None] = {"forward": values[0], "reversed": values[1]}
            own, theirs = (one.draws[key] - other.draws[key] for one, other in (pair, plain))
            cell |= _with_ends("difference", _less(*values[:2]), own, ("lo", "hi"))
            beyond = _less(_less(*values[:2]), _less(*values[2:]))
            ends = ("beyond_copy_last_lo", "beyond_copy_last_hi")
            tables[name][key] = cell | _with_ends("beyond_copy_last", beyond, own - theirs, ends)
    return tables


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _with_ends(name: str, value: float | None, draws: np.ndarray, ends: tuple[str, str]) -> dict[str, float | None]:
    found = (None, None) if value is None else interval(draws)
    return {name: value, **dict(zip(ends, found, strict=True))}


def seed_spread(by_seed: Mapping[int, Judgement], copy_last: Judgement) -> dict[str, Any]:
    """Spread of a recipe's figures over the seeds it was trained with, and what each has beyond `copy_last`.

    Args:
        by_seed: the recipe's own seed and the others, at least two.
        copy_last: the reference predictor, on the same windows.

    Returns:
        `seeds`; by figure, `mean`, `sd` (of the sample: n - 1), `min`, `max`, None where undefined; and
        `against_copy_last`, for each seed the masked R@5 on val: `recall_at_5`, `difference`, `lo`, `hi` (paired).
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
    against = [_against(judgement, copy_last) for judgement in by_seed.values()]
    return {"seeds": list(by_seed), "figures": figures, "against_copy_last": against}


def _against(own: Judgement, copy_last: Judgement, key: str = "val_recall_at_5") -> dict[str, float | None]:
    difference = _less(own.value[key], copy_last.value[key])
    ends = _with_ends("difference", difference, own.draws[key] - copy_last.draws[key], ("lo", "hi"))
    return {"recall_at_5": own.value[key], **ends}
