"""The frontier of a bank (metrics/frontier.json): traced, and measured like any other predictor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lvm_core.bank import Bank
from lvm_core.config.figures import MARGIN_OFFSETS, offset_column
from lvm_core.config.groups import EvaluateParams
from lvm_core.fivecat.figures import margin_of
from lvm_core.fivecat.measures import Predictor, profile_columns, unit_predictions
from lvm_core.fivecat.ranking import article_scores, retrieval_columns
from lvm_core.fivecat.windows import Batch, has_offset, iterate_batches, judged_windows
from lvm_core.frontier import CRITERIA
from lvm_core.frontier.families import (
    PLACES,
    RIVALS,
    WANTED,
    Family,
    affine,
    choose_strength,
    corners,
    has_rivals,
    linear5,
    mixture,
    normal_equations,
    places_at,
    vanishes,
)
from lvm_core.runtime.cli import Progress

FIGURES = ("cosine", "margin", "margin_last", "recall_at_1", "recall_at_5", "rollout")
"""Figures of a point of the curve; retrieval is masked."""


def margins_of_mixtures(
    bank: Bank, split: str, parts: Sequence[Predictor], params: EvaluateParams, device: torch.device | str
) -> Callable[[np.ndarray], float] | None:
    """The margin on a split of any mixture of some predictions, without predicting again.

    The cosine of a mixture sum_i a_i p_i with a chunk x is sum_i a_i <p_i, x> / sqrt(sum_ij a_i a_j <p_i, p_j>), so
    one pass collects inner products: 4 * P * (P + 7) bytes a window.

    Returns:
        [P] float64 coefficients -> margin; None where no window of the split has all of k=-3..+3.
    """
    windows, collected = judged_windows(bank, split, params), []
    progress = Progress(f"frontier, inner products on {split}", len(windows), "windows")
    with torch.inference_mode():
        for batch in iterate_batches(bank, windows, params.batch_size, device):
            progress.update(len(batch))
            whole = batch.where(has_rivals(batch))
            if not len(whole):
                continue
            contexts = whole.contexts()
            predictions = torch.stack([part(contexts, whole.rows) for part in parts], dim=1)  # [B, P, D]
            chunks = torch.stack([whole.at_offset(k) for k in MARGIN_OFFSETS], dim=1)  # [B, 7, D]
            both = torch.cat([predictions, chunks], dim=1)
            collected.append(torch.bmm(predictions, both.transpose(1, 2)).cpu().numpy())
    progress.close()
    if not collected:
        return None
    products = np.concatenate(collected)
    own, count = products[:, :, : len(parts)].reshape(len(products), -1), len(parts)
    shared = np.ascontiguousarray(products[:, :, count:].transpose(0, 2, 1)).reshape(-1, count)

    def margin(coefficients: np.ndarray) -> float:
        squared = own @ np.outer(coefficients, coefficients).ravel()
        lengths = np.sqrt(np.clip(squared, 1e-24, None))
        cosines = (shared @ coefficients).reshape(len(products), -1) / lengths[:, None]
        value = margin_of(dict(zip(MARGIN_OFFSETS, cosines.mean(0).tolist(), strict=True)), RIVALS)
        assert value is not None
        return value

    return margin


def measure(
    bank: Bank, split: str, predictors: Sequence[Predictor], params: EvaluateParams, device: torch.device | str
) -> list[dict[str, Any]]:
    """The `FIGURES` of each predictor over all windows of a split, None where undefined; equal to those of `evaluate`.

    The order ablations and other costly figures are left out; rollout is the most expensive one here.
    """
    windows = judged_windows(bank, split, params)
    totals: list[dict[str, np.ndarray]] = [{} for _ in predictors]  # by column: sum and number of the values defined
    progress = Progress(f"frontier on {split}, {len(predictors)} predictors", len(windows), "windows")
    with torch.inference_mode():
        for batch in iterate_batches(bank, windows, params.batch_size, device):
            for predictor, total in zip(predictors, totals, strict=True):
                for name, values in _columns(predictor, batch, params).items():
                    defined = values[~np.isnan(values)]
                    total[name] = total.get(name, 0.0) + np.array([defined.sum(dtype=np.float64), len(defined)])
            progress.update(len(batch))
    progress.close()
    return [_figures(total) for total in totals]


def _figures(total: Mapping[str, np.ndarray]) -> dict[str, Any]:
    means = {name: float(summed / number) if number else None for name, (summed, number) in total.items()}
    profile = {k: means.get(offset_column(k)) for k in MARGIN_OFFSETS}
    means |= {"margin": margin_of(profile, RIVALS), "margin_last": margin_of(profile, [0])}
    return {name: means.get(name) for name in FIGURES}


def _columns(predictor: Predictor, batch: Batch, params: EvaluateParams) -> dict[str, np.ndarray]:
    """[B] float columns by figure, NaN where undefined; the offsets only of windows that have all of them."""
    predictions, _ = unit_predictions(predictor, batch.contexts(), batch.rows)
    scores = article_scores(predictions, batch)
    retrieval = retrieval_columns(scores, batch, params.min_candidates)
    profile = profile_columns(scores, batch)
    whole = has_rivals(batch)
    return {
        "cosine": profile[offset_column(1)],
        **{offset_column(k): np.where(whole, profile[offset_column(k)], np.nan) for k in MARGIN_OFFSETS},
        **{name: retrieval[name] for name in ("recall_at_1", "recall_at_5")},
        "rollout": _rollout_cosine(predictor, batch, predictions, params.rollout_steps),
    }


def _rollout_cosine(predictor: Predictor, batch: Batch, predictions: Tensor, steps: int) -> np.ndarray:
    """[B] float64 mean cosine of the steps of `rollout.rollout_columns`, without ranking the steps; NaN as there."""
    whole = has_offset(batch.position, batch.n_chunks, steps)
    means = np.full(len(batch), np.nan)
    if not whole.any():
        return means
    part, last = batch.where(whole), predictions[torch.from_numpy(whole).to(predictions.device)]
    contexts, total = part.contexts(), torch.zeros(len(last), dtype=torch.float64, device=last.device)
    for step in range(1, steps + 1):
        if step > 1:
            contexts = torch.cat([contexts[:, 1:], last[:, None]], dim=1)
            last, _ = unit_predictions(predictor, contexts, part.rows + step - 1)
        total += (last * part.at_offset(step)).sum(1)
    means[whole] = total.cpu().numpy() / steps
    return means


SPLITS = ("val", "ood")
"""Where points are measured."""

FAMILIES = ("linear5", "affine")

TUNED_ON = "val"
"""Where the margins of the points are set: the curve shows what these data allow, so it may be tuned on them."""

MARGINS = (
    *(-0.50, -0.40, -0.30, -0.25, -0.20, -0.15, -0.10, -0.07, -0.05, -0.03, -0.01),
    *(0.0, CRITERIA["margin"], 0.05, 0.10),
)
"""Margins on val at which the curve is measured, beside the unconstrained optimum and the ends of the curve."""


def trace_frontier(bank: Bank, params: EvaluateParams, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Trace both families and measure their points on val and ood.

    Deterministic, and the same for any batch size up to the rounding of float32 sums.

    The affine family's penalty is chosen from `ridge_strengths`. Predictions are computed on `device`, the equations
    are solved on the processor.

    Returns:
        json values. `families`: by name the points, from copying towards the largest margin; each has its `FIGURES` on
        `val` and `ood`, `margin_asked` (on val; null for the unconstrained optimum and the ends of the curve),
        `multiplier` (t; negative towards copying, null where infinite) and `rivals`, the share of the multiplier that
        each rival has. `unconstrained`: by family the point with multiplier 0. `at_criterion`: by family the point
        with the margin of the summary's stage-A criteria, or the unconstrained one if its margin is larger; null
        where the family has no such margin. `criteria` and the `strength` chosen. A family has no points where no
        window of train, or none of val, has all of k=-3..+3.

    Raises:
        LvmError: the train split has no window, dev has none and is needed, or a strength is too small.
    """
    families: dict[str, list[dict[str, Any]]] = {name: [] for name in FAMILIES}
    equations, strength = normal_equations(bank, params.batch_size), None
    if equations is not None:
        strength = choose_strength(bank, equations, params.ridge_strengths, params.batch_size)
        traced = [linear5(equations), affine(equations, strength, device)]
        del equations  # the largest arrays
        families = {family.name: _trace(bank, family, params, device) for family in traced}
    return {
        "frame": "corrected",
        "criteria": dict(CRITERIA),
        "strength": strength,
        "unconstrained": {
            name: next((point for point in points if point["multiplier"] == 0), None)
            for name, points in families.items()
        },
        "at_criterion": {name: _at_criterion(points) for name, points in families.items()},
        "families": families,
    }


