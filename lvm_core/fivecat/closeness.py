"""How close a prediction stays to its context, and what it says beyond the mean of the text it is judged on.

`best_context` and `best_context_of_truth` make PAR, the paraphrasing ratio of the Large Concept Model paper (Meta 2024,
arXiv 2412.08821, section 2.4.1): the best cosine of the prediction with a context chunk, over that of the truth; ours
is the ratio of the two means, which a single window with a truth unlike its context cannot blow up. Text has 1; a copy
of a context chunk has more. `centred_cosine` is the cosine after the mean of the split's chunks has been taken off both
sides: embeddings share a common direction, which alone gives every prediction near it a cosine of about |mean|. (The
mean of another source would not do: on text of one source, less the mean of another, even random directions agree.)
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lvm_core.bank import Bank
from lvm_core.fivecat.batches import Batch, gather_chunks
from lvm_core.windows import CONTEXT


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
        batch: the windows.
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
