"""Test D: predictions fed back as context; step h is judged against the true chunk at k=+h.

The mean cosine over the steps rewards blur (a mean of the article beats a good predictor), so R@5 of each step stands
beside it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lvm_core.fivecat.batches import Batch
from lvm_core.fivecat.names import ROLLOUT_RANK, published_step_column, step_columns
from lvm_core.fivecat.predictor import Predictor, unit_predictions
from lvm_core.fivecat.retrieval import article_scores, column, rank_counts, recall_at
from lvm_core.fivecat.window_sets import has_offset
from lvm_core.windows import CONTEXT


def rollout_columns(
    predictor: Predictor, batch: Batch, predictions: Tensor, scores: Tensor, steps: int, min_candidates: int
) -> dict[str, np.ndarray]:
    """The window table's columns of test D, NaN for windows whose article ends before k=+`steps`.

    Beside the cosine with the chunk due at each step stands that with the chunk after it, which the earlier work took
    for the one due (`published`; NaN for windows whose article ends before k=+`steps`+1).

    A predictor that uses `rows` is asked for the chunk due at each step, so the oracle is the true chunk throughout.

    Args:
        predictor: to judge.
        batch: the windows.
        predictions: [B, D] float32 unit predictions from the true contexts (step 1).
        scores: [B, L] float32 cosines of these with all chunks of the article.
        steps: H >= 1.
        min_candidates: R@5 is NaN where the article minus the 5 context chunks has fewer candidates.
    """
    whole = has_offset(batch.position, batch.n_chunks, steps)
    names = [name for step in range(1, steps + 1) for name in (*step_columns(step), published_step_column(step))]
    columns = {name: np.full(len(batch), np.nan) for name in names}
    if not whole.any():
        return columns
    chosen = torch.from_numpy(np.flatnonzero(whole)).to(scores.device)
    part, step_scores, last = batch.where(whole), scores[chosen], predictions[chosen]
    contexts = part.contexts()
    enough = part.n_chunks - CONTEXT >= min_candidates
    goes_on = has_offset(part.position, part.n_chunks, steps + 1)
    for step in range(1, steps + 1):
        if step > 1:
            contexts = torch.cat([contexts[:, 1:], last[:, None]], dim=1)
            last, _ = unit_predictions(predictor, contexts, part.rows + step - 1)
            step_scores = article_scores(last, part)
        due = part.position + step - 1
        greater, tied = rank_counts(step_scores, due, part.position)
        cosine_name, recall_name = step_columns(step)
        columns[cosine_name][whole] = column(step_scores, due).cpu().numpy()
        after = column(step_scores, np.where(goes_on, due + 1, due)).cpu().numpy()
        columns[published_step_column(step)][whole] = np.where(goes_on, after, np.nan)
        columns[recall_name][whole] = np.where(enough, recall_at(ROLLOUT_RANK, greater[0], tied[0]), np.nan)
    return columns
