"""Contrastive accuracy: is the prediction closer to the truth than to chunks that have nothing to do with it?

After the Large Concept Model paper (Meta 2024, arXiv 2412.08821, section 2.4.1): the share of other targets that lie
further from the prediction than the truth does, the truth and its two neighbours left out. Theirs come from the same
training batch; ours are one seeded set of the split's targets, the same for every window and predictor. Chance is 0.5.
Among unit vectors the further one is the one with the smaller cosine.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lvm_core.fivecat.draws import article_keys, chunk_keys, uniform
from lvm_core.fivecat.retrieval import TIE
from lvm_core.fivecat.window_sets import Windows

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

    Returns:
        NaN where no target is left to compare with.
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
