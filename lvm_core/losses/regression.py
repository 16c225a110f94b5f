"""Losses that pull the prediction to the target and know nothing else."""

from __future__ import annotations

import torch

from lvm_core.losses.batch import Batch, needed


def mse(batch: Batch) -> torch.Tensor:
    """Half the squared distance of the raw output to the target, summed over dimensions, averaged over the batch.

    Equals 1 - cos where the output has unit length, so that one unit of it is one unit of cosine at any D. The earlier
    work averaged over dimensions, which is this divided by D/2 (prior results, section 3.0).
    """
    return 0.5 * batch.mean((batch.raw - batch.targets).square().sum(dim=1))


def mse_normalised(batch: Batch) -> torch.Tensor:
    """Half the squared distance in the space of the model's normaliser, averaged over dimensions and the batch.

    There every dimension weighs the same; a dimension of unit variance that is predicted by its mean costs 1/2. (Large
    Concept Model, arXiv 2412.08821, section 2.4.1, which sums over dimensions; anchors, section 1.1.)
    """
    return 0.5 * batch.mean(((batch.raw - batch.targets) / needed(batch.scale, "scale")).square())


def cosine(batch: Batch) -> torch.Tensor:
    """1 - cos(prediction, target), averaged over the batch; blind to the length of the output."""
    return 1.0 - batch.mean((batch.unit * batch.targets).sum(dim=1))
