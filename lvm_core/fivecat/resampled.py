"""Headline figures as functions of means over windows, to be computed again for any weights of the articles."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lvm_core.fivecat.headline import HEADLINE
from lvm_core.fivecat.names import LATE, PUBLISHED_OFFSETS, offset_column, published_step_column, step_columns
from lvm_core.fivecat.window_sets import MARGIN_OFFSETS, OFFSETS, UNSEEN_OFFSETS
from lvm_core.statistics import article_totals, draw_articles, weighted_means

RANKED = ("recall_at_1", "recall_at_5", "mrr")


def window_terms(windows: pd.DataFrame) -> dict[str, np.ndarray]:
    """What the headline figures are made of: [W] float64 each, NaN in windows that do not enter the mean.

    Args:
        windows: a window table (`Evaluation.windows`).
    """
    cosines = {k: windows[offset_column(k)].to_numpy(dtype=np.float64) for k in OFFSETS}
    ahead_offsets = (1, *UNSEEN_OFFSETS)
    whole = ~np.isnan(np.stack([cosines[k] for k in MARGIN_OFFSETS])).any(axis=0)
    ahead = ~np.isnan(np.stack([cosines[k] for k in ahead_offsets])).any(axis=0)
    late = ~np.isnan(np.stack([cosines[k + LATE] for k in PUBLISHED_OFFSETS])).any(axis=0)
    ranked = [f"{name}{suffix}" for suffix in ("", "_unmasked") for name in RANKED]
    steps = range(1, _steps(windows) + 1)
    return {
        "cosine": cosines[1],
        **{f"whole_{k}": np.where(whole, cosines[k], np.nan) for k in MARGIN_OFFSETS},
        **{f"ahead_{k}": np.where(ahead, cosines[k], np.nan) for k in ahead_offsets},
        **{name: windows[name].to_numpy(dtype=np.float64) for name in ranked},
        **{f"late_{k}": np.where(late, cosines[k + LATE], np.nan) for k in PUBLISHED_OFFSETS},
        # a window has all steps or none
        "rollout": windows[[step_columns(step)[0] for step in steps]].to_numpy(dtype=np.float64).mean(axis=1),
        "published_rollout": windows[[published_step_column(step) for step in steps]].to_numpy(np.float64).mean(axis=1),
    }


def _steps(windows: pd.DataFrame) -> int:
    step = 0
    while step_columns(step + 1)[0] in windows:
        step += 1
    return step


def headline_of_means(means: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The headline figures from means of `window_terms`, element by element."""
    before = np.max([means[f"whole_{k}"] for k in MARGIN_OFFSETS if k != 1], axis=0)
    after = np.max([means[f"ahead_{k}"] for k in UNSEEN_OFFSETS], axis=0)
    figures = {
        **means,
        "margin": means["whole_1"] - before,
        "margin_last": means["whole_1"] - means["whole_0"],
        "margin_unseen": means["ahead_1"] - after,
        "published_margin": means["late_1"] - np.max([means[f"late_{k}"] for k in PUBLISHED_OFFSETS if k != 1], axis=0),
    }
    return {name: figures[name] for name in HEADLINE}


def resampled_headline(windows: pd.DataFrame, resamples: int, seed: int) -> dict[str, np.ndarray]:
    """[resamples] float64 bootstrap values of each headline figure, NaN where undefined.

    Two tables of the same windows get the same draws, so that their values can be subtracted.

    Args:
        windows: a window table.
        resamples: number of draws.
        seed: of the draws.
    """
    terms = window_terms(windows)
    article = pd.factorize(windows["article"])[0]
    sums, counts = article_totals(article, np.stack(list(terms.values()), axis=1))
    drawn = weighted_means(draw_articles(len(sums), resamples, seed), sums, counts)
    return headline_of_means(dict(zip(terms, drawn.T, strict=True)))
