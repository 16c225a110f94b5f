"""Tests by offset (A, E), of rearranged contexts (C) and of predictions fed back (D), with their published readings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from lvm_core.config.figures import (
    ABLATIONS,
    OFFSETS,
    ROLLOUT_RANK,
    offset_column,
    published_step_column,
    step_columns,
)
from lvm_core.fivecat.predictor import Predictor, unit_predictions
from lvm_core.fivecat.windows import Batch, column, has_offset, rank_counts, recall_at
from lvm_core.windows import CONTEXT


def profile_columns(scores: Tensor, batch: Batch) -> dict[str, np.ndarray]:
    """The window table's columns of test A: [B] float32 cosine to each offset, NaN where the article has no such chunk.

    Args:
        scores: [B, L] float32 cosines with all chunks of the article.
        batch: the windows.
    """
    at = batch.position[:, None] - 1 + np.array(OFFSETS)
    there = (at >= 0) & (at < batch.n_chunks[:, None])
    index = torch.from_numpy(np.where(there, at, 0)).to(scores.device)
    cosines = np.where(there, scores.gather(1, index).cpu().numpy(), np.float32(np.nan))
    return {offset_column(k): cosines[:, place] for place, k in enumerate(OFFSETS)}


def margin_of(means: Mapping[int, float | None], rivals: Sequence[int]) -> float | None:
    """Mean cosine at k=+1 minus the best of the `rivals`' means; None where undefined."""
    target, others = means[1], [means[k] for k in rivals]
    if target is None or any(value is None for value in others):
        return None
    return target - max(value for value in others if value is not None)


def coherence_of(contexts: Tensor) -> np.ndarray:
    """[B] float32 mean cosine of the four adjacent pairs of contexts [B, 5, D] float32 unit vectors."""
    result: np.ndarray = (contexts[:, 1:] * contexts[:, :-1]).sum(2).mean(1).cpu().numpy()
    return result


def leave_one_out_orders() -> np.ndarray:
    """[5, 5] int64: row i is the context without chunk i, with another copy of the last chunk appended.

    Dropping the last chunk and appending a copy of it is the context itself, as in the published test, whose average
    over i includes it.
    """
    last = CONTEXT - 1
    return np.array([[j for j in range(CONTEXT) if j != i] + [last] for i in range(CONTEXT)])


def order_columns(
    predictor: Predictor, batch: Batch, cosine: np.ndarray, shuffled: np.ndarray, foreign: Tensor | None
) -> dict[str, np.ndarray]:
    """The window table's columns of test C: [B] float32 cosine to the target under each ablation.

    Args:
        cosine: [B] float32 cosine to the target with the true context.
        shuffled: [B, 5] int64 random orders.
        foreign: [B, D] float32 chunks of other articles; None where there are none (NaN).
    """
    unknown = np.full(len(batch), np.nan)
    if not predictor.reads_context:
        return {f"cos_{name}": unknown for name in ABLATIONS}
    target = batch.at_offset(1)

    def measure(contexts: Tensor) -> np.ndarray:
        predictions, _ = unit_predictions(predictor, contexts, batch.rows)
        result: np.ndarray = (predictions * target).sum(1).cpu().numpy()
        return result

    last = CONTEXT - 1
    columns = {
        "cos_shuffle": measure(batch.contexts(shuffled)),
        "cos_reverse": measure(batch.contexts(np.arange(CONTEXT)[::-1])),
        # The order without its last chunk is the context itself, known already.
        "cos_leave_one_out": (sum(measure(batch.contexts(order)) for order in leave_one_out_orders()[:last]) + cosine)
        / CONTEXT,
        "cos_repeat_last": measure(batch.contexts(np.full(CONTEXT, last))),
        "cos_foreign_last": unknown,
    }
    if foreign is not None:
        contexts = batch.contexts()
        contexts[:, last] = foreign
        columns["cos_foreign_last"] = measure(contexts)
    return columns


def rollout_columns(
    predictor: Predictor, batch: Batch, predictions: Tensor, scores: Tensor, steps: int, min_candidates: int
) -> dict[str, np.ndarray]:
    """The window table's columns of test D, NaN for windows whose article ends before k=+`steps`.

    Beside the cosine with the chunk due at each step stands that with the chunk after it, which the earlier work took
    for the one due (`published`; NaN for windows whose article ends before k=+`steps`+1).

    A predictor that uses `rows` is asked for the chunk due at each step, so the oracle is the true chunk throughout.

    Args:
        predictions: [B, D] float32 unit predictions from the true contexts (step 1).
        scores: [B, L] float32 cosines of these with all chunks of the article.
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
        first: [B, D] float32 unit predictions of step 1.
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
    """
    scores = first.new_full((len(first), fed_back.shape[1] + 1, first.shape[1]), -torch.inf)
    scores[:, 0] = first
    starts = np.flatnonzero(np.diff(batch.first, prepend=-1))
    stops = np.append(starts[1:], len(batch))
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        row, count = int(batch.first[start]), int(batch.n_chunks[start])
        scores[start:stop, 1:, :count] = fed_back[start:stop] @ batch.chunks[row : row + count].T
    return scores
