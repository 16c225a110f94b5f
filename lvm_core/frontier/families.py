"""Families of linear predictors, and the strength of their penalty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lvm_core.bank import Bank
from lvm_core.fivecat.tests import Predictor, from_callable
from lvm_core.fivecat.windows import canonical_windows, iterate_batches
from lvm_core.frontier.equations import WANTED, Equations
from lvm_core.runtime.cli import Progress
from lvm_core.runtime.errors import LvmError
from lvm_core.windows import CONTEXT


@dataclass(frozen=True)
class Family:
    """The predictors that a frontier is traced in."""

    name: str
    """`linear5` or `affine`."""
    gram: np.ndarray
    """[8, 8] float64 inner products of the least-squares predictions of `equations.WANTED`."""
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
        right: [8, 5] float64, of `equations.WANTED` with the context chunks.
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
        weights[row], biases[row] = solved, equations.right_mean[row] - equations.feature_mean @ solved
        gram[row] += [float(torch.dot(solved.flatten(), other.flatten())) for other in equations.right]
    return Family("affine", (gram + gram.T) / 2, _affine_mixer(weights.to(device), biases.to(device)))


def shrunk_solver(equations: Equations, strength: float) -> Callable[[Tensor], Tensor]:
    """From a right-hand side C [5D, D] to the coefficients W [5D, D] of `affine`, both float64."""
    dimension = equations.right_mean.shape[1]
    penalised = equations.covariance.clone()
    penalised.diagonal().add_(strength)
    try:
        torch.linalg.cholesky(penalised, out=penalised)
    except torch.linalg.LinAlgError as error:
        raise LvmError(
            f"params.yaml: evaluate.ridge_strengths: {strength:g} is too small for these data; leave it out"
        ) from error
    inverse = torch.cholesky_inverse(penalised)
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
    if not len(bank.targets("dev")):
        raise LvmError(
            "data/bank: the dev split has no window, which the choice among several evaluate.ridge_strengths needs; "
            "give it more or longer articles (data.train, split.*)"
        )
    cosines = []
    progress = Progress("frontier, strength of the penalty", len(strengths), "strengths")
    for strength in strengths:
        solved = shrunk_solver(equations, strength)(equations.right[0])
        bias = equations.right_mean[0] - equations.feature_mean @ solved
        cosines.append(_dev_cosine(bank, solved.float(), bias.float(), batch_size))
        progress.update(1)
    progress.close()
    return strengths[int(np.argmax(cosines))]


def _dev_cosine(bank: Bank, weight: torch.Tensor, bias: torch.Tensor, batch_size: int) -> float:
    windows = canonical_windows(bank, "dev")
    total = 0.0
    for batch in iterate_batches(bank, windows, batch_size, "cpu"):
        predictions = torch.addmm(bias, batch.contexts().flatten(1), weight)
        cosines = torch.nn.functional.cosine_similarity(predictions, batch.at_offset(1))
        total += float(cosines.sum(dtype=torch.float64))
    return total / len(windows)
