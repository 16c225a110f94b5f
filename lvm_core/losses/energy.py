"""The energy score: a loss for models that answer with a distribution, of which one can draw."""

from __future__ import annotations

import torch

from lvm_core.losses.batch import Batch, needed


def energy(batch: Batch, *, samples: int | None = None) -> torch.Tensor:
    """Mean distance of the samples to the target, less half the mean distance of the samples to each other.

    Strictly proper: its expectation is least for samples from the true distribution of the target (Gneiting and Raftery
    2007, section 4.3; as a training loss: CALM, arXiv 2510.27688; anchors, section 1.3).

    Args:
        batch: with samples.
        samples: how many a window the trainer draws; None: as many as there are.
    """
    drawn = needed(batch.samples, "samples")[:, :samples]  # [B, S, D]
    count = drawn.shape[1]
    to_target = batch.mean(torch.linalg.vector_norm(drawn - batch.targets[:, None], dim=2))
    left, right = torch.triu_indices(count, count, offset=1, device=drawn.device)
    apart = batch.mean(torch.linalg.vector_norm(drawn[:, left] - drawn[:, right], dim=2))
    return to_target - 0.5 * apart
