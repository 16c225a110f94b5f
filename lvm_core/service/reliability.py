"""How well a stated confidence fits what is observed, on articles that its curve was not fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lvm_core.bank import Bank
from lvm_core.config.figures import SPLITS
from lvm_core.fivecat.statistics import FEWEST_ARTICLES, article_totals, draw_articles, interval, weighted_means
from lvm_core.models.checkpoint import LoadedModel
from lvm_core.service.confidence import Outcomes, measure_kind
from lvm_core.service.nearest import Index

BINS = 10
"""Groups of equally many windows in which stated confidence and observed rate are compared."""

FOLDS = 10
"""Parts of the articles of `dev`; each is stated by a curve that was fitted to the other parts."""

REFITS = 400
"""Draws of articles with a curve fitted anew in each."""


def too_few(outcomes: Outcomes) -> str | None:
    """Why nothing can be calibrated on these windows of `dev`; None where there are enough."""
    articles = len(np.unique(outcomes.articles))
    if articles >= FEWEST_ARTICLES:
        return None
    there = f"{articles} article{'s have' if articles > 1 else ' has'} windows"
    return f"not calibrated: {there} in dev, at least {FEWEST_ARTICLES} are needed; raise split.dev"


def held_out(outcomes: Outcomes) -> np.ndarray:
    """[W] float64 confidence of each window by a curve that was fitted without its article's fold.

    Every `FOLDS`-th article, in the order of their ids, is in one fold; there are two articles at least.
    """
    fold = np.unique(outcomes.articles, return_inverse=True)[1] % FOLDS
    stated = np.empty(len(fold))
    for one in np.unique(fold):
        out = fold == one
        stated[out] = outcomes.only(~out).curve().rate(outcomes.scores[out])
    return stated


Held = tuple[Outcomes, np.ndarray]
"""Outcomes of whole contexts, one step ahead, and [W] the confidence stated of them by curves fitted to others."""


def held_against(model: LoadedModel, bank: Bank, index: Index, dev: Outcomes) -> dict[str, Held]:
    """By split: `dev` by cross-validation, `val` and `ood`, where they have windows, by the curve of all of `dev`."""
    held = {"dev": (dev, held_out(dev))}
    for split in SPLITS:
        for found in measure_kind(model, bank, index, split, 1):
            held[split] = found, dev.curve().rate(found.scores)
    return held


def bias(outcomes: Outcomes, stated: np.ndarray, fitted_to: Outcomes | None = None) -> dict[str, Any]:
    """Mean stated confidence less the observed rate.

    Args:
        outcomes: of whole contexts, one step ahead.
        stated: [W] their confidence.
        fitted_to: the outcomes that the curve was fitted to, all of other articles.

    Returns:
        `stated`, `observed`, `bias`; `low`, `high`: ends of its 95 % interval, articles drawn anew and the curve as it
        is; `refit_low`, `refit_high`: the same with the articles that the curve is fitted to drawn anew too, which
        says what another choice of so many articles could have stated; `articles`, `windows`.
    """
    off = (stated - outcomes.hits)[:, None]
    place = np.unique(outcomes.articles, return_inverse=True)[1]
    sums, counts = article_totals(place, off)
    low, high = interval(weighted_means(draw_articles(len(sums)), sums, counts)[:, 0])
    found = {"stated": float(stated.mean()), "observed": float(outcomes.hits.mean()), "bias": float(off.mean())}
    ends: dict[str, float | None] = {"low": low, "high": high}
    if fitted_to is not None:
        ends |= dict(zip(("refit_low", "refit_high"), interval(_refitted(outcomes, fitted_to)), strict=True))
    return {**found, **ends, "articles": len(sums), "windows": len(stated)}


def biases_text(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The biases of each split in a line."""

    def text(split: str, one: Mapping[str, Any]) -> str:
        ends = "" if one["low"] is None else f" [{one['low']:+.3f}, {one['high']:+.3f}]"
        return f"{split} {one['stated']:.3f} - {one['observed']:.3f} = {one['bias']:+.3f}{ends}"

    return "confidence stated less observed: " + ", ".join(text(split, one) for split, one in found.items())


