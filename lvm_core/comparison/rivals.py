"""Paired differences between rows: to a baseline, to the best rival in each reading of retrieval, of the best two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lvm_core.config.figures import SPLITS, STEP_RECALL
from lvm_core.config.references import rivals_of
from lvm_core.fivecat.statistics import Judgement, interval

RECALLS = {
    "recall_at_5": "masked",
    "recall_at_5_forward": "forward",
    "recall_at_5_centred": "centred",
    "full_bank_recall_at_5": "full bank",
}
"""Readings of R@5 in which a row is held against its rivals, and their names."""

Paired = dict[str, float | None]
"""`difference`, `lo`, `hi`: a difference and the ends of its 95 % interval, None where undefined."""


def less(one: float | None, other: float | None) -> float | None:
    """The difference, None where either is."""
    return None if one is None or other is None else one - other


def with_ends(difference: float | None, draws: np.ndarray) -> Paired:
    """A difference with the ends of the interval of its draws."""
    low, high = (None, None) if difference is None else interval(draws)
    return {"difference": difference, "lo": low, "hi": high}


def paired(own: Judgement, other: Judgement | None, key: str) -> Paired:
    """A figure of a row minus that of another, on the same drawn articles."""
    difference = less(own.value.get(key), None if other is None else other.value.get(key))
    if other is None or difference is None:
        return with_ends(None, np.empty(0))
    return with_ends(difference, own.draws[key] - other.draws[key])


def vs_rivals(name: str, judgements: Mapping[str, Judgement]) -> dict[str, dict[str, dict[str, Any]]]:
    """By split and reading, the best rival of a row in it (`rival`, None without one) and the difference to it.

    Rivals are the reference predictors that see no more than the row. Each is the best in its reading on its split, so
    that no rival is left out for being worse elsewhere.
    """
    own = judgements[name]
    rivals = [other for other in rivals_of(name, own.sees) if other in judgements]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for split in SPLITS:
        found[split] = {}
        for reading in RECALLS:
            key = f"{split}_{reading}"
            values = {other: one for other in rivals if (one := judgements[other].value.get(key)) is not None}
            best = max(values, key=lambda other: values[other], default=None)
            found[split][reading] = {"rival": best, **paired(own, None if best is None else judgements[best], key)}
    return found


def steps_vs(own: Judgement, other: Judgement) -> dict[str, dict[str, Paired]]:
    """By split, R@5 of each rollout step and reading of a row minus that of another."""
    return {
        split: {
            key.removeprefix(f"{split}_"): paired(own, other, key)
            for key in own.value
            if key.startswith(f"{split}_{STEP_RECALL}_")
        }
        for split in SPLITS
    }


def best_two(rows: Sequence[Mapping[str, Any]], judgements: Mapping[str, Judgement]) -> dict[str, Any] | None:
    """The paired difference in masked R@5 on val of the two best recipes: can they be told apart?

    Recipes that see the whole document are left out: no text that is being written has it.
    """
    names = [str(row["name"]) for row in without_document(rows) if row["val_recall_at_5"] is not None][:2]
    if len(names) < 2:
        return None
    first, second = (judgements[name] for name in names)
    return {"names": names, **paired(first, second, "val_recall_at_5")}


def without_document(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The recipes that do not see the whole document; all recipes where every one does."""
    recipes = [row for row in rows if row["kind"] == "recipe"]
    return [row for row in recipes if row["sees"] != "document"] or recipes
