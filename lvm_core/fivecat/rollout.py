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
from lvm_core.fivecat.retrieval import column, rank_counts, recall_at
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
    part = batch.where(whole)
    by_step = _scores_by_step(scores[chosen], _fed_back(predictor, part, predictions[chosen], steps), part)
    all_scores = by_step.flatten(0, 1)  # [B' * H, L]: all steps are ranked at once
    due = part.position[:, None] + np.arange(steps)
    goes_on = has_offset(part.position, part.n_chunks, steps + 1)
    after = np.where(goes_on[:, None], due + 1, due)
    greater, tied = rank_counts(all_scores, due.reshape(-1), np.repeat(part.position, steps))
    recall = recall_at(ROLLOUT_RANK, greater[0], tied[0]).reshape(-1, steps)
    cosine, late = (column(all_scores, at.reshape(-1)).cpu().numpy().reshape(-1, steps) for at in (due, after))
    enough = part.n_chunks - CONTEXT >= min_candidates
    for step in range(steps):
        cosine_name, recall_name = step_columns(step + 1)
        columns[cosine_name][whole] = cosine[:, step]
        columns[recall_name][whole] = np.where(enough, recall[:, step], np.nan)
        columns[published_step_column(step + 1)][whole] = np.where(goes_on, late[:, step], np.nan)
    return columns


def _fed_back(predictor: Predictor, batch: Batch, first: Tensor, steps: int) -> Tensor:
    """[B, H - 1, D] float32 unit predictions of steps 2..H, each from the context that ends with the one before it.

    Args:
        predictor: to judge.
        batch: the windows.
        first: [B, D] float32 unit predictions of step 1.
        steps: H.
    """
    fed_back = first.new_empty(len(batch), steps - 1, first.shape[1])
    contexts, last = batch.contexts(), first
    for step in range(1, steps):
        contexts = torch.cat([contexts[:, 1:], last[:, None]], dim=1)
        last, _ = unit_predictions(predictor, contexts, batch.rows + step)
        fed_back[:, step - 1] = last
    return fed_back


def _scores_by_step(first: Tensor, fed_back: Tensor, batch: Batch) -> Tensor:
    """[B, H, L] float32 cosines of each step's prediction with all chunks of the article, one product an article.

    Args:
        first: [B, L] float32, those of step 1, as they were measured before.
        fed_back: [B, H - 1, D] float32 unit predictions of the other steps.
        batch: the windows.
    """
    scores = first.new_full((len(first), fed_back.shape[1] + 1, first.shape[1]), -torch.inf)
    scores[:, 0] = first
    starts = np.flatnonzero(np.diff(batch.first, prepend=-1))
    stops = np.append(starts[1:], len(batch))
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        row, count = int(batch.first[start]), int(batch.n_chunks[start])
        scores[start:stop, 1:, :count] = fed_back[start:stop] @ batch.chunks[row : row + count].T
    return scores
