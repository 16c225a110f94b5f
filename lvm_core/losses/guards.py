"""Hinges that push the prediction away from its context, in units of cosine (prior results, section 3.0).

The earlier work added them to an MSE averaged over 768 dimensions, of which one unit of cosine is worth only 2/768. Our
`mse` is worth 1, so a published weight has to be multiplied by 384 to push as hard as it did.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from lvm_core.losses.batch import Batch

SECOND_LAST = -2
"""The slot that the earlier work called the previous one."""
ADAPTIVE_CENTRE, ADAPTIVE_WIDTH = 0.60, 0.05
"""Of the sigmoid in the adaptive weight (prior results, section 3.1)."""


def guard_previous(batch: Batch, *, margin: float, adaptive: bool = False) -> torch.Tensor:
    """L_dir: mean of relu(margin - (cos(y, target) - cos(y, second-last context chunk))), y the prediction.

    Args:
        batch: to judge.
        margin: by which the target has to be nearer, in cosine.
        adaptive: times 1 + the batch mean of sigmoid((cos(last context chunk, target) - 0.60) / 0.05).
    """
    y = batch.unit
    gap = (y * batch.targets).sum(dim=1) - (y * batch.true_contexts[:, SECOND_LAST]).sum(dim=1)
    return _adapted(batch.mean(F.relu(margin - gap)), batch, adaptive)


def guard_context(batch: Batch, *, margin: float, adaptive: bool = False) -> torch.Tensor:
    """L_ac: mean over the five context chunks c of relu(margin - (cos(y, target) - cos(y, c))), y the prediction.

    Args:
        batch: to judge.
        margin: by which the target has to be nearer, in cosine.
        adaptive: as in `guard_previous`.
    """
    y = batch.unit
    to_context = torch.matmul(batch.true_contexts, y[:, :, None]).squeeze(2)  # [B, 5]
    gap = (y * batch.targets).sum(dim=1)[:, None] - to_context
    return _adapted(batch.mean(F.relu(margin - gap)), batch, adaptive)


def _adapted(loss: torch.Tensor, batch: Batch, adaptive: bool) -> torch.Tensor:
    if not adaptive:
        return loss
    similarity = (batch.true_contexts[:, -1] * batch.targets).sum(dim=1)
    return loss * (1.0 + batch.mean(torch.sigmoid((similarity - ADAPTIVE_CENTRE) / ADAPTIVE_WIDTH)))
