"""Ranks of the target among the chunks of its article, or of the bank: R@k and MRR."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from lvm_core.bank import Bank
from lvm_core.bank.chunks import gather_chunks
from lvm_core.config.figures import FULL_BANK_RANKS, RANKS, full_bank_column
from lvm_core.fivecat.windows import Batch
from lvm_core.runtime.hardware import product
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
    for windows, chunks in _articles(batch):
        scores[windows, ..., : chunks.stop - chunks.start] = predictions[windows] @ batch.chunks[chunks].T
    return scores


def _articles(batch: Batch) -> Iterator[tuple[slice, slice]]:
    """Of each article of a batch its windows, and its rows in `chunks`."""
    starts = np.flatnonzero(np.diff(batch.first, prepend=-1))
    stops = np.append(starts[1:], len(batch))
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        first = int(batch.first[start])
        yield slice(start, stop), slice(first, first + int(batch.n_chunks[start]))


@dataclass(frozen=True)
class Centred:
    """A batch for the reading `_centred`."""

    batch: Batch
    """With every chunk less the mean of its article, and again of unit length."""
    means: Tensor
    """[B, D] float32, these means by window."""

    @classmethod
    def of(cls, batch: Batch) -> Centred:
        """Made once for all predictions of a batch."""
        chunks, means = torch.zeros_like(batch.chunks), batch.chunks.new_empty(len(batch), batch.chunks.shape[1])
        for windows, rows in _articles(batch):
            article = batch.chunks[rows]
            # Summed in float64, the mean of equal chunks is that chunk: nothing is left of them, and all are tied.
            mean = article.mean(0, dtype=torch.float64).float()
            chunks[rows], means[windows] = normalize(article - mean, dim=1), mean
        return cls(replace(batch, chunks=chunks), means)

    def where(self, chosen: np.ndarray) -> Centred:
        """The windows with `chosen` [B] bool."""
        return Centred(self.batch.where(chosen), self.means[torch.from_numpy(chosen).to(self.means.device)])

    def scores(self, predictions: Tensor) -> Tensor:
        """[B, ..., L] as `article_scores`, of unit predictions [B, ..., D]; a prediction of zero stays zero."""
        means = self.means.view(len(self.means), *(1,) * (predictions.dim() - 2), -1)
        norms = torch.linalg.vector_norm(predictions, dim=-1, keepdim=True)
        return article_scores(normalize(predictions - means, dim=-1) * norms, self.batch)


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


def forward_counts(scores: Tensor, target: np.ndarray, context_end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same among the chunks after the context: [B] int64 that beat the target, [B] others that tie with it."""
    if len(target) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    lead = scores - column(scores, target)[:, None]
    places = torch.arange(scores.shape[1], device=scores.device)
    lead.masked_fill_(places < torch.from_numpy(context_end[:, None]).to(scores.device), -torch.inf)
    return (lead > TIE).sum(1).cpu().numpy(), (lead.abs() <= TIE).sum(1).cpu().numpy() - 1


def recall_at(k: int, greater: np.ndarray, tied: np.ndarray) -> np.ndarray:
    """[...] float64 expected R@k of a target with `greater` candidates ahead and `tied` others level with it."""
    return np.clip((k - greater) / (tied + 1), 0.0, 1.0)


def reciprocal_rank(greater: np.ndarray, tied: np.ndarray) -> np.ndarray:
    """[...] float64 expected 1/rank: the mean of 1/(g+1) .. 1/(g+t+1)."""
    last = int(np.max(greater + tied, initial=0)) + 1
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, last + 1))])
    return (harmonic[greater + tied + 1] - harmonic[greater]) / (tied + 1)


def counts_by_reading(
    scores: Tensor, centred: Tensor | None, target: np.ndarray, context_end: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Numbers of candidates ahead of the target and of others level with it, [B] int64, by ending (READINGS and
    `_unmasked`); see `rank_counts`. `centred` [B, L]: the scores of that reading, None for none of it.
    """
    greater, tied = rank_counts(scores, target, context_end)
    counts = {
        "": (greater[0], tied[0]),
        "_unmasked": (greater[1], tied[1]),
        "_forward": forward_counts(scores, target, context_end),
    }
    if centred is not None:
        ahead, level = rank_counts(centred, target, context_end)
        counts["_centred"] = ahead[0], level[0]
    return counts


def candidates_by_reading(batch: Batch) -> dict[str, np.ndarray]:
    """[B] int64 numbers of candidates, the target among them, by ending."""
    masked = batch.n_chunks - CONTEXT
    return {"": masked, "_forward": batch.n_chunks - batch.position, "_centred": masked, "_unmasked": batch.n_chunks}


def retrieval_columns(
    scores: Tensor, batch: Batch, min_candidates: int, centred: Tensor | None = None
) -> dict[str, np.ndarray]:
    """The window table's columns of test B, in each of READINGS (`_centred` if its scores are given) and `_unmasked`.

    `candidates` counts the target too. The measures are NaN where there are fewer than `min_candidates` of them.
    """
    candidates = candidates_by_reading(batch)
    columns = {f"candidates{end}": number for end, number in candidates.items() if end != "_centred"}
    for end, (greater, tied) in counts_by_reading(scores, centred, batch.position, batch.position).items():
        enough = candidates[end] >= min_candidates
        for k in RANKS:
            columns[f"recall_at_{k}{end}"] = np.where(enough, recall_at(k, greater, tied), np.nan)
        columns[f"mrr{end}"] = np.where(enough, reciprocal_rank(greater, tied), np.nan)
    return columns


BLOCK = 2048
"""Bank rows scored at a time."""


def full_bank_columns(
    bank: Bank, predictions: Tensor, own: np.ndarray, rows: np.ndarray, min_candidates: int
) -> dict[str, np.ndarray]:
    """The window table's columns of R@1, R@5 and R@10 among all chunks of the bank but the context, [B] float64.

    `own` [B] is the cosine with the target, whose bank row is in `rows` [B]; NaN where the bank has too few candidates.
    """
    total = len(bank.vectors)
    if total - CONTEXT < min_candidates:
        return {full_bank_column(k): np.full(len(rows), np.nan) for k in FULL_BANK_RANKS}
    mine = torch.from_numpy(own).to(predictions.device)[:, None]
    greater, tied = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.int64)
    scores, flags = (predictions.new_empty(len(rows), BLOCK) for _ in range(2))
    for start in range(0, total, BLOCK):
        block = np.arange(start, min(start + BLOCK, total))
        if len(block) < BLOCK:
            scores, flags = (part.new_empty(len(rows), len(block)) for part in (scores, flags))
        product(predictions, gather_chunks(bank, block, predictions.device), out=scores)
        _leave_out(scores, rows, start)
        # Ones are summed as floats, exact below 2^24 of them: torch takes forty times as long to count booleans.
        ahead = torch.gt(scores, mine + TIE, out=flags).sum(1).cpu().numpy().astype(np.int64)
        as_good = torch.ge(scores, mine - TIE, out=flags).sum(1).cpu().numpy().astype(np.int64)
        greater += ahead
        tied += as_good - ahead
    return {full_bank_column(k): recall_at(k, greater, tied) for k in FULL_BANK_RANKS}


def _leave_out(scores: Tensor, rows: np.ndarray, start: int) -> None:
    """Take each window's context and its target (which is what the others are compared with) out of a block."""
    for back in range(CONTEXT + 1):
        at = rows - back - start
        inside = np.flatnonzero((at >= 0) & (at < scores.shape[1]))
        if len(inside):
            place = (torch.from_numpy(inside), torch.from_numpy(at[inside]))
            scores[place] = -torch.inf
