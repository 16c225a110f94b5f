"""Every figure as a function of means over windows, to be computed again for any weights of the articles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lvm_core.fivecat.headline import HEADLINE, MORE
from lvm_core.fivecat.names import (
    ABLATIONS,
    FULL_BANK_RANKS,
    LATE,
    PUBLISHED_OFFSETS,
    ROLLOUT_RANK,
    full_bank_column,
    offset_column,
    published_step_column,
    step_columns,
)
from lvm_core.fivecat.window_sets import MARGIN_OFFSETS, OFFSETS, UNSEEN_OFFSETS
from lvm_core.statistics import article_totals, draw_articles, interval, weighted_means

RANKED = ("recall_at_1", "recall_at_5", "mrr")


@dataclass(frozen=True)
class Judgement:
    """The figures of one predictor, over all windows and of each draw of articles.

    Attributes:
        value: by `<split>_<figure>`, the figures of HEADLINE and MORE; None where undefined.
        draws: [B] float64 by the same keys, NaN where undefined, or defined in a single article. Predictors judged on
            the same windows share the draws, so that their values can be subtracted draw by draw.
    """

    value: Mapping[str, float | None]
    draws: Mapping[str, np.ndarray]

    def interval(self, key: str) -> tuple[float | None, float | None]:
        """Ends of the 95 % interval of a figure, None where it is undefined."""
        return (None, None) if self.value[key] is None else interval(self.draws[key])


def judge(
    tables: Mapping[str, pd.DataFrame], resamples: int, seed: int, coherence_cuts: Sequence[float] = (0.45, 0.55)
) -> Judgement:
    """The figures of a predictor with their bootstrap values.

    Args:
        tables: its tables of windows (`Evaluation.windows`) by split.
        resamples: number of draws of articles.
        seed: of the draws.
        coherence_cuts: the borders of the coherence bins, which the tables do not hold.
    """
    value: dict[str, float | None] = {}
    draws: dict[str, np.ndarray] = {}
    for split, windows in tables.items():
        terms = window_terms(windows, coherence_cuts)
        article = pd.factorize(windows["article"])[0]
        totals = article_totals(article, np.stack(list(terms.values()), axis=1))
        articles = len(totals[0])
        for name, values in _figures(list(terms), np.ones((1, articles)), *totals).items():
            value[f"{split}_{name}"] = None if np.isnan(values[0]) else float(values[0])
        # a measure that a single article has can only be drawn again: that is no width of 0, but no knowledge of others
        several = np.where((totals[1] > 0).sum(0) > 1, totals[1], 0.0)
        weights = draw_articles(articles, resamples, (seed, *split.encode()))
        for name, values in _figures(list(terms), weights, totals[0], several).items():
            draws[f"{split}_{name}"] = values
    return Judgement(value, draws)


def _figures(names: Sequence[str], weights: np.ndarray, sums: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    means = weighted_means(weights, sums, counts)
    return figures_of_means(dict(zip(names, means.T, strict=True)))


def window_terms(windows: pd.DataFrame, coherence_cuts: Sequence[float]) -> dict[str, np.ndarray]:
    """What the figures are made of: [W] float64 each, NaN in windows that do not enter the mean.

    Args:
        windows: a table of windows.
        coherence_cuts: the borders of the coherence bins.
    """

    def column(name: str) -> np.ndarray:
        return windows[name].to_numpy(dtype=np.float64)

    cosines = {k: column(offset_column(k)) for k in OFFSETS}
    ahead_offsets = (1, *UNSEEN_OFFSETS)
    whole = ~np.isnan(np.stack([cosines[k] for k in MARGIN_OFFSETS])).any(axis=0)
    ahead = ~np.isnan(np.stack([cosines[k] for k in ahead_offsets])).any(axis=0)
    late = ~np.isnan(np.stack([cosines[k + LATE] for k in PUBLISHED_OFFSETS])).any(axis=0)
    ranked = [f"{name}{suffix}" for suffix in ("", "_unmasked") for name in RANKED]
    steps = range(1, _steps(windows) + 1)
    second = step_columns(2)[1]
    chance = np.minimum(1.0, ROLLOUT_RANK / column("candidates"))
    normal = (column("coherence") >= coherence_cuts[0]) & (column("coherence") <= coherence_cuts[1])
    return {
        "cosine": cosines[1],
        "cosine_last": cosines[0],
        **{f"whole_{k}": np.where(whole, cosines[k], np.nan) for k in MARGIN_OFFSETS},
        **{f"ahead_{k}": np.where(ahead, cosines[k], np.nan) for k in ahead_offsets},
        **{name: column(name) for name in ranked},
        **{f"late_{k}": np.where(late, cosines[k + LATE], np.nan) for k in PUBLISHED_OFFSETS},
        # a window has all steps or none
        "rollout": windows[[step_columns(step)[0] for step in steps]].to_numpy(dtype=np.float64).mean(axis=1),
        "published_rollout": windows[[published_step_column(step) for step in steps]].to_numpy(np.float64).mean(axis=1),
        "rollout_recall_at_5_2": column(second) if second in windows else np.full(len(windows), np.nan),
        "recall_at_5_above_chance": column("recall_at_5") - chance,
        **{f"order_{name}": column(f"cos_{name}") - cosines[1] for name in ABLATIONS},
        "coherence_normal": np.where(normal, cosines[1], np.nan),
        "contrastive_accuracy": column("contrastive"),
        **{name: column(name) for name in ("centred_cosine", "raw_norm", "best_context", "best_context_of_truth")},
        **{full_bank_column(k): column(full_bank_column(k)) for k in FULL_BANK_RANKS},
    }


def _steps(windows: pd.DataFrame) -> int:
    step = 0
    while step_columns(step + 1)[0] in windows:
        step += 1
    return step


def figures_of_means(means: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The figures of HEADLINE and MORE from means of `window_terms`, element by element."""
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
    return {name: figures[name] for name in (*HEADLINE, *MORE)}
