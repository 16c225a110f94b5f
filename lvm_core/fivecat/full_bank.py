"""Retrieval among all chunks of the bank: can the prediction alone find the next chunk of a document?

Exact, in blocks of the bank: nothing larger than a block of scores is held. The five context chunks are no candidates;
ties are shared out as in the article (`retrieval`).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lvm_core.bank import Bank
from lvm_core.fivecat.batches import gather_chunks
from lvm_core.fivecat.names import FULL_BANK_RANKS, full_bank_column
from lvm_core.fivecat.retrieval import TIE, recall_at
from lvm_core.products import product
from lvm_core.windows import CONTEXT

BLOCK = 2048
"""Bank rows scored at a time."""


def full_bank_columns(
    bank: Bank, predictions: Tensor, own: np.ndarray, rows: np.ndarray, min_candidates: int
) -> dict[str, np.ndarray]:
    """The window table's columns of R@1, R@5 and R@10 among all chunks of the bank but the context, [B] float64.

    Args:
        bank: all splits of it are candidates.
        predictions: [B, D] float32 unit predictions.
        own: [B] float32 cosine with the target.
        rows: [B] int64 bank rows of the targets.
        min_candidates: NaN where the bank has fewer candidates.
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
