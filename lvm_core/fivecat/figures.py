"""The figures of a split, from its table of windows: one definition for the value and for each bootstrap draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lvm_core.config.figures import (
    ABLATIONS,
    FIGURES,
    FULL_BANK_RANKS,
    LATE,
    MARGIN_OFFSETS,
    OFFSETS,
    PUBLISHED_OFFSETS,
    RANKS,
    READINGS,
    ROLLOUT_RANK,
    STEP_RECALL,
    UNSEEN_OFFSETS,
    full_bank_column,
    offset_column,
    published_step_column,
    step_columns,
)

Terms = Mapping[str, np.ndarray]

RANKED = tuple(
    f"{name}{end}" for end in (*READINGS, "_unmasked") for name in (*(f"recall_at_{k}" for k in RANKS), "mrr")
)

CLOSENESS = ("centred_cosine", "raw_norm", "best_context", "best_context_of_truth", "cosine_mean", "cosine_nearest")

BINS = ("low", "normal", "high")

COUNTED = {
    "margin": "whole_1",
    "margin_unseen": "ahead_1",
    "retrieval": "mrr",
    "retrieval_forward": "mrr_forward",
    "retrieval_unmasked": "mrr_unmasked",
    "full_bank": full_bank_column(FULL_BANK_RANKS[0]),
    "rollout": "rollout",
    "published_margin": "late_1",
    "published_rollout": "published_rollout",
}
"""Windows that are counted in a summary, and the term that they have."""


def mean_or_none(values: np.ndarray) -> float | None:
    """Mean of the values that are not NaN, summed in float64; None if there are none."""
    values = values[~np.isnan(values)]
    return float(values.mean(dtype=np.float64)) if len(values) else None


def margin_of(means: Mapping[int, float | None], rivals: Sequence[int]) -> float | None:
    """Mean cosine at k=+1 minus the best of the `rivals`' means; None where undefined."""
    target, others = means[1], [means[k] for k in rivals]
    if target is None or any(value is None for value in others):
        return None
    return target - max(value for value in others if value is not None)


def window_terms(windows: pd.DataFrame, coherence_cuts: Sequence[float]) -> dict[str, np.ndarray]:
    """What the figures are made of: [W] float64 each, NaN in windows that do not enter the mean.

    The margins compare means over the same windows: those that have all of k=-3..+3 (`whole`), those with k=+2..+4
    (`ahead`), and in the published frame those with all of its k=-3..+3 (`late`).
    """

    def column(name: str) -> np.ndarray:
        return windows[name].to_numpy(dtype=np.float64)

    cosines = {k: column(offset_column(k)) for k in OFFSETS}
    ahead_offsets = (1, *UNSEEN_OFFSETS)
    whole = ~np.isnan(np.stack([cosines[k] for k in MARGIN_OFFSETS])).any(axis=0)
    ahead = ~np.isnan(np.stack([cosines[k] for k in ahead_offsets])).any(axis=0)
    late = ~np.isnan(np.stack([cosines[k + LATE] for k in PUBLISHED_OFFSETS])).any(axis=0)
    steps = range(1, _steps(windows) + 1)
    chance = np.minimum(1.0, ROLLOUT_RANK / column("candidates"))
    normal = (column("coherence") >= coherence_cuts[0]) & (column("coherence") <= coherence_cuts[1])
    return {
        "cosine": cosines[1],
        "cosine_last": cosines[0],
        **{f"whole_{k}": np.where(whole, cosines[k], np.nan) for k in OFFSETS},
        **{f"ahead_{k}": np.where(ahead, cosines[k], np.nan) for k in ahead_offsets},
        **{name: column(name) for name in RANKED},
        **{f"late_{k}": np.where(late, cosines[k + LATE], np.nan) for k in PUBLISHED_OFFSETS},
        # a window has all steps or none
        "rollout": windows[[step_columns(step)[0] for step in steps]].to_numpy(dtype=np.float64).mean(axis=1),
        "published_rollout": windows[[published_step_column(step) for step in steps]].to_numpy(np.float64).mean(axis=1),
        step_columns(2)[1]: np.full(len(windows), np.nan),  # a figure of its own: there also where there is one step
        **{name: column(name) for step in steps for name in step_columns(step)[1:]},
        "recall_at_5_above_chance": column("recall_at_5") - chance,
        **{f"order_{name}": column(f"cos_{name}") - cosines[1] for name in ABLATIONS},
        "coherence_normal": np.where(normal, cosines[1], np.nan),
        "contrastive_accuracy": column("contrastive"),
        **{name: column(name) for name in CLOSENESS},
        **{full_bank_column(k): column(full_bank_column(k)) for k in FULL_BANK_RANKS},
    }


def _steps(windows: pd.DataFrame) -> int:
    step = 0
    while step_columns(step + 1)[0] in windows:
        step += 1
    return step


