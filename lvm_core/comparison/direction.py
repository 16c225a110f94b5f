"""Time direction: recipes trained and tested on articles read backwards, beside what knows nothing of order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lvm_core.comparison.rivals import Paired, less, with_ends
from lvm_core.config.figures import SPLITS
from lvm_core.fivecat.statistics import Judgement

DIRECTED = tuple(f"{split}_{x}" for split in SPLITS for x in ("recall_at_5", "mrr", "cosine", "centred_cosine"))
"""Figures compared between the two directions of time."""

Cells = dict[str, dict[str, Any]]
"""By figure: `forward`, `reversed` (means over the seeds), their `difference` (positive: forwards is better) with `lo`
and `hi`, `by_seed` (the difference of each), and for a recipe `beyond`: by control, what the difference has beyond the
control's own, with `lo` and `hi`; `direction`: `forward`, `backward` or None. None where undefined."""

Both = tuple[Sequence[Judgement], Sequence[Judgement]]
"""Of a row: forwards and backwards, each one a seed, in the same order."""


def time_direction(recipes: Mapping[str, Both], controls: Mapping[str, Both]) -> dict[str, Cells]:
    """Figures of recipes and of the controls in both directions, with paired intervals.

    The articles, the targets and so the draws are the same in both directions and for all rows and seeds: the draws are
    averaged over the seeds. Ranks within an article are not symmetric, so that controls, which know nothing of time,
    differ too.
    """
    return {
        name: {key: _cell(both, key, controls if name in recipes else {}) for key in DIRECTED}
        for name, both in {**recipes, **controls}.items()
    }


def _cell(both: Both, key: str, controls: Mapping[str, Both]) -> dict[str, Any]:
    forward, backward = (_mean([one.value[key] for one in side]) for side in both)
    by_seed = [less(one.value[key], other.value[key]) for one, other in zip(*both, strict=True)]
    own, draws = less(forward, backward), _draws(both, key)
    beyond: dict[str, Paired] = {}
    for name, theirs in controls.items():
        sides = (_mean([one.value[key] for one in side]) for side in theirs)
        beyond[name] = with_ends(less(own, less(*sides)), draws - _draws(theirs, key))
    cell = {"forward": forward, "reversed": backward, **with_ends(own, draws), "by_seed": by_seed}
    return {**cell, "beyond": beyond, "direction": _direction(cell, beyond)} if controls else cell


def _direction(cell: Mapping[str, Any], beyond: Mapping[str, Paired]) -> str | None:
    """Said only where every seed's difference has the sign, and the mean's interval and those beyond each control."""
    intervals = [cell, *beyond.values()]
    if None in cell["by_seed"] or any(one["lo"] is None or one["hi"] is None for one in intervals):
        return None
    if min(*cell["by_seed"], *(one["lo"] for one in intervals)) > 0:
        return "forward"
    return "backward" if max(*cell["by_seed"], *(one["hi"] for one in intervals)) < 0 else None


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if len(defined) == len(values) else None


def _draws(both: Both, key: str) -> np.ndarray:
    forward, backward = (np.mean([one.draws[key] for one in side], axis=0) for side in both)
    difference: np.ndarray = forward - backward
    return difference
