"""Confidence: how often, on dev, a prediction with that score had the true next chunk among the five nearest.

The score of a prediction is its lead: by how much the nearest chunk of the bank, the context left out, stands out from
the fiftieth. (The cosine with the nearest chunk alone tells next to nothing, being high wherever the bank is dense:
metrics/calibration has the area under the ROC curve of both.) The rate is fitted to it by isotonic regression (Zadrozny
and Elkan, "Transforming classifier scores into accurate multiclass probability estimates", KDD 2002), of each filling
strategy, number of given chunks and step ahead by itself: a guess from one sentence is not as good as one from five.

A model is measured as the service uses it: contexts of one to five given chunks, filled, predicted steps ahead. The
window's own five chunks before it are no candidates, and no article fills its own contexts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

import numpy as np
from pydantic import Field, model_validator
from scipy.optimize import isotonic_regression

from lvm_core.bank import Bank
from lvm_core.config.groups import Fill
from lvm_core.config.params import Group, validate
from lvm_core.runtime.cli import Progress
from lvm_core.runtime.files import write_json
from lvm_core.runtime.readers import read_json
from lvm_core.service.nearest import ContextFiller, Index
from lvm_core.windows import CONTEXT, context_rows

NEAREST = 5
"""The true next chunk counts as found when it is among so many nearest chunks of the whole bank."""

CROWD = 50
"""The nearest chunk stands out from the one at this place."""

FEWEST = 100
"""Windows below which no rate is told: its own uncertainty would be a tenth or more."""

KINDS = (("given", CONTEXT), *((fill, given) for fill in get_args(Fill) for given in range(1, CONTEXT)))
"""Every kind of context: strategy (`given` stands for contexts that need none) and number of given chunks."""

EVERY = 4
"""Further steps of filled contexts are measured on every so many windows: they are 32 of 45 curves."""

BINS = 10
"""Groups of equally many windows in which stated confidence and observed rate are compared."""

Predict = Callable[[np.ndarray], np.ndarray]
"""[B, 5, D] unit rows, oldest first -> [B, D] float32 unit rows."""

Score = Annotated[float, Field(ge=0.0, le=2.01)]

Rate = Annotated[float, Field(ge=0.0, le=1.0)]


def lead(cosines: np.ndarray) -> np.ndarray:
    """[B] score of predictions from their cosines with the nearest chunks.

    Args:
        cosines: [B, `CROWD`] float32, best first; fewer columns, or -inf, where the bank has fewer candidates.
    """
    if not cosines.shape[1]:
        return np.zeros(len(cosines), dtype=np.float32)
    last = np.maximum(np.isfinite(cosines).sum(axis=1), 1) - 1
    best, crowd = cosines[:, 0], cosines[np.arange(len(cosines)), last]
    return np.where(np.isfinite(best), best, 0.0) - np.where(np.isfinite(best), crowd, 0.0)


class Curve(Group):
    """Rate as a function of the score: a step function that never falls."""

    fill: str
    """Strategy that filled the contexts; of all five given, `given`."""
    given: Annotated[int, Field(ge=1, le=CONTEXT)]
    """Number of given chunks."""
    step: Annotated[int, Field(ge=1)]
    """Chunks ahead."""
    windows: Annotated[int, Field(ge=1)]
    """Dev windows that it was fitted to."""
    scores: Annotated[list[Score], Field(min_length=1)]
    """Lowest score of each step of the function, rising."""
    rates: Annotated[list[Rate], Field(min_length=1)]
    """Observed rate from that score on."""

    @model_validator(mode="after")
    def _pairs(self) -> Curve:
        if len(self.scores) != len(self.rates):
            raise ValueError(f"a curve has {len(self.scores)} scores and {len(self.rates)} rates")
        return self

    def rate(self, scores: np.ndarray) -> np.ndarray:
        """[W] observed rates of [W] scores; below the first step its rate."""
        at = np.searchsorted(np.asarray(self.scores), scores, side="right") - 1
        return np.asarray(self.rates)[np.maximum(at, 0)]


def fit_curve(scores: np.ndarray, hits: np.ndarray, *, fill: str, given: int, step: int) -> Curve:
    """The curve that fits the observed hits [W] bool of scores [W] float, W > 0, best among those that never fall."""
    order = np.argsort(scores, kind="stable")
    distinct, first, sizes = np.unique(scores[order], return_index=True, return_counts=True)
    means = np.add.reduceat(hits[order].astype(np.float64), first) / sizes  # equal scores have one rate
    fitted = isotonic_regression(means, weights=sizes)
    starts = np.asarray(fitted.blocks[:-1])
    return Curve(
        fill=fill,
        given=given,
        step=step,
        windows=len(scores),
        scores=[round(float(value), 6) for value in distinct[starts]],
        rates=[round(float(np.clip(value, 0, 1)), 6) for value in fitted.x[starts]],
    )


class Calibration(Group):
    """What a score means, for one model and one bank."""

    format_version: Literal[1] = 1
    model: str
    """Name of the model's recipe."""
    model_sha256: str
    """Of its weights file."""
    bank_sha256: str
    """Content hash of the bank."""
    curves: list[Curve]

    def confidence(self, score: float, given: int, step: int, fill: Fill) -> float | None:
        """The observed rate of a prediction with this `lead`; None where none was measured.

        `fill` is of no account when five chunks were given.
        """
        curve = self.curve("given" if given == CONTEXT else fill, given, step)
        return float(curve.rate(np.array([score]))[0]) if curve and curve.windows >= FEWEST else None

    def curve(self, fill: str, given: int, step: int) -> Curve | None:
        """The curve of one kind of context and step; None where none was measured."""
        matching = (curve for curve in self.curves if (curve.fill, curve.given, curve.step) == (fill, given, step))
        return next(matching, None)

    def write(self, path: str | Path) -> None:
        """Write it as json."""
        write_json(path, self.model_dump())


