"""Least squares over contexts, and the curve traced by its weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import brentq, nnls
from torch import Tensor

from lvm_core.bank import Bank
from lvm_core.config.figures import MARGIN_OFFSETS
from lvm_core.fivecat.windows import Batch, canonical_windows, has_offset, iterate_batches
from lvm_core.runtime.cli import Progress
from lvm_core.runtime.errors import LvmError
from lvm_core.windows import CONTEXT

RIVALS = tuple(k for k in MARGIN_OFFSETS if k != 1)
"""Offsets that the target is compared with in the margin."""

WANTED = (1, *RIVALS, 0)
"""What each right-hand side asks to predict: the target, the target minus each rival, the last context chunk."""

LAST = len(WANTED) - 1
"""Number of the right-hand side of the last context chunk."""

_SLOTS = range(1 - CONTEXT, MARGIN_OFFSETS.stop)
"""Offsets of the context chunks and of everything after them that the margin needs."""


@dataclass(frozen=True)
class Equations:
    """Means over the train windows; f is the context as one vector of 5*D numbers, oldest chunk first."""

    covariance: Tensor
    """[5D, 5D] float64, of f over all windows."""
    right: Tensor
    """[8, 5D, D] float64, of f z^T for z in the order of `WANTED`, minus `feature_mean` `right_mean`^T: the target y
    and the last chunk over all windows, y - x_k over those that have all of k=-3..+3."""
    feature_mean: Tensor
    """[5D] float64, of f over all windows."""
    right_mean: Tensor
    """[8, D] float64, of z over the windows of its right-hand side."""


def has_rivals(batch: Batch) -> np.ndarray:
    """[B] bool: does the window have all of k=-3..+3?"""
    there: np.ndarray = np.logical_and.reduce([has_offset(batch.position, batch.n_chunks, k) for k in MARGIN_OFFSETS])
    return there


def normal_equations(bank: Bank, batch_size: int) -> Equations | None:
    """The normal equations of a bank's train windows.

    Blocks are multiplied in float32 and added up in float64. Memory: about six [5D, 5D] float64 matrices (650 MB at
    D=768).
    """
    windows = canonical_windows(bank, "train")
    if not len(windows):
        raise LvmError(
            "data/bank: the train split has no window, which the frontier needs; give it more or longer articles "
            "(data.train, split.*)"
        )
    # Sums over the windows with all rivals, and over the others: those near the end of their article.
    inside, ending = (_Sums(bank.vectors.shape[1], slots) for slots in (_SLOTS, range(1 - CONTEXT, 2)))
    progress = Progress("frontier, normal equations", len(windows), "windows")
    for batch in iterate_batches(bank, windows, batch_size, "cpu"):
        whole = has_rivals(batch)
        inside.add(batch.where(whole))
        ending.add(batch.where(~whole))
        progress.update(len(batch))
    progress.close()
    return _equations(inside, ending) if inside.count else None


class _Sums:
    """Sums over windows of f x_k^T and of x_k, for the offsets k of `slots`; `products` is [slots, 5D, D] float64."""

    def __init__(self, dimension: int, slots: range) -> None:
        self.slots, self.count = slots, 0
        self.products = torch.zeros(len(slots), CONTEXT * dimension, dimension, dtype=torch.float64)
        self.chunks = torch.zeros(len(slots), dimension, dtype=torch.float64)

    def add(self, batch: Batch) -> None:
        """Count these windows in."""
        if not len(batch):
            return
        features = batch.contexts().flatten(1)
        for slot, k in enumerate(self.slots):
            chunks = batch.at_offset(k)
            self.products[slot] += features.T @ chunks
            self.chunks[slot] += chunks.sum(0)
        self.count += len(batch)


def _equations(inside: _Sums, ending: _Sums) -> Equations:
    for slot in range(len(ending.slots)):  # now over all windows; in place, because these are the largest arrays
        ending.products[slot] += inside.products[slot]
    count = inside.count + ending.count
    everywhere = ending.products.div_(count)
    everywhere_mean = (ending.chunks + inside.chunks[: len(ending.slots)]) / count
    products, means = inside.products.div_(inside.count), inside.chunks / inside.count
    dimension, target = means.shape[1], CONTEXT
    feature_mean = everywhere_mean[:CONTEXT].flatten()

    right, right_mean = torch.empty_like(products), torch.empty_like(means)
    for row, k in enumerate(WANTED):
        rival = k - _SLOTS.start
        if row in (0, LAST):
            right[row], right_mean[row] = everywhere[rival], everywhere_mean[rival]
        else:
            torch.sub(products[target], products[rival], out=right[row])
            right_mean[row] = means[target] - means[rival]
        right[row].addr_(feature_mean, right_mean[row], alpha=-1.0)
    square = everywhere[:CONTEXT].transpose(0, 1).reshape(CONTEXT * dimension, CONTEXT * dimension)
    return Equations(square.addr_(feature_mean, feature_mean, alpha=-1.0), right, feature_mean, right_mean)


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
        seen: [len(PLACES)] the margin at each of `PLACES`, NaN where the curve has ended.
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