def _at_criterion(points: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Of the points with the margin of the criteria the one with the best cosine: the unconstrained one, or at it."""
    enough = [point for point in points if point["val"]["margin"] >= CRITERIA["margin"]]
    return max(enough, key=lambda point: point["val"]["cosine"], default=None)


def _trace(bank: Bank, family: Family, params: EvaluateParams, device: torch.device | str) -> list[dict[str, Any]]:
    points = corners(family.gram)
    margin_of_mixture = margins_of_mixtures(bank, TUNED_ON, family.parts(), params, device)
    if margin_of_mixture is None:
        return []

    def margin(place: float) -> float:
        coefficients = mixture(points, place)
        return float("nan") if vanishes(points, coefficients) else margin_of_mixture(coefficients)

    seen = np.array([margin(place) for place in PLACES.tolist()])
    if np.isnan(seen).all():
        return []
    asked = {place: wanted for wanted, place in places_at(MARGINS, seen, margin).items()}
    # The ends of the curve: copying, and the largest margin, left out where a point asked for goes further.
    largest = int(np.nanargmax(seen))
    ends = PLACES[[0, largest] if seen[largest] < max(MARGINS) else [0]].tolist()
    places = sorted({*asked, *ends, 0.0})
    mixtures = [mixture(points, place) for place in places]
    predictors = [family.mix(coefficients) for coefficients in mixtures]
    figures = {split: measure(bank, split, predictors, params, device) for split in SPLITS}
    return [
        {
            **{split: figures[split][number] for split in SPLITS},
            "margin_asked": asked.get(place),
            "multiplier": place if place <= 0 else place / (1.0 - place) if place < 1.0 else None,
            "rivals": _shares(coefficients),
        }
        for number, (place, coefficients) in enumerate(zip(places, mixtures, strict=True))
    ]


def _shares(coefficients: np.ndarray) -> dict[str, float]:
    """The share of each rival in the multiplier, by offset; all zero where the margin does not bind from below."""
    shares = coefficients[1 : 1 + len(RIVALS)]
    total = shares.sum() or 1.0
    return {f"{k:+d}" if k else "0": float(share / total) for k, share in zip(WANTED[1:], shares, strict=False)}


def describe(frontier: Mapping[str, Any]) -> list[str]:
    """One line a family for the log: its points, the unconstrained optimum and the point of the criteria."""
    limit, lines = frontier["criteria"]["margin"], []
    for name, points in frontier["families"].items():
        if not points:
            lines.append(f"{name}: no margin on these data (articles of 8 chunks or more are needed in train and val)")
            continue
        widest = max(points, key=lambda point: point["val"]["margin"])
        criterion = frontier["at_criterion"][name] or widest
        reached = f"margin {limit:+.2f}" if criterion["val"]["margin"] >= limit else "largest margin"
        free = frontier["unconstrained"][name]
        lines.append(
            f"{name}: {len(points)} points; unconstrained cosine {free['val']['cosine']:.4f} at margin "
            f"{free['val']['margin']:+.4f}; {reached}: cosine {criterion['val']['cosine']:.4f} at margin "
            f"{criterion['val']['margin']:+.4f}"
        )
    return lines
