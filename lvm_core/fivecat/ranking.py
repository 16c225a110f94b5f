"""Ranks of the target among the chunks of its article: R@k and MRR."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lvm_core.config.figures import RANKS
from lvm_core.fivecat.windows import Batch
from lvm_core.windows import CONTEXT

TIE = 1e-6
"""Scores (cosines) this close are tied."""


FEWEST_CANDIDATES = 6
"""With five or fewer, R@5 is 1 whatever the prediction."""


def article_scores(predictions: Tensor, batch: Batch) -> Tensor:
    """[B, ..., L] float32 cosines of unit predictions [B, ..., D] with all chunks of their article.

    L is the longest article of the batch; -inf after an article's end. One matrix product an article.
    """
    longest = int(batch.n_chunks.max(initial=0))
    scores = predictions.new_full((*predictions.shape[:-1], longest), -torch.inf)
    starts = np.flatnonzero(np.diff(batch.first, prepend=-1))
    stops = np.append(starts[1:], len(batch))
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        first, count = int(batch.first[start]), int(batch.n_chunks[start])
        scores[start:stop, ..., :count] = predictions[start:stop] @ batch.chunks[first : first + count].T
    return scores


def column(scores: Tensor, position: np.ndarray) -> Tensor:
    """[B] float32: of each row of `scores` [B, L] the entry at `position` [B] int64."""
    return scores.gather(1, torch.from_numpy(position[:, None]).to(scores.device))[:, 0]


def rank_counts(scores: Tensor, target: np.ndarray, context_end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many candidates beat the target, and how many others tie with it: [2, B] int64 each, masked first.

    Args:
        scores: [B, L] float32, -inf where there is no candidate.
        target: [B] int64, position of the true chunk.
        context_end: [B] int64, position after the last context chunk; the 5 chunks before it are taken out of the
            candidates in the masked counts.
    """
    if len(target) == 0:
        return np.zeros((2, 0), dtype=np.int64), np.zeros((2, 0), dtype=np.int64)
    lead = scores - column(scores, target)[:, None]
    context = context_end[:, None] + np.arange(-CONTEXT, 0)
    context_lead = lead.gather(1, torch.from_numpy(context).to(scores.device))
    greater, tied = (lead > TIE).sum(1), (lead.abs() <= TIE).sum(1) - 1
    masked_greater = greater - (context_lead > TIE).sum(1)
    masked_tied = tied - (context_lead.abs() <= TIE).sum(1)
    return torch.stack([masked_greater, greater]).cpu().numpy(), torch.stack([masked_tied, tied]).cpu().numpy()


def recall_at(k: int, greater: np.ndarray, tied: np.ndarray) -> np.ndarray:
    """[...] float64 expected R@k of a target with `greater` candidates ahead and `tied` others level with it."""
    return np.clip((k - greater) / (tied + 1), 0.0, 1.0)


def reciprocal_rank(greater: np.ndarray, tied: np.ndarray) -> np.ndarray:
    """[...] float64 expected 1/rank: the mean of 1/(g+1) .. 1/(g+t+1)."""
    last = int(np.max(greater + tied, initial=0)) + 1
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, last + 1))])
    return (harmonic[greater + tied + 1] - harmonic[greater]) / (tied + 1)


def retrieval_columns(scores: Tensor, batch: Batch, min_candidates: int) -> dict[str, np.ndarray]:
    """The window table's columns of test B, masked and (suffix) `_unmasked`.

    `candidates` counts the target too. The measures are NaN where there are fewer than `min_candidates` of them.
    """
    greater, tied = rank_counts(scores, batch.position, batch.position)
    columns: dict[str, np.ndarray] = {}
    for which, suffix, removed in ((0, "", CONTEXT), (1, "_unmasked", 0)):
        candidates = batch.n_chunks - removed
        enough = candidates >= min_candidates
        columns[f"candidates{suffix}"] = candidates
        for k in RANKS:
            columns[f"recall_at_{k}{suffix}"] = np.where(enough, recall_at(k, greater[which], tied[which]), np.nan)
        columns[f"mrr{suffix}"] = np.where(enough, reciprocal_rank(greater[which], tied[which]), np.nan)
    return columns
