"""Losses: pure functions of a batch, in cosine units, looked up by name from a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Batch:
    """One training batch after the forward pass.

    Attributes:
        raw: [B, D] float32, the model's raw output.
        contexts: [B, 5, D] float32, unit rows.
        targets: [B, D] float32, unit rows.
    """

    raw: torch.Tensor
    contexts: torch.Tensor
    targets: torch.Tensor


def mse(batch: Batch) -> torch.Tensor:
    """Half the squared distance of the raw output to the target, summed over dimensions, averaged over the batch.

    Equals 1 - cos where the output has unit length, so that one unit of it is one unit of cosine at any D. The earlier
    work averaged over dimensions, which is this divided by D/2 (prior results, section 3.0).
    """
    return 0.5 * (batch.raw - batch.targets).square().sum(dim=1).mean()


LOSSES: dict[str, Callable[[Batch], torch.Tensor]] = {"mse": mse}
"""Every loss a recipe can name."""


def total_loss(batch: Batch, weights: Mapping[str, float]) -> torch.Tensor:
    """Weighted sum of the named losses, a scalar."""
    return torch.stack([weight * LOSSES[name](batch) for name, weight in weights.items()]).sum()
