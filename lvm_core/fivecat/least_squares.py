"""Least squares over the windows of a bank, of the references and of the frontier (where the theory is)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lvm_core.bank import Bank
from lvm_core.fivecat.windows import Batch, canonical_windows, iterate_batches
from lvm_core.runtime.cli import Progress
from lvm_core.runtime.errors import LvmError
from lvm_core.windows import CONTEXT


def require_windows(bank: Bank, split: str, needed_by: str) -> None:
    """Refuse a bank without windows in a split, which `needed_by` (`the frontier needs`)."""
    if not len(bank.targets(split)):
        raise LvmError(
            f"data/bank: the {split} split has no window, which {needed_by}; give it more or longer articles "
            "(data.train, split.*)"
        )


def pairs(bank: Bank, split: str, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Contexts [B, 5, D] and targets [B, D] float32 of all windows of a split, in canonical order."""
    for batch in iterate_batches(bank, canonical_windows(bank, split), batch_size, "cpu"):
        yield batch.contexts(), batch.at_offset(1)


class Sums:
    """Sums over windows of f x_k^T and of x_k for the offsets k of `slots`, which begin with the context's.

    f is the context as one vector of 5*D numbers, oldest chunk first. Blocks are multiplied in float32 and added up in
    float64: `products` is [slots, 5D, D], `chunks` [slots, D].
    """

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

    def means(self) -> tuple[Tensor, Tensor]:
        """`products` and `chunks` over `count`; in place, because these are the largest arrays."""
        return self.products.div_(self.count), self.chunks.div_(self.count)


@dataclass(frozen=True)
class Equations:
    """Normal equations for R right-hand sides z: means over the train windows."""

    covariance: Tensor
    """[5D, 5D] float64, of f over all windows."""
    right: Tensor
    """[R, 5D, D] float64, of f z^T, minus `feature_mean` `right_mean`^T."""
    feature_mean: Tensor
    """[5D] float64, of f over all windows."""
    right_mean: Tensor
    """[R, D] float64, of z over the windows of its right-hand side."""

    @classmethod
    def of(cls, products: Tensor, chunks: Tensor, right: Tensor, right_mean: Tensor) -> Equations:
        """From means over all windows (`Sums.means`), and `right` not yet centred, which is overwritten."""
        feature_mean = chunks[:CONTEXT].flatten()
        for row, mean in zip(right, right_mean, strict=True):
            row.addr_(feature_mean, mean, alpha=-1.0)
        square = products[:CONTEXT].transpose(0, 1).reshape(len(feature_mean), len(feature_mean))
        return cls(square.addr_(feature_mean, feature_mean, alpha=-1.0), right, feature_mean, right_mean)

    def penalised_factor(self, strength: float) -> Tensor:
        """[5D, 5D] Cholesky factor of covariance + strength * identity."""
        penalised = self.covariance.clone()
        penalised.diagonal().add_(strength)
        try:
            torch.linalg.cholesky(penalised, out=penalised)
        except torch.linalg.LinAlgError as error:
            raise LvmError(
                f"params.yaml: evaluate.ridge_strengths: {strength:g} is too small for these data; leave it out"
            ) from error
        return penalised

    def bias(self, row: int, coefficients: Tensor) -> Tensor:
        """[D] float64, that of the coefficients [5D, D] for a right-hand side."""
        return self.right_mean[row] - self.feature_mean @ coefficients


def choose_on_dev(
    bank: Bank,
    equations: Equations,
    strengths: Sequence[float],
    solve: Callable[[float], Tensor],
    batch_size: int,
    label: str,
) -> tuple[float, dict[str, float], Tensor, Tensor]:
    """The strength whose solution has the best mean cosine on dev, the first of equals; dev is not looked at for one.

    `solve` goes from a strength to the coefficients [5D, D] float64 for the first right-hand side.

    Returns:
        The strength, the cosines by strength, and coefficients [5D, D] and bias [D], float32.
    """
    several = len(strengths) > 1
    if several:
        require_windows(bank, "dev", "the choice among several evaluate.ridge_strengths needs")
    cosines: dict[str, float] = {}
    found: list[tuple[float, float, Tensor, Tensor]] = []
    progress = Progress(f"{label}, strength of the penalty", len(strengths), "strengths")
    for strength in strengths:
        coefficients = solve(strength)
        weight, bias = coefficients.float(), equations.bias(0, coefficients).float()
        cosine = _dev_cosine(bank, weight, bias, batch_size) if several else 0.0
        cosines[f"{strength:g}"] = cosine
        if not found or cosine > found[0][0]:
            found = [(cosine, strength, weight, bias)]
        progress.update(1)
    progress.close()
    _, chosen, weight, bias = found[0]
    return chosen, cosines, weight, bias


def _dev_cosine(bank: Bank, weight: Tensor, bias: Tensor, batch_size: int) -> float:
    total, count = 0.0, 0
    for contexts, targets in pairs(bank, "dev", batch_size):
        predictions = torch.addmm(bias, contexts.flatten(1), weight)
        total += float(torch.nn.functional.cosine_similarity(predictions, targets).double().sum())
        count += len(targets)
    return total / count
