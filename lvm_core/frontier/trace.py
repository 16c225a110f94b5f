"""The whole frontier of a bank: what metrics/frontier.json holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from lvm_core.bank import Bank
from lvm_core.fivecat.params import EvaluateParams
from lvm_core.frontier.answer import CRITERIA
from lvm_core.frontier.curve import PLACES, corners, mixture, places_at, vanishes
from lvm_core.frontier.equations import RIVALS, WANTED, normal_equations
from lvm_core.frontier.families import Family, affine, linear5
from lvm_core.frontier.measure import margins_of_mixtures, measure
from lvm_core.frontier.strength import choose_strength

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

    Args:
        bank: with training windows, and `dev` windows if there are several ridge strengths.
        params: of the evaluation; `ridge_strengths` are those that the affine family's penalty is chosen from.
        device: on which predictions are computed; the equations are solved on the processor.

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
    result: dict[str, Any] = {
        "frame": "corrected",
        "criteria": dict(CRITERIA),
        "strength": None,
        **{key: {name: value for name in FAMILIES} for key, value in (("unconstrained", None), ("at_criterion", None))},
        "families": {name: [] for name in FAMILIES},
    }
    equations = normal_equations(bank, params.batch_size)
    if equations is None:
        return result
    strength = choose_strength(bank, equations, params.ridge_strengths, params.batch_size)
    result["strength"] = strength
    traced = [linear5(equations), affine(equations, strength, device)]
    del equations  # the largest arrays
    for family in traced:
        points = _trace(bank, family, params, device)
        result["families"][family.name] = points
        result["unconstrained"][family.name] = next((point for point in points if point["multiplier"] == 0), None)
        result["at_criterion"][family.name] = _at_criterion(points)
    return result


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
    places = sorted({*asked, *_ends(seen), 0.0})
    mixtures = [mixture(points, place) for place in places]
    predictors = [family.mix(coefficients) for coefficients in mixtures]
    figures = {split: measure(bank, split, predictors, params, device) for split in SPLITS}
    return [
        {
            **{split: figures[split][number] for split in SPLITS},
            "margin_asked": asked.get(place),
            "multiplier": _multiplier(place),
            "rivals": _shares(coefficients),
        }
        for number, (place, coefficients) in enumerate(zip(places, mixtures, strict=True))
    ]


def _ends(seen: np.ndarray) -> list[float]:
    """The ends of the curve: copying, and the largest margin, left out where a point asked for goes further."""
    largest = int(np.nanargmax(seen))
    return [float(PLACES[0]), *([float(PLACES[largest])] if seen[largest] < max(MARGINS) else [])]


def _multiplier(place: float) -> float | None:
    if place >= 1.0:
        return None
    return place / (1.0 - place) if place > 0 else place


def _shares(coefficients: np.ndarray) -> dict[str, float]:
    """The share of each rival in the multiplier, by offset; all zero where the margin does not bind from below."""
    shares = coefficients[1 : 1 + len(RIVALS)]
    total = shares.sum() or 1.0
    return {f"{k:+d}" if k else "0": float(share / total) for k, share in zip(WANTED[1:], shares, strict=False)}


def _at_criterion(points: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Of the points with the margin of the criteria the one with the best cosine: the unconstrained one, or at it."""
    enough = [point for point in points if point["val"]["margin"] >= CRITERIA["margin"]]
    return max(enough, key=lambda point: point["val"]["cosine"], default=None)


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
