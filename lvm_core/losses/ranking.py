"""Losses that ask for the right order: the target before other chunks."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from lvm_core.losses.batch import Batch, needed


def micro_ranking(batch: Batch, *, gamma: float, margin: float) -> torch.Tensor:
    """Mean of softplus(gamma * (cos(y, last context chunk) - cos(y, target) + margin)), y the prediction.

    Not divided by gamma, so that its slope reaches gamma per unit of cosine (prior results, section 3.3).

    Args:
        batch: to judge.
        gamma: steepness.
        margin: by which the target has to be nearer, in cosine.
    """
    y = batch.unit
    ahead = (y * batch.true_contexts[:, -1]).sum(dim=1) - (y * batch.targets).sum(dim=1)
    return batch.mean(F.softplus(gamma * (ahead + margin)))


def article_softmax(batch: Batch, *, temperature: float) -> torch.Tensor:
    """Mean cross-entropy of the target among all chunks of its article other than the 5 context chunks.

    The logits are cosines with the prediction over the temperature: what masked R@5 ranks by (InfoNCE, van den Oord et
    al. 2018, with all negatives from the article; sentence order as a choice among sentences: Logeswaran and Lee 2018).

    Args:
        batch: with candidates.
        temperature: in units of cosine.
    """
    candidates = needed(batch.candidates, "candidates")
    logits = (batch.unit / temperature) @ candidates.chunks.T  # [B, P]
    allowed = logits.masked_fill(~candidates.allowed, -math.inf)
    return batch.mean(F.cross_entropy(allowed, candidates.target, reduction="none"))