def _refitted(outcomes: Outcomes, fitted_to: Outcomes) -> np.ndarray:
    """[REFITS] biases, the articles of both drawn anew and the curve fitted anew."""
    rng = np.random.default_rng(0)
    groups = [_by_article(one) for one in (outcomes, fitted_to)]
    found = []
    for _ in range(REFITS):
        of_other, of_fit = (_drawn(one, rng) for one in groups)
        curve, asked = fitted_to.only(of_fit).curve(), outcomes.only(of_other)
        found.append(curve.rate(asked.scores).mean() - asked.hits.mean())
    return np.array(found)


def _by_article(outcomes: Outcomes) -> list[np.ndarray]:
    return [np.flatnonzero(outcomes.articles == article) for article in np.unique(outcomes.articles)]


def _drawn(groups: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    return np.concatenate([groups[place] for place in rng.integers(len(groups), size=len(groups))])


def reliability(outcomes: Outcomes, stated: np.ndarray) -> list[dict[str, float]]:
    """Stated confidence against the observed rate, in groups of equally many windows, from the lowest.

    Args:
        outcomes: of whole contexts, one step ahead.
        stated: [W] their confidence, by a curve that was fitted to other articles.

    Returns:
        `confidence` (mean), `observed`, `low`, `high` (95 % Wilson interval of the observed rate), `windows`.
    """
    from scipy.stats import binomtest  # takes a second, which the service would wait for

    order, groups = np.lexsort((outcomes.scores, stated)), []
    for group in np.array_split(order, min(BINS, len(order))):
        hits = outcomes.hits[group]
        low, high = binomtest(int(hits.sum()), len(hits)).proportion_ci(method="wilson")
        rates = {"observed": float(hits.mean()), "low": float(low), "high": float(high)}
        groups.append({"confidence": float(stated[group].mean()), **rates, "windows": len(hits)})
    return groups


def calibration_figures(outcomes: Outcomes, stated: np.ndarray) -> dict[str, float | None]:
    """How well stated confidence fits what is observed (arguments as of `reliability`).

    Returns:
        `found`: observed rate; `confidence`: mean stated one; `calibration_error`: mean distance of the two over the
        groups of `reliability` (expected calibration error, Naeini et al., AAAI 2015); `brier` and `brier_constant`:
        mean squared error of the confidence, and of stating the observed rate each time; `auc_lead` and `auc_cosine`:
        area under the ROC curve of the score, and of the cosine with the nearest chunk, which is not used; `windows`.
    """
    groups, hits = reliability(outcomes, stated), outcomes.hits.astype(np.float64)
    distance = sum(group["windows"] * abs(group["confidence"] - group["observed"]) for group in groups)
    return {
        "found": float(hits.mean()),
        "confidence": float(stated.mean()),
        "calibration_error": distance / len(hits),
        "brier": float(np.mean((stated - hits) ** 2)),
        "brier_constant": float(np.mean((hits.mean() - hits) ** 2)),
        "auc_lead": roc_area(outcomes.scores, outcomes.hits),
        "auc_cosine": roc_area(outcomes.nearest, outcomes.hits),
        "windows": len(hits),
    }


def roc_area(scores: np.ndarray, hits: np.ndarray) -> float | None:
    """Chance that a hit has the higher score of a hit and a miss, ties half; None without both."""
    from scipy.stats import mannwhitneyu

    found, missed = scores[hits], scores[~hits]
    if not len(found) or not len(missed):
        return None
    return float(mannwhitneyu(found, missed).statistic / (len(found) * len(missed)))


def fill_figures(outcomes: list[Outcomes]) -> dict[str, dict[str, dict[str, float]]]:
    """For each strategy and number of given chunks, one step ahead: rate of hits and mean cosine with the truth."""
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for one in outcomes:
        if one.step == 1:
            figures.setdefault(one.fill, {})[f"{one.given}_given"] = {
                "found": float(one.hits.mean()),
                "cosine": float(one.cosines.mean()),
            }
    return figures
