"""Bootstrap over articles, and the figures drawn anew in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lvm_core.config.figures import SPLITS, figures_in
from lvm_core.config.references import Sees
from lvm_core.fivecat.figures import Terms, figures_of, figures_of_means, window_terms
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.readers import read_json, read_npy, read_parquet
from lvm_core.windows import CONTEXT

AGAIN = "delete the folder and run `dvc repro`"

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
    """Sum and number of the values [W, M] that are not NaN by article [W] (0 .. A-1, each occurring): [A, M] each."""
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

    `weights` [B, A] is from `draw_articles` (a row of ones gives the plain means), the others from `article_totals`.
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


@dataclass(frozen=True)
class Judgement:
    """The figures of one predictor, over all windows and of each draw of articles."""

    value: Mapping[str, float | None]
    """By `<split>_<figure>`, all figures (`config.figures.figure_names`); None where undefined."""
    draws: Mapping[str, np.ndarray]
    """[B] float64 by the same keys, NaN where undefined, or defined in a single article. Predictors judged on the same
    windows share the draws, so that their values can be subtracted draw by draw."""
    sees: Sees = "context"
    """What the predictor is given."""
    fit: Mapping[str, Any] = field(default_factory=dict)
    """What it has fitted, if it is a reference (`Predictor.fit`)."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    """By split, what `figures.summarise` says; empty where the judgement was not read from an evaluation's folder."""

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
        value |= {f"{split}_{name}": one for name, one in figures_of(terms).items()}
        drawn = bootstrap(terms, windows["article"], (seed, *split.encode()), resamples)
        draws |= {f"{split}_{name}": values for name, values in drawn.items()}
    return Judgement(value, draws)


def bootstrap(
    terms: Terms, articles: pd.Series, seed: int | Sequence[int], resamples: int = RESAMPLES
) -> dict[str, np.ndarray]:
    """Each figure in each draw of articles, [B] float64; NaN where undefined, or defined in a single article.

    Args:
        terms: of a table of windows (`figures.window_terms`).
        articles: of the same windows.
        seed: of the draws.
        resamples: number of draws.
    """
    article = pd.factorize(articles)[0]
    sums, counts = article_totals(article, np.stack(list(terms.values()), axis=1))
    # a measure that a single article has can only be drawn again: that is no width of 0, but no knowledge of others
    several = np.where((counts > 0).sum(0) > 1, counts, 0.0)
    means = weighted_means(draw_articles(len(sums), resamples, seed), sums, several)
    return figures_of_means(dict(zip(terms, means.T, strict=True)))


def read_judgements(directory: str | Path, names: Sequence[str], within: str = "") -> dict[str, Judgement]:
    """All figures of each named folder of `directory` with their bootstrap values, as `write_evaluations` left them.

    Args:
        directory: of evaluations of one kind.
        names: of its folders.
        within: folder in each of these that holds the evaluation; empty: it lies in it itself.

    Raises:
        LvmError: a file is missing or damaged (names it).
    """
    return {name: _read_judgement(Path(directory) / name / within) for name in names}


def _read_judgement(folder: Path) -> Judgement:
    value: dict[str, float | None] = {}
    draws: dict[str, np.ndarray] = {}
    path = folder / "summary.json"
    summary = read_json(path)
    try:
        sees, by_split = summary["sees"], {split: summary[split] for split in SPLITS}
        figures = {split: figures_in(found) for split, found in by_split.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LvmError(f"{path}: lacks a figure ({error}); {AGAIN}") from None
    for split, found in figures.items():
        value |= {f"{split}_{name}": one for name, one in found.items()}
        drawn = read_npy(path := folder / f"{split}.npy")
        if drawn.shape != (len(found), RESAMPLES) or drawn.dtype != np.float64:
            raise LvmError(f"{path}: holds {drawn.dtype} {list(drawn.shape)}, no draws of these figures; {AGAIN}")
        draws |= {f"{split}_{name}": values for name, values in zip(found, drawn, strict=True)}
    return Judgement(value, draws, sees, summary.get("fit", {}), by_split)


def judge_both_ways(directory: str | Path, names: Sequence[str], seed: int) -> dict[str, Judgement]:
    """Judgements over the windows whose target is one in either direction of the article (it has five chunks before
    and after it), so that two directions are judged on the same targets; from the tables of windows in `directory`.
    """
    judgements = {}
    for name in names:
        tables = {split: read_parquet(Path(directory) / name / f"{split}.parquet") for split in SPLITS}
        judgements[name] = judge({split: one[has_five_after(one)] for split, one in tables.items()}, RESAMPLES, seed)
    return judgements


def has_five_after(windows: pd.DataFrame) -> pd.Series:
    """Which windows of a table have a target with five chunks after it in its article."""
    chunks = windows["candidates_unmasked"]  # of the article: all of them are candidates
    return windows["position"] < chunks - CONTEXT
