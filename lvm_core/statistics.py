"""Intervals by bootstrap over articles: windows of one article resemble one another, so articles are what is drawn.

Articles are drawn with replacement, as many as there are; a figure that is a function of means over windows is
computed from each draw (the cluster bootstrap: Davison and Hinkley 1997, section 3.8; Field and Welsh 2007). The
interval has the percentiles of these as its ends. Figures of several predictors computed from the same draws can be
subtracted draw by draw, which gives paired intervals.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RESAMPLES = 2000
CONFIDENCE = 0.95
FEWEST_ARTICLES = 20
"""With fewer, a bootstrap interval over articles is clearly too narrow: the spread of so few is itself unknown."""
WORTH_HAVING = 0.01
"""A gain in R@5 (or cosine) worth having: one window in a hundred."""


def draw_articles(articles: int, resamples: int = RESAMPLES, seed: int | Sequence[int] = 0) -> np.ndarray:
    """[resamples, articles] float64: how often each article is drawn; each row sums to `articles`.

    Args:
        articles: number of articles.
        resamples: number of draws.
        seed: of the draws, one number or several.
    """
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
