"""Confidence: how often, on dev, a prediction with that score had the true next chunk among the five nearest.

The score of a prediction is its lead: by how much the nearest chunk of the bank, the context left out, stands out from
the fiftieth. (The cosine with the nearest chunk alone tells next to nothing, being high wherever the bank is dense:
metrics/calibration has the area under the ROC curve of both.) The rate is fitted to it by
isotonic regression (Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability
estimates", KDD 2002), of each filling strategy, number of given chunks and step ahead by itself: a guess from one
sentence is not as good as one from five.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator
from scipy.optimize import isotonic_regression

from lvm_core.config.groups import Fill
from lvm_core.config.params import Group, validate
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import sha256_of, write_json
from lvm_core.runtime.readers import read_json
from lvm_core.windows import CONTEXT

NEAREST = 5
"""The true next chunk counts as found when it is among so many nearest chunks of the whole bank."""

CROWD = 50
"""The nearest chunk stands out from the one at this place."""

FEWEST = 100
"""Windows below which no rate is told: its own uncertainty would be a tenth or more."""

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
    scores: np.ndarray = np.where(np.isfinite(best), best, 0.0) - np.where(np.isfinite(best), crowd, 0.0)
    return scores


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
        rates: np.ndarray = np.asarray(self.rates)[np.maximum(at, 0)]
        return rates


def fit_curve(scores: np.ndarray, hits: np.ndarray, *, fill: str, given: int, step: int) -> Curve:
    """The curve that fits observed hits best among those that never fall.

    Args:
        scores: [W] float, W > 0.
        hits: [W] bool: was the true chunk among the nearest?
    """
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
    """Of the file."""
    model: str
    """Name of the model's recipe."""
    model_sha256: str
    """Of its weights file."""
    bank_sha256: str
    """Content hash of the bank."""
    curves: list[Curve]
    """See `Curve`."""

    def confidence(self, score: float, given: int, step: int, fill: Fill) -> float | None:
        """The observed rate of a prediction with this score; None where none was measured.

        Args:
            score: the prediction's `lead`.
            given: number of given chunks of the context.
            step: chunks ahead.
            fill: strategy that filled the rest (of no account when five were given).
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
    loaded: Calibration = validate(read_json(path), Calibration, "calibration", path)
    return loaded


def find_calibration(model_directory: str | Path) -> Path | None:
    """The calibration of a model directory: in it, or where the pipeline puts it (data/calibration); None if none.

    There, any that was measured on the same weights: the selected model is one of the recipes.
    """
    directory = Path(model_directory).resolve()
    of_pipeline = directory.parent.parent / "calibration"
    named = [directory / "calibration.json", of_pipeline / f"{directory.name}.json"]
    weights = sha256_of(directory / "model.safetensors")
    same = (path for path in sorted(of_pipeline.glob("*.json")) if _measured_on(path, weights))
    return next((path for path in named if path.is_file()), None) or next(same, None)


def _measured_on(path: Path, weights: str) -> bool:
    try:
        raw = read_json(path)
    except LvmError:  # of another model, as far as we can tell
        return False
    return isinstance(raw, dict) and raw.get("model_sha256") == weights
