"""Confidence: how often, on dev, a prediction with that score had the true next chunk among the five nearest.

The score of a prediction is its lead: by how much the nearest chunk of the bank, the context left out, stands out from
the fiftieth. (The cosine with the nearest chunk alone tells next to nothing, being high wherever the bank is dense:
metrics/calibration has the area under the ROC curve of both.) The rate is fitted to it by isotonic regression (Zadrozny
and Elkan, "Transforming classifier scores into accurate multiclass probability estimates", KDD 2002), of each filling
strategy, number of given chunks and step ahead by itself: a guess from one sentence is not as good as one from five.

A model is measured as the service uses it: contexts of one to five given chunks, filled, predicted steps ahead. Its
memory is that of the article before the target, or of the given chunks where the context had to be filled; it stays
the same for further steps. The window's own five chunks before it are no candidates, and no article fills its own
contexts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, get_args

import numpy as np
import torch
from pydantic import Field, model_validator
from scipy.optimize import isotonic_regression

from lvm_core.bank import Bank
from lvm_core.bank.chunks import Memory
from lvm_core.config.groups import Fill
from lvm_core.config.params import Group, validate
from lvm_core.config.references import Sees
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


class Model(Protocol):
    """What is measured (`models.checkpoint.LoadedModel`)."""

    @property
    def sees(self) -> Sees:
        """What it is given."""

    def predict(self, contexts: np.ndarray, memory: np.ndarray | None) -> np.ndarray:
        """[B, 5, D] unit rows, oldest first, and [B, D] where it has a memory -> [B, D] float32 unit rows."""

    def memory_of(self, chunks: np.ndarray) -> np.ndarray | None:
        """[n, D] unit rows read so far -> [D]; None where it sees the context alone."""


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
    """Empty where nothing was calibrated."""
    why_not: str | None = None
    """Why nothing was."""
    articles: Annotated[int, Field(ge=0)] = 0
    """Articles of `dev` that it was fitted to."""
    sources: list[str] = Field(default_factory=list)
    """Where these are from: for other text it may be far off."""
    bias: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """By split, how far the stated confidence is from what was observed (`reliability.bias`)."""

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

    @property
    def told(self) -> dict[str, Any]:
        """What /info says of it."""
        return {"curves": len(self.curves)} | self.model_dump(include={"why_not", "articles", "sources", "bias"})

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
    articles: np.ndarray
    """[W] int64 place of the window's article among all articles of the bank, in the order of their ids."""

    def only(self, chosen: np.ndarray) -> Outcomes:
        """Those of some windows: [W] bool, or indices."""
        names = ("scores", "nearest", "hits", "cosines", "articles")
        return replace(self, **{name: getattr(self, name)[chosen] for name in names})

    def curve(self) -> Curve:
        """Rate of hits as a function of the score."""
        return fit_curve(self.scores, self.hits, fill=self.fill, given=self.given, step=self.step)


def measure(model: Model, bank: Bank, index: Index, split: str, steps: int) -> Iterator[Outcomes]:
    """The outcomes of every kind of context and every step up to `steps`, on the windows of a split."""
    progress = Progress(f"calibrate {split}", len(KINDS), "kinds of context")
    for fill, given in KINDS:
        yield from measure_kind(model, bank, index, split, steps, fill, given)
        progress.update(1)
    progress.close()


def measure_kind(
    model: Model, bank: Bank, index: Index, split: str, steps: int, fill: str = "given", given: int = CONTEXT
) -> Iterator[Outcomes]:
    """The outcomes of one kind of context for every step, as long as there are windows that reach so far.

    Args:
        model: to be measured.
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
    memory = None
    if model.sees != "context":
        if given == CONTEXT:  # the text goes back to where its article begins
            memory = Memory.of_bank(bank).before(torch.from_numpy(targets)).numpy()
        else:
            memory = np.stack([mean for one in vectors if (mean := model.memory_of(one)) is not None])
    place = bank.articles["article_id"].astype(str).argsort().argsort().to_numpy()
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
        predicted = model.predict(read, None if memory is None else memory[kept])
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
            articles=place[article[reached]],
        )
        read = np.concatenate([read[:, 1:], predicted[:, None]], axis=1)  # as the rollout does
