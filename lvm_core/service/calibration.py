"""Measures a model as the service uses it: contexts of one to five given chunks, filled, predicted steps ahead.

A prediction is found when the true chunk is among the `NEAREST` nearest of the whole bank; the window's own five
chunks before it are no candidates, and no article fills its own contexts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.stats import binomtest, mannwhitneyu

from lvm_core.bank import Bank
from lvm_core.config.groups import Fill
from lvm_core.runtime.cli import Progress
from lvm_core.service.confidence import CROWD, NEAREST, Calibration, Curve, fit_curve, lead
from lvm_core.service.nearest import Context, ContextFiller, Index
from lvm_core.windows import CONTEXT, context_rows

FILLS: tuple[Fill, ...] = ("neighbours", "repeat")
"""Every strategy; `given` stands for contexts that need none."""

EVERY = 4
"""Further steps of filled contexts are measured on every so many windows: they are 32 of 45 curves."""

BINS = 10
"""Groups of equally many windows in which stated confidence and observed rate are compared."""


class Predictor(Protocol):
    """What is measured: a `lvm_core.models.checkpoint.LoadedModel`, or anything that predicts like one."""

    def predict(self, contexts: np.ndarray) -> np.ndarray:
        """[B, 5, D] unit rows, oldest first -> [B, D] float32 unit rows."""


@dataclass(frozen=True)
class Outcomes:
    """What came of the windows of one kind of context, one step ahead or further."""

    fill: str
    """Strategy, or `given`."""
    given: int
    """Number of given chunks."""
    step: int
    """Chunks ahead."""
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


def kinds() -> list[tuple[str, int]]:
    """Every kind of context: strategy and number of given chunks."""
    return [("given", CONTEXT), *((fill, given) for fill in FILLS for given in range(1, CONTEXT))]


def measure(model: Predictor, bank: Bank, index: Index, split: str, steps: int) -> Iterator[Outcomes]:
    """The outcomes of every kind of context and every step, on the windows of a split.

    Args:
        model: on the processor.
        bank: whose chunks are the candidates.
        index: of all its rows.
        split: whose windows are asked.
        steps: most chunks ahead.

    Yields:
        Kinds without windows (no article is long enough for the step) are left out.
    """
    filler = ContextFiller(bank, index)
    targets = bank.targets(split)
    progress = Progress(f"calibrate {split}", len(kinds()), "kinds of context")
    for fill, given in kinds():
        contexts = _contexts(bank, filler, targets, fill, given)
        yield from _outcomes(model, bank, index, targets, contexts, fill, given, steps)
        progress.update(1)
    progress.close()


def measure_given(model: Predictor, bank: Bank, index: Index, split: str) -> Outcomes | None:
    """The outcomes of whole contexts, one step ahead; None of a split without windows."""
    targets = bank.targets(split)
    contexts = _contexts(bank, ContextFiller(bank, index), targets, "given", CONTEXT)
    return next(_outcomes(model, bank, index, targets, contexts, "given", CONTEXT, 1), None)


def _contexts(bank: Bank, filler: ContextFiller, targets: np.ndarray, fill: str, given: int) -> list[Context]:
    """The window's last `given` chunks, the rest filled from other articles."""
    vectors = [np.asarray(bank.vectors[target - given : target], dtype=np.float32) for target in targets.tolist()]
    strategy: Fill = "repeat" if fill == "repeat" else "neighbours"
    return filler.fill_many(vectors, strategy, _own_articles(bank, targets) if fill == "neighbours" else None)


def _own_articles(bank: Bank, targets: np.ndarray) -> list[range]:
    first, count = bank.articles["first_row"].to_numpy(), bank.articles["n_chunks"].to_numpy()
    own = bank.article_of_row[targets]
    return [range(start, start + size) for start, size in zip(first[own].tolist(), count[own].tolist(), strict=True)]


def _outcomes(
    model: Predictor,
    bank: Bank,
    index: Index,
    targets: np.ndarray,
    contexts: list[Context],
    fill: str,
    given: int,
    steps: int,
) -> Iterator[Outcomes]:
    read = np.stack([context.vectors for context in contexts]) if contexts else np.empty((0, CONTEXT, 0))
    kept = np.arange(len(targets))
    for step in range(1, steps + 1):
        if step == 2 and fill != "given":
            kept, read = kept[::EVERY], read[::EVERY]
        reached = _reach(bank, targets[kept], step)
        kept, read = kept[reached], read[reached]
        if not len(kept):
            return
        truth = targets[kept] + step - 1
        predicted = model.predict(read)
        left_out = [
            [*before, *contexts[window].bank_rows]
            for window, before in zip(kept.tolist(), context_rows(targets[kept]).tolist(), strict=True)
        ]
        rows, cosines = index.nearest(predicted, CROWD, left_out)
        true_vectors = np.asarray(bank.vectors[truth], dtype=np.float32)
        yield Outcomes(
            fill=fill,
            given=given,
            step=step,
            scores=lead(cosines),
            nearest=cosines[:, 0],
            hits=(rows[:, :NEAREST] == truth[:, None]).any(axis=1),
            cosines=np.einsum("wd,wd->w", predicted, true_vectors),
        )
        read = np.concatenate([read[:, 1:], predicted[:, None]], axis=1)  # as the rollout does


def _reach(bank: Bank, targets: np.ndarray, step: int) -> np.ndarray:
    """Positions of the windows whose article has the chunk `step` ahead."""
    truth = targets + step - 1
    last = len(bank.vectors) - 1
    same: np.ndarray = bank.article_of_row[np.minimum(truth, last)] == bank.article_of_row[targets]
    return np.flatnonzero(same & (truth <= last))


def reliability(outcomes: Outcomes, calibration: Calibration) -> list[dict[str, float]]:
    """Stated confidence against the observed rate, in groups of equally many windows, from the lowest.

    Args:
        outcomes: of whole contexts, one step ahead.
        calibration: fitted on another split.

    Returns:
        `confidence` (mean), `observed`, `low`, `high` (95 % Wilson interval of the observed rate), `windows`.
    """
    curve = calibration.curve("given", CONTEXT, 1)
    if curve is None:
        return []
    stated = curve.rate(outcomes.scores)
    order = np.lexsort((outcomes.scores, stated))
    groups = np.array_split(order, min(BINS, len(order)))
    return [_group(stated[group], outcomes.hits[group]) for group in groups]


def _group(stated: np.ndarray, hits: np.ndarray) -> dict[str, float]:
    low, high = binomtest(int(hits.sum()), len(hits)).proportion_ci(method="wilson")
    return {
        "confidence": float(stated.mean()),
        "observed": float(hits.mean()),
        "low": float(low),
        "high": float(high),
        "windows": len(hits),
    }


def calibration_figures(outcomes: Outcomes, calibration: Calibration) -> dict[str, float | None]:
    """How well stated confidence fits what is observed.

    Returns:
        `found`: observed rate; `confidence`: mean stated one; `calibration_error`: mean distance of the two over the
        groups of `reliability` (expected calibration error, Naeini et al., AAAI 2015); `brier` and `brier_constant`:
        mean squared error of the confidence, and of stating the observed rate each time; `auc_lead` and `auc_cosine`:
        area under the ROC curve of the score, and of the cosine with the nearest chunk, which is not used; `windows`.
    """
    groups, curve = reliability(outcomes, calibration), calibration.curve("given", CONTEXT, 1)
    if curve is None:
        return {}
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
    """Chance that a hit has the higher score of a hit and a miss, ties half; None without both.

    Args:
        scores: [W] float.
        hits: [W] bool.
    """
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
