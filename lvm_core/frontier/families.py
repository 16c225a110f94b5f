"""Families of linear predictors: least-squares predictions, and their mixtures along the curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import brentq, nnls
from torch import Tensor

from lvm_core.bank import Bank
from lvm_core.config.figures import MARGIN_OFFSETS
from lvm_core.fivecat.least_squares import Equations, Sums, choose_on_dev, require_windows
from lvm_core.fivecat.measures import Predictor, from_callable
from lvm_core.fivecat.windows import Batch, canonical_windows, has_offset, iterate_batches
from lvm_core.runtime.cli import Progress
from lvm_core.windows import CONTEXT

RIVALS = tuple(k for k in MARGIN_OFFSETS if k != 1)
"""Offsets that the target is compared with in the margin."""

WANTED = (1, *RIVALS, 0)
"""What each right-hand side asks to predict: the target, the target minus each rival, the last context chunk."""

LAST = len(WANTED) - 1
"""Number of the right-hand side of the last context chunk."""

_SLOTS = range(1 - CONTEXT, MARGIN_OFFSETS.stop)
"""Offsets of the context chunks and of everything after them that the margin needs."""


def has_rivals(batch: Batch) -> np.ndarray:
    """[B] bool: does the window have all of k=-3..+3?"""
    there: np.ndarray = np.logical_and.reduce([has_offset(batch.position, batch.n_chunks, k) for k in MARGIN_OFFSETS])
    return there


def normal_equations(bank: Bank, batch_size: int) -> Equations | None:
    """The normal equations of a bank's train windows for `WANTED`: y and the last chunk over all windows, y - x_k over
    those that have all of k=-3..+3; None where there are none.

    Memory: about six [5D, 5D] float64 matrices (650 MB at D=768).
    """
    require_windows(bank, "train", "the frontier needs")
    windows = canonical_windows(bank, "train")
    # Sums over the windows with all rivals, and over the others: those near the end of their article.
    inside, everywhere = (Sums(bank.vectors.shape[1], slots) for slots in (_SLOTS, range(1 - CONTEXT, 2)))
    progress = Progress("frontier, normal equations", len(windows), "windows")
    for batch in iterate_batches(bank, windows, batch_size, "cpu"):
        whole = has_rivals(batch)
        inside.add(batch.where(whole))
        everywhere.add(batch.where(~whole))
        progress.update(len(batch))
    progress.close()
    if not inside.count:
        return None
    for slot in range(len(everywhere.slots)):  # now over all windows; in place, because these are the largest arrays
        everywhere.products[slot] += inside.products[slot]
        everywhere.chunks[slot] += inside.chunks[slot]
    everywhere.count += inside.count
    (all_products, all_chunks), (products, chunks) = everywhere.means(), inside.means()
    right, right_mean = torch.empty_like(products), torch.empty_like(chunks)
    for row, k in enumerate(WANTED):
        slot = k - _SLOTS.start
        if row in (0, LAST):
            right[row], right_mean[row] = all_products[slot], all_chunks[slot]
        else:
            torch.sub(products[CONTEXT], products[slot], out=right[row])
            right_mean[row] = chunks[CONTEXT] - chunks[slot]
    return Equations.of(all_products, all_chunks, right, right_mean)


@dataclass(frozen=True)
class Family:
    """The predictors that a frontier is traced in."""

    name: str
    """`linear5` or `affine`."""
    gram: np.ndarray
    """[8, 8] float64 inner products of the least-squares predictions of `WANTED`."""
    mix: Callable[[np.ndarray], Predictor]
    """[8] float64 coefficients -> the sum of the least-squares predictions, each times its coefficient."""

    def parts(self) -> list[Predictor]:
        """The eight least-squares predictions themselves."""
        return [self.mix(row) for row in np.eye(len(WANTED))]


def linear5(equations: Equations) -> Family:
    """Five scalar weights, no intercept, no penalty: the affine family's equations, summed over the dimensions."""
    feature_mean = equations.feature_mean.view(CONTEXT, -1)
    square = _block_traces(equations.covariance) + feature_mean @ feature_mean.T
    right = torch.stack([_block_traces(right)[:, 0] for right in equations.right])
    return scalar_weights(square.numpy(), (right + equations.right_mean @ feature_mean.T).numpy())


