"""Tests beside the offsets: leaks, closeness of raw vectors, contrastive accuracy, the full bank."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from lvm_core.bank import Bank
from lvm_core.config.figures import FULL_BANK_RANKS, MARGIN_OFFSETS, UNSEEN_OFFSETS, full_bank_column
from lvm_core.config.groups import EvaluateParams
from lvm_core.fivecat.windows import (
    TIE,
    Batch,
    Windows,
    article_keys,
    canonical_windows,
    chunk_keys,
    gather_chunks,
    has_offset,
    recall_at,
    uniform,
)
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.hardware import product
from lvm_core.windows import CONTEXT

LEAK_BLOCK = 4096
"""Windows at a time."""


def judged_windows(bank: Bank, split: str, params: EvaluateParams) -> Windows:
    """The windows of a split that are judged, in canonical order: all, or those whose answer is no near-duplicate.

    Args:
        bank: the vectors.
        split: one of `bank.SPLITS`.
        params: `near_duplicate` is the cosine from which a window is left out; None: none is.

    Raises:
        LvmError: the split has windows, and all of them are left out (names the parameter).
    """
    windows = canonical_windows(bank, split)
    if params.near_duplicate is None or not len(windows):
        return windows
    kept = closest_in_context(bank.vectors, windows.rows) < params.near_duplicate
    if not kept.any():
        raise LvmError(
            f"params.yaml: evaluate.near_duplicate = {params.near_duplicate} leaves none of the {len(kept)} windows "
            f"of {split}; raise it"
        )
    return replace(windows, rows=windows.rows[kept], article=windows.article[kept], position=windows.position[kept])


def closest_in_context(vectors: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """[W] float32: the largest cosine of each window's target with one of its five context chunks.

    Args:
        vectors: [N, D] unit rows, float32 or float16.
        targets: [W] int64 target rows.
    """
    closest = np.empty(len(targets), dtype=np.float32)
    for start in range(0, len(targets), LEAK_BLOCK):
        rows = targets[start : start + LEAK_BLOCK]
        own = np.asarray(vectors[rows], dtype=np.float32)
        cosines = [np.vecdot(own, np.asarray(vectors[rows - lag], np.float32)) for lag in range(1, CONTEXT + 1)]
        closest[start : start + LEAK_BLOCK] = np.max(cosines, axis=0)
    return closest


FIGURES = {
    "cosine": "cosine, order, coherence",
    "margin": "margin and margin_last",
    "margin_unseen": "margin_unseen",
    "retrieval": "retrieval in the article (R@1, R@5, MRR)",
    "rollout": "rollout",
}
"""What the counts of `defined_windows` stand for."""


def defined_windows(bank: Bank, split: str, params: EvaluateParams) -> dict[str, int]:
    """Number of windows of a split over which each kind of figure is a mean, by the keys of `FIGURES`."""
    windows = judged_windows(bank, split, params)
    position, length = windows.position, windows.n_chunks[windows.article]

    def having(offsets: range) -> int:
        return int(np.logical_and.reduce([has_offset(position, length, k) for k in offsets]).sum())

    return {
        "cosine": len(windows),
        "margin": having(MARGIN_OFFSETS),
        "margin_unseen": having(range(1, UNSEEN_OFFSETS.stop)),
        "retrieval": int((length - CONTEXT >= params.min_candidates).sum()),
        "rollout": having(range(1, params.rollout_steps + 1)),
    }


def needs(figure: str, params: EvaluateParams) -> str:
    """What an article must have for a figure to be defined on some of its windows."""
    chunks = {
        "cosine": CONTEXT + 1,
        "margin": CONTEXT + MARGIN_OFFSETS.stop - 1,
        "margin_unseen": CONTEXT + UNSEEN_OFFSETS.stop - 1,
        "retrieval": CONTEXT + params.min_candidates,
        "rollout": CONTEXT + params.rollout_steps,
    }[figure]
    return f"no article has the {chunks} chunks that it takes"


def mean_chunk(bank: Bank, split: str, block: int = 65_536) -> np.ndarray:
    """[D] float32 mean of all chunks of the articles of a split; zeros where it has none."""
    ordered = bank.articles_of(split).sort_values("article_id", kind="stable")  # bank order must not change a bit
    total = np.zeros(bank.vectors.shape[1])
    for first, length in zip(ordered["first_row"].tolist(), ordered["n_chunks"].tolist(), strict=True):
        for start in range(first, first + length, block):
            rows = np.arange(start, min(start + block, first + length))
            total += gather_chunks(bank, rows).sum(0, dtype=torch.float64).numpy()
    return (total / max(int(ordered["n_chunks"].sum()), 1)).astype(np.float32)


def closeness_columns(
    predictions: Tensor, contexts: Tensor, scores: Tensor, batch: Batch, centre: Tensor
) -> dict[str, np.ndarray]:
    """The window table's columns `best_context`, `best_context_of_truth` and `centred_cosine`, [B] float32.

    Args:
        predictions: [B, D] float32 unit predictions.
        contexts: [B, 5, D] float32.
        scores: [B, L] float32 cosines of the predictions with all chunks of the article.
        centre: [D] float32 mean of the split (`mean_chunk`).
    """
    target = batch.at_offset(1)
    at = torch.from_numpy(batch.position[:, None] + np.arange(-CONTEXT, 0)).to(scores.device)
    off, true = predictions - centre, target - centre
    norms = torch.linalg.vector_norm(off, dim=1) * torch.linalg.vector_norm(true, dim=1)
    columns = {
        "best_context": scores.gather(1, at).amax(1),
        "best_context_of_truth": torch.bmm(target[:, None], contexts.transpose(1, 2))[:, 0].amax(1),
        "centred_cosine": (off * true).sum(1) / norms.clamp_min(1e-12),
    }
    return {name: values.cpu().numpy() for name, values in columns.items()}


NEIGHBOURS = (-1, 0, 1)
"""Chunks left out, relative to the truth. (A target's neighbour in the bank that is a target too is of its article.)"""


def draw_targets(windows: Windows, count: int, seed: int) -> np.ndarray:
    """[min(count, W)] int64 bank rows, ascending: a uniform sample of the targets, keyed by article id and position."""
    keys = article_keys(windows.article_id, seed, "contrast")[windows.article]
    draw = uniform(chunk_keys(keys, windows.position), 1)[:, 0]
    return np.sort(windows.rows[np.argsort(draw, kind="stable")[:count]])


def contrastive_column(
    predictions: Tensor, own: np.ndarray, rows: np.ndarray, others: np.ndarray, vectors: Tensor
) -> np.ndarray:
    """[B] float64 share of the drawn targets that lie further from the prediction than the truth; ties count half.

    Args:
        predictions: [B, D] float32 unit predictions.
        own: [B] float32 cosine with the truth.
        rows: [B] int64 bank rows of the truth.
        others: [n] int64 bank rows of the drawn targets, ascending (`draw_targets`).
        vectors: [n, D] float32 unit vectors of these.
    """
    if not len(others):
        return np.full(len(rows), np.nan)
    lead = predictions @ vectors.T - torch.from_numpy(own).to(predictions.device)[:, None]
    won = _count(lead < -TIE) + 0.5 * _count(lead.abs() <= TIE)
    number = np.full(len(rows), len(others))
    for step in NEIGHBOURS:
        at = np.minimum(np.searchsorted(others, rows + step), len(others) - 1)
        drawn = others[at] == rows + step
        entry = lead.gather(1, torch.from_numpy(at[:, None]).to(lead.device))[:, 0].cpu().numpy()
        won -= np.where(drawn, (entry < -TIE) + 0.5 * (np.abs(entry) <= TIE), 0.0)
        number -= drawn
    return np.divide(won, number, out=np.full(len(rows), np.nan), where=number > 0)


def _count(true: Tensor) -> np.ndarray:
    return true.sum(1).cpu().numpy().astype(np.float64)


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