def figures_of_means(means: Terms) -> dict[str, np.ndarray]:
    """All figures (`figure_names`) from means of `window_terms`, element by element; NaN where undefined."""
    before = np.max([means[f"whole_{k}"] for k in MARGIN_OFFSETS if k != 1], axis=0)
    after = np.max([means[f"ahead_{k}"] for k in UNSEEN_OFFSETS], axis=0)
    truth = means["best_context_of_truth"]
    figures = {
        **means,
        "margin": means["whole_1"] - before,
        "margin_last": means["whole_1"] - means["whole_0"],
        "margin_unseen": means["ahead_1"] - after,
        "par": np.divide(means["best_context"], truth, out=np.full_like(truth, np.nan), where=truth != 0),
        "published_cosine": means["late_1"],
        "published_margin": means["late_1"] - np.max([means[f"late_{k}"] for k in PUBLISHED_OFFSETS if k != 1], axis=0),
    }
    steps = (name for name in means if name.startswith(STEP_RECALL) and name not in FIGURES)
    return {name: figures[name] for name in (*FIGURES, *steps)}


def figures_of(terms: Terms) -> dict[str, float | None]:
    """All figures over all windows; None where undefined."""
    means = {name: mean_or_none(values) for name, values in terms.items()}
    arrays = {name: np.array([np.nan if mean is None else mean]) for name, mean in means.items()}
    return {name: None if np.isnan(one[0]) else float(one[0]) for name, one in figures_of_means(arrays).items()}


def summarise(
    windows: pd.DataFrame,
    terms: Terms,
    coherence_cuts: Sequence[float],
    ends: Mapping[str, tuple[float | None, float | None]],
) -> dict[str, Any]:
    """The figures of a split by name, and beside them numbers of windows, profiles, rollout steps, coherence bins.

    Args:
        windows: the table.
        terms: of the windows, by `window_terms` with the same cuts.
        coherence_cuts: the borders of the coherence bins.
        ends: of the 95 % intervals of the figures of rollout steps.
    """
    figures = figures_of(terms)
    counts = {name: _count(terms[term]) for name, term in COUNTED.items()}
    return {
        "windows": {"all": len(windows), **counts, "profile_k+4": _count(terms["whole_4"])},
        "articles": int(windows["article"].nunique()),
        **{name: figures[name] for name in FIGURES},
        **{name: mean_or_none(terms[name]) for name in RANKED if name not in FIGURES},
        "chance": {f"recall_at_{k}{end}": _chance(windows, k, end) for end in (*READINGS, "_unmasked") for k in RANKS},
        "profile": {_label(k): mean_or_none(terms[f"whole_{k}"]) for k in OFFSETS},
        "published_profile": {_label(k): mean_or_none(terms[f"late_{k}"]) for k in PUBLISHED_OFFSETS},
        "rollout_by_step": {str(step): _step(windows, step, figures, ends) for step in range(1, _steps(windows) + 1)},
        "coherence": _coherence(windows, terms["cosine"], coherence_cuts),
    }


def _step(
    windows: pd.DataFrame,
    step: int,
    figures: Mapping[str, float | None],
    ends: Mapping[str, tuple[float | None, float | None]],
) -> dict[str, Any]:
    """Of a rollout step the cosine, and in each reading R@5 with the ends of its interval and the windows ranked."""
    cosine, *recalls = step_columns(step)
    found: dict[str, Any] = {"cosine": mean_or_none(windows[cosine].to_numpy())}
    for reading, name in zip(READINGS, recalls, strict=True):
        key = f"recall_at_{ROLLOUT_RANK}{reading}"
        found[key] = figures[name]
        found[f"{key}_lo"], found[f"{key}_hi"] = (None, None) if figures[name] is None else ends[name]
        found[f"ranked{reading}"] = _count(windows[name].to_numpy())
    return found


def _count(values: np.ndarray) -> int:
    return int((~np.isnan(values)).sum())


def _label(k: int) -> str:
    return f"{k:+d}" if k else "0"


def _chance(windows: pd.DataFrame, k: int, end: str) -> float | None:
    """R@k of a random order, over the windows that are ranked in a reading (the centred one has the masked's)."""
    candidates = windows.loc[windows[f"mrr{end}"].notna(), f"candidates{end.removesuffix('_centred')}"].to_numpy()
    return mean_or_none(np.minimum(1.0, k / candidates))


def _coherence(windows: pd.DataFrame, cosine: np.ndarray, cuts: Sequence[float]) -> dict[str, Any]:
    """Mean cosine to the target and number of windows in each bin; the borders belong to `normal`."""
    coherence = windows["coherence"].to_numpy()
    low, high = coherence < cuts[0], coherence > cuts[1]
    members = zip(BINS, (low, ~low & ~high, high), strict=True)
    return {name: {"cosine": mean_or_none(cosine[chosen]), "windows": int(chosen.sum())} for name, chosen in members}