def scalar_weights(square: np.ndarray, right: np.ndarray) -> Family:
    """The family of five scalar weights, from mean inner products alone.

    Args:
        square: [5, 5] float64, of the context chunks with one another, oldest first.
        right: [8, 5] float64, of `WANTED` with the context chunks.
    """
    # lstsq rather than solve: equal chunks make the equations singular, and any minimiser will do.
    weights = np.linalg.lstsq(square, right.T)[0].T
    gram = weights @ square @ weights.T

    def mix(coefficients: np.ndarray) -> Predictor:
        mixed = torch.from_numpy((coefficients @ weights).astype(np.float32))
        return from_callable(lambda contexts: torch.matmul(mixed.to(contexts.device), contexts), "linear5 family")

    return Family("linear5", gram, mix)


def affine(equations: Equations, strength: float, device: torch.device | str = "cpu") -> Family:
    """Any affine map of the 5*D features, shrunk towards the nearest five scalar weights; the intercept is free.

    The penalty is strength |W - S(W)|^2, where S(W) has the blocks w_i I, w_i = trace(W_i) / D. (`references.fit_ridge`
    shrinks towards zero, which copies and scalar mixtures of the context are far from. This penalty costs them nothing,
    so that the family contains the other one.) Setting the gradient to zero, with A = covariance + strength I,

        A W = C + strength S(W), so that W = V + strength A^-1 S(W) with the ridge solution V = A^-1 C,

    and taking the traces of the blocks leaves five equations for the w_i. Memory: four [5D, 5D] float64 matrices beside
    the equations (470 MB at D=768).
    """
    solve = shrunk_solver(equations, strength)
    weights = torch.empty(equations.right.shape, dtype=torch.float32)
    biases = torch.empty_like(equations.right_mean, dtype=torch.float32)
    gram = (equations.right_mean @ equations.right_mean.T).numpy()
    for row, right in enumerate(equations.right):
        solved = solve(right)
        weights[row], biases[row] = solved, equations.bias(row, solved)
        gram[row] += [float(torch.dot(solved.flatten(), other.flatten())) for other in equations.right]
    return Family("affine", (gram + gram.T) / 2, _affine_mixer(weights.to(device), biases.to(device)))


def shrunk_solver(equations: Equations, strength: float) -> Callable[[Tensor], Tensor]:
    """From a right-hand side C [5D, D] to the coefficients W [5D, D] of `affine`, both float64."""
    dimension = equations.right_mean.shape[1]
    inverse = torch.cholesky_inverse(equations.penalised_factor(strength))
    scalars = dimension * np.eye(CONTEXT) - strength * _block_traces(inverse).numpy()

    def solve(right: Tensor) -> Tensor:
        solved = inverse @ right
        # lstsq: scalar weights that the data do not determine (equal chunks) may be anything.
        weights = np.linalg.lstsq(scalars, _block_traces(solved)[:, 0].numpy())[0]
        for slot, weight in enumerate(weights.tolist()):
            solved += strength * weight * inverse[:, slot * dimension : (slot + 1) * dimension]
        return solved

    return solve


def _block_traces(matrix: Tensor) -> Tensor:
    """[5, J] traces of the [D, D] blocks of a matrix [5D, J*D]."""
    dimension = matrix.shape[0] // CONTEXT
    return matrix.view(CONTEXT, dimension, -1, dimension).diagonal(dim1=1, dim2=3).sum(-1)


def _affine_mixer(weights: Tensor, biases: Tensor) -> Callable[[np.ndarray], Predictor]:
    def mix(coefficients: np.ndarray) -> Predictor:
        scale = torch.from_numpy(coefficients.astype(np.float32)).to(weights.device)
        weight, bias = torch.tensordot(scale, weights, 1), scale @ biases
        return from_callable(lambda contexts: torch.addmm(bias, contexts.flatten(1), weight), "affine family")

    return mix


def choose_strength(bank: Bank, equations: Equations, strengths: Sequence[float], batch_size: int) -> float:
    """The strength whose unconstrained affine predictor has the best mean cosine on dev."""
    if len(strengths) == 1:
        return strengths[0]

    def solve(strength: float) -> Tensor:
        return shrunk_solver(equations, strength)(equations.right[0])

    return choose_on_dev(bank, equations, strengths, solve, batch_size, "frontier")[0]


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
        rivals: [R] rows of `WANTED`.
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