def load_calibration(path: str | Path) -> Calibration:
    """Read a calibration."""
    return validate(read_json(path), Calibration, "calibration", path)


@dataclass(frozen=True)
class Outcomes:
    """What came of the windows of one kind of context, one step ahead or further (see `Curve`)."""

    fill: str
    given: int
    step: int
    scores: np.ndarray
    """[W] float32 `lead` of the prediction."""
    nearest: np.ndarray
    """[W] float32 cosine of the prediction with the nearest chunk of the bank."""
    hits: np.ndarray
    """[W] bool: the true chunk is among the `NEAREST` nearest."""
    cosines: np.ndarray
    """[W] float32 cosine of the prediction with the true chunk."""

    def curve(self) -> Curve:
        """Rate of hits as a function of the score."""
        return fit_curve(self.scores, self.hits, fill=self.fill, given=self.given, step=self.step)


def measure(predict: Predict, bank: Bank, index: Index, split: str, steps: int) -> Iterator[Outcomes]:
    """The outcomes of every kind of context and every step up to `steps`, on the windows of a split."""
    progress = Progress(f"calibrate {split}", len(KINDS), "kinds of context")
    for fill, given in KINDS:
        yield from measure_kind(predict, bank, index, split, steps, fill, given)
        progress.update(1)
    progress.close()


def measure_kind(
    predict: Predict, bank: Bank, index: Index, split: str, steps: int, fill: str = "given", given: int = CONTEXT
) -> Iterator[Outcomes]:
    """The outcomes of one kind of context for every step, as long as there are windows that reach so far.

    Args:
        predict: a model, or anything that predicts like one.
        bank: whose chunks are the candidates; `index` has all its rows.
        split: whose windows are asked.
        steps: most chunks ahead.
        fill: strategy for the places before the window's last `given` chunks.
    """
    targets = bank.targets(split)
    if not len(targets):
        return
    vectors = [np.asarray(bank.vectors[target - given : target], dtype=np.float32) for target in targets.tolist()]
    strategy: Fill = "neighbours" if fill == "neighbours" else "repeat"
    own = None
    if fill == "neighbours":
        articles = bank.articles.iloc[bank.article_of_row[targets]]
        own = [range(first, first + n) for first, n in zip(articles["first_row"], articles["n_chunks"], strict=True)]
    contexts = ContextFiller(bank, index).fill(vectors, [strategy] * len(vectors), own)
    read, kept = np.stack([context.vectors for context in contexts]), np.arange(len(targets))
    for step in range(1, steps + 1):
        if step == 2 and fill != "given":
            kept, read = kept[::EVERY], read[::EVERY]
        truth = targets[kept] + step - 1
        article = bank.article_of_row[np.minimum(truth, len(bank.vectors) - 1)]
        reached = (truth < len(bank.vectors)) & (article == bank.article_of_row[targets[kept]])
        kept, read, truth = kept[reached], read[reached], truth[reached]
        if not len(kept):
            return
        predicted = predict(read)
        left_out = [
            [*before, *contexts[window].bank_rows]
            for window, before in zip(kept.tolist(), context_rows(targets[kept]).tolist(), strict=True)
        ]
        rows, cosines = index.nearest(predicted, CROWD, left_out)
        yield Outcomes(
            fill=fill,
            given=given,
            step=step,
            scores=lead(cosines),
            nearest=cosines[:, 0],
            hits=(rows[:, :NEAREST] == truth[:, None]).any(axis=1),
            cosines=np.einsum("wd,wd->w", predicted, np.asarray(bank.vectors[truth], dtype=np.float32)),
        )
        read = np.concatenate([read[:, 1:], predicted[:, None]], axis=1)  # as the rollout does


def reliability(outcomes: Outcomes, curve: Curve) -> list[dict[str, float]]:
    """Stated confidence against the observed rate, in groups of equally many windows, from the lowest.

    Args:
        outcomes: of whole contexts, one step ahead.
        curve: fitted to those of another split.

    Returns:
        `confidence` (mean), `observed`, `low`, `high` (95 % Wilson interval of the observed rate), `windows`.
    """
    from scipy.stats import binomtest  # takes a second, which the service would wait for

    stated = curve.rate(outcomes.scores)
    order, groups = np.lexsort((outcomes.scores, stated)), []
    for group in np.array_split(order, min(BINS, len(order))):
        hits = outcomes.hits[group]
        low, high = binomtest(int(hits.sum()), len(hits)).proportion_ci(method="wilson")
        rates = {"observed": float(hits.mean()), "low": float(low), "high": float(high)}
        groups.append({"confidence": float(stated[group].mean()), **rates, "windows": len(hits)})
    return groups


def calibration_figures(outcomes: Outcomes, curve: Curve) -> dict[str, float | None]:
    """How well stated confidence fits what is observed (arguments as of `reliability`).

    Returns:
        `found`: observed rate; `confidence`: mean stated one; `calibration_error`: mean distance of the two over the
        groups of `reliability` (expected calibration error, Naeini et al., AAAI 2015); `brier` and `brier_constant`:
        mean squared error of the confidence, and of stating the observed rate each time; `auc_lead` and `auc_cosine`:
        area under the ROC curve of the score, and of the cosine with the nearest chunk, which is not used; `windows`.
    """
    groups = reliability(outcomes, curve)
    stated, hits = curve.rate(outcomes.scores), outcomes.hits.astype(np.float64)
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
