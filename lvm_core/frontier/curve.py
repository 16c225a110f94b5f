"""From a place on the curve to a mixture of least-squares predictions, and from a wanted margin to a place.

A place is a number from -1 to 1: 0 is the unconstrained optimum; at +x the multiplier of the margin is t = x / (1 - x),
and the mixture is (1 - x) v + x d (its length plays no part), up to the largest margin that the family has at x = 1;
at -x it is (1 - x) v + x v_0, up to copying the last chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import brentq, nnls

from lvm_core.frontier.equations import LAST, RIVALS, WANTED

PLACES = np.linspace(-1.0, 1.0, 201)
"""Where the curve is looked at to find the places between which a margin lies."""
SAFE_SIDE = 5e-6
"""Added to a wanted margin: measured again, in float32, a traced predictor must not fall below what was wanted."""

_TOLERANCE = 1e-12


def corners(gram: np.ndarray) -> np.ndarray:
    """[8, 8] float64 coordinates (one column each) in which the predictions have these inner products [8, 8]."""
    values, vectors = np.linalg.eigh(gram)
    return np.sqrt(np.clip(values, 0.0, None))[:, None] * vectors.T


def rival_weights(points: np.ndarray, rivals: Sequence[int], place: float) -> np.ndarray:
    """[R] float64 weights nu of the rivals at a place >= 0: nonnegative, sum 1, |(1 - x) v + x sum nu_k d_k| smallest.

    The shortest vector of a polytope by nonnegative least squares: min |B n|^2 + (sum n - 1)^2 over n >= 0 is solved by
    the wanted weights times a number (Lawson and Hanson: Solving least squares problems, 1974, chapter 23).

    Args:
        points: [C, 8] from `corners`.
        rivals: [R] rows of `equations.WANTED`.
        place: x.
    """
    ends = (1 - place) * points[:, [0]] + place * points[:, list(rivals)]
    scale = max(float(np.linalg.norm(ends, axis=0).max()), _TOLERANCE)
    system = np.vstack([ends / scale, np.ones(len(rivals))])
    weights, _ = nnls(system, np.append(np.zeros(len(ends)), 1.0))
    return np.asarray(weights / weights.sum())


def mixture(points: np.ndarray, place: float, rivals: Sequence[int] = range(1, 1 + len(RIVALS))) -> np.ndarray:
    """[8] float64 coefficients of the least-squares predictions at a place of the curve.

    Args:
        points: [C, 8] from `corners`.
        place: -1 .. 1.
        rivals: rows of `equations.WANTED` that the margin is taken over.
    """
    coefficients = np.zeros(len(WANTED))
    coefficients[0] = 1 - abs(place)
    if place < 0:
        coefficients[LAST] = -place
    elif place > 0:
        coefficients[list(rivals)] = place * rival_weights(points, rivals, place)
    return coefficients


def vanishes(points: np.ndarray, coefficients: np.ndarray) -> bool:
    """Is nothing left of the predictions? Then no linear predictor has a larger margin, and the curve has ended."""
    length, longest = np.linalg.norm(points @ coefficients), np.linalg.norm(points, axis=0).max()
    return bool(length <= 1e-6 * longest)


def places_at(margins: Sequence[float], seen: np.ndarray, margin: Callable[[float], float]) -> dict[float, float]:
    """The place nearest to 0 at which the curve has each of these margins; those it never has are left out.

    Args:
        margins: wanted.
        seen: [len(PLACES)] the margin at each of `PLACES`, NaN where the curve has ended.
        margin: of a place.
    """
    centre = len(PLACES) // 2
    found = {}
    for wanted in margins:
        above = seen >= wanted + SAFE_SIDE
        crossings = np.flatnonzero((above[1:] != above[:-1]) & ~np.isnan(seen[1:] + seen[:-1]))
        if not len(crossings):
            continue
        left = int(crossings[np.argmin(np.abs(crossings + 0.5 - centre))])
        level = wanted + SAFE_SIDE
        root = brentq(lambda x, level=level: margin(x) - level, PLACES[left], PLACES[left + 1], xtol=1e-12)
        found[wanted] = float(root)
    return found
