"""Bootstrap over articles, and the figures drawn anew in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lvm_core.config.figures import (
    ABLATIONS,
    FULL_BANK_RANKS,
    HEADLINE,
    LATE,
    MARGIN_OFFSETS,
    MORE,
    OFFSETS,
    PUBLISHED_OFFSETS,
    ROLLOUT_RANK,
    SPLITS,
    UNSEEN_OFFSETS,
    full_bank_column,
    offset_column,
    published_step_column,
    step_columns,
)
from lvm_core.runtime.readers import read_parquet
from lvm_core.windows import CONTEXT

RESAMPLES = 2000

CONFIDENCE = 0.95

FEWEST_ARTICLES = 20
"""With fewer, a bootstrap interval over articles is clearly too narrow: the spread of so few is itself unknown."""

WORTH_HAVING = 0.01
"""A gain in R@5 (or cosine) worth having: one window in a hundred."""


def draw_articles(articles: int, resamples: int = RESAMPLES, seed: int | Sequence[int] = 0) -> np.ndarray:
    """[resamples, articles] float64: how often each article is drawn; each row sums to `articles`."""
    if not articles:
        return np.zeros((resamples, 0))
    rng = np.random.default_rng(seed)
    return rng.multinomial(articles, np.full(articles, 1 / articles), size=resamples).astype(np.float64)


def article_totals(article: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the values that are not NaN, by article.

    Args:
        article: [W] int, number of each window's article, 0 .. A-1, each occurring.
        values: [W, M] float, one column a measure.

    Returns:
        [A, M] float64 sums and [A, M] float64 counts.
    """
    articles = int(article.max(initial=-1)) + 1
    there = ~np.isnan(values)
    sums, counts = np.zeros((articles, values.shape[1])), np.zeros((articles, values.shape[1]))
    for column in range(values.shape[1]):
        chosen = there[:, column]
        sums[:, column] = np.bincount(article[chosen], values[chosen, column].astype(np.float64), articles)
        counts[:, column] = np.bincount(article[chosen], minlength=articles)
    return sums, counts


def weighted_means(weights: np.ndarray, sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """[B, M] float64 means over the windows of the drawn articles, NaN where no drawn window has the measure.

    Args:
        weights: [B, A] from `draw_articles`; a row of ones gives the plain means.
        sums: [A, M] from `article_totals`.
        counts: [A, M] from `article_totals`.
    """
    total, number = weights @ sums, weights @ counts
    return np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)


def interval(values: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float | None, float | None]:
    """Ends of the percentile interval of a figure's bootstrap values [B]; None where fewer than half are defined."""
    defined = values[~np.isnan(values)]
    if 2 * len(defined) < len(values) or not len(defined):
        return None, None
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


RANKED = ("recall_at_1", "recall_at_5", "mrr")


@dataclass(frozen=True)
class Judgement:
    """The figures of one predictor, over all windows and of each draw of articles."""

    value: Mapping[str, float | None]
    """By `<split>_<figure>`, the figures of HEADLINE and MORE; None where undefined."""
    draws: Mapping[str, np.ndarray]
    """[B] float64 by the same keys, NaN where undefined, or defined in a single article. Predictors judged on the same
    windows share the draws, so that their values can be subtracted draw by draw."""

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
    """What the figures are made of: [W] float64 each, NaN in windows that do not enter the mean."""

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


def read_judgements(
    directory: str | Path,
    names: Sequence[str],
    seed: int,
    coherence_cuts: Sequence[float],
    *,
    within: str = "",
    targets_both_ways: bool = False,
) -> dict[str, Judgement]:
    """All figures of each named folder of `directory` with their bootstrap values, from its tables of windows.

    Args:
        directory: of evaluations of one kind.
        names: of its folders.
        seed: of the draws of articles.
        coherence_cuts: borders of the coherence bins.
        within: folder in each of these that holds the tables; empty: they lie in it itself.
        targets_both_ways: keep only windows whose target is one in either direction of the article (it has five chunks
            before and after it), so that two directions are judged on the same targets.

    Raises:
        LvmError: a table is missing or damaged (names it).
    """
    judgements = {}
    for name in names:
        tables = {split: read_parquet(Path(directory) / name / within / f"{split}.parquet") for split in SPLITS}
        if targets_both_ways:
            tables = {split: table[has_five_after(table)] for split, table in tables.items()}
        judgements[name] = judge(tables, RESAMPLES, seed, coherence_cuts)
    return judgements


def has_five_after(windows: pd.DataFrame) -> pd.Series:
    """Which windows of a table have a target with five chunks after it in its article."""
    chunks = windows["candidates_unmasked"]  # of the article: all of them are candidates
    return windows["position"] < chunks - CONTEXT
