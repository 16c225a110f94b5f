"""References of a few numbers, all chosen on `dev` by R@5: a decaying sum of the context, less a mean, turned.

A predictor of one or a few numbers that was chosen by R@5 is what a claim to rank well has to beat. The mean taken off
is that of `train` (`decay_centred`), what has been read of the article (`decay_memory`), or the whole article's
(`decay_document`, which someone must know beforehand: every chunk of the article is in it, the target like every other
candidate). The matrix is a power of the inverse covariance of the training chunks, which makes rare directions count
for more (Mu and Viswanath, "All-but-the-top", 2018; as whitening for retrieval: Su et al., arXiv 2103.15316). It turns
the prediction alone: the candidates stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lvm_core.bank import Bank
from lvm_core.bank.chunks import Memory, gather_chunks, mean_chunk
from lvm_core.config.references import REFERENCES
from lvm_core.fivecat.ranking import FEWEST_CANDIDATES, article_scores, rank_counts, recall_at
from lvm_core.fivecat.windows import Batch, canonical_windows, iterate_batches
from lvm_core.models.formula import Formula
from lvm_core.runtime.cli import Progress
from lvm_core.runtime.errors import LvmError
from lvm_core.windows import CONTEXT

DECAYS = tuple(step / 10 for step in range(10))
"""Weights of a chunk over that of the next newer one; 0 is the last chunk alone."""

SHARES = tuple(step / 10 for step in range(11))
"""How much of the mean is taken off."""

EXPONENTS = tuple(step / 10 for step in range(6))
"""p of Cov^-p; 1/2 makes all directions alike."""

GRIDS: dict[str, tuple[Sequence[float], Sequence[float]]] = {
    "decay": ((0.0,), (0.0,)),
    "decay_centred": (SHARES, (0.0,)),
    "decay_whitened": (SHARES, EXPONENTS),
    "decay_memory": (SHARES, EXPONENTS),
    "decay_document": (SHARES, EXPONENTS),
}
"""Shares and exponents to choose from, by reference; each with all decays."""

WINDOWS = 64
"""At a time: each has some hundred predictions."""


@dataclass(frozen=True)
class Fitted:
    """A formula and how it was found."""

    formula: Formula
    centre: Tensor
    """[D] the mean of `train`."""
    fit: dict[str, Any]
    """Its numbers, R@5 on `dev` and the number of settings tried; json values."""


def fit_formula(bank: Bank, name: str) -> Fitted:
    """The formula with the best masked R@5 on `dev`; of equals the one with the smallest numbers.

    Raises:
        LvmError: it needs the mean of the train split, which has no chunk.
    """
    shares, exponents = GRIDS[name]
    if len(shares) > 1 and not len(bank.articles_of("train")):
        raise LvmError(f"data/bank: the train split has no chunk; {name} cannot be computed")
    memory = None if REFERENCES[name] == "context" else Memory.of_bank(bank)
    centre = torch.from_numpy(mean_chunk(bank, "train")) if memory is None else memory.centre
    powers = inverse_powers(bank, centre, exponents)

    def mean_seen(batch: Batch) -> Tensor:
        """[B, D] the mean that is taken off."""
        rows = torch.from_numpy(batch.rows)
        if memory is None:
            return centre.expand(len(batch), -1)
        return memory.before(rows) if REFERENCES[name] == "memory" else memory.whole(rows)

    recalls = _dev_recalls(bank, name, mean_seen, powers, shares)
    best = int(np.argmax(recalls))
    power, share, decay = (int(at) for at in np.unravel_index(best, recalls.shape))
    turned = powers[power] if len(exponents) > 1 else None
    formula = formula_of(decaying(DECAYS[decay]), shares[share], turned, bank.vectors.shape[1])
    fit: dict[str, Any] = {"decay": DECAYS[decay]}
    fit |= {"less": shares[share]} if len(shares) > 1 else {}
    fit |= {"exponent": exponents[power]} if len(exponents) > 1 else {}
    found = float(recalls.flat[best])
    return Fitted(
        formula, centre, {**fit, "dev_recall_at_5": None if np.isinf(found) else found, "tried": recalls.size}
    )


def formula_of(weights: Tensor, less: float, matrix: Tensor | None, dimension: int) -> Formula:
    """The formula with these numbers: weights [5], and perhaps a matrix [D, D]."""
    formula = Formula(dimension, turned=matrix is not None).requires_grad_(False)
    formula.weights.copy_(weights)
    formula.less.fill_(less)
    if formula.matrix is not None and matrix is not None:
        formula.matrix.copy_(matrix)
    return formula


def decaying(decay: float) -> Tensor:
    """[5] float32 weights d^4 .. d, 1 over their sum."""
    weights = torch.tensor([decay ** (CONTEXT - 1 - slot) for slot in range(CONTEXT)])
    return weights / weights.sum()


def inverse_powers(bank: Bank, centre: Tensor, exponents: Sequence[float]) -> list[Tensor]:
    """[D, D] float32 powers Cov^-p of the training chunks' covariance, scaled to a largest eigenvalue of 1.

    Directions narrower than a hundredth of the mean width are taken to be so wide: few chunks do not determine them.
    """
    dimension = bank.vectors.shape[1]
    if tuple(exponents) == (0.0,):
        return [torch.eye(dimension)]
    square, number = torch.zeros(dimension, dimension, dtype=torch.float64), 0
    ordered = bank.articles_of("train").sort_values("article_id", kind="stable")  # bank order must not change a bit
    for first, length in zip(ordered["first_row"].tolist(), ordered["n_chunks"].tolist(), strict=True):
        off = (gather_chunks(bank, np.arange(first, first + length)) - centre).double()
        square, number = square + off.T @ off, number + length
    values, vectors = torch.linalg.eigh(square / number)
    values = values.clamp_min(max(float(values.mean()) / 100, 1e-12))
    return [
        (vectors @ torch.diag((values / values.min()).pow(-exponent)) @ vectors.T).float() for exponent in exponents
    ]


def _dev_recalls(
    bank: Bank, name: str, mean_seen: Callable[[Batch], Tensor], powers: Sequence[Tensor], shares: Sequence[float]
) -> np.ndarray:
    """[powers, shares, decays] float64 masked R@5 on `dev`, minus infinity where undefined.

    The powers are symmetric, so the candidates are turned in place of the many predictions.
    """
    windows = canonical_windows(bank, "dev")
    totals, count = np.zeros((len(powers), len(shares), len(DECAYS))), 0
    weights, taken = torch.stack([decaying(decay) for decay in DECAYS]), torch.tensor(shares)
    progress = Progress(f"{name} on dev", len(windows), "windows")
    for batch in iterate_batches(bank, windows, WINDOWS, "cpu"):
        chosen = batch.n_chunks - CONTEXT >= FEWEST_CANDIDATES
        progress.update(len(batch))
        if not chosen.any():
            continue
        part = batch.where(chosen)
        off = taken[None, :, None] * mean_seen(part)[:, None]  # [B, S, D]
        sums = torch.matmul(weights, part.contexts())[:, None] - off[:, :, None]  # [B, S, decays, D]
        queries = torch.nn.functional.normalize(sums.flatten(1, 2), dim=2)
        place = np.repeat(part.position, queries.shape[1])
        for at, power in enumerate(powers):
            turned = replace(part, chunks=part.chunks @ power if len(powers) > 1 else part.chunks)
            greater, tied = rank_counts(article_scores(queries, turned).flatten(0, 1), place, place)
            recall = recall_at(5, greater[0], tied[0]).reshape(len(part), len(shares), len(DECAYS))
            totals[at] += recall.sum(axis=0)
        count += len(part)
    progress.close()
    return totals / count if count else np.full(totals.shape, -np.inf)
