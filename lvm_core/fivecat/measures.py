"""Predictors, and what is measured of them: by offset (A, E), of rearranged contexts (C), fed back (D), and more.

A predictor is anything that maps the five context vectors of a window to a prediction of the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from lvm_core.config.figures import (
    ABLATIONS,
    OFFSETS,
    READINGS,
    ROLLOUT_RANK,
    offset_column,
    published_step_column,
    step_columns,
)
from lvm_core.config.references import Sees
from lvm_core.fivecat.ranking import (
    TIE,
    Centred,
    article_scores,
    candidates_by_reading,
    column,
    counts_by_reading,
    recall_at,
)
from lvm_core.fivecat.windows import Batch, Windows, has_offset
from lvm_core.models.checkpoint import LoadedModel
from lvm_core.runtime.errors import LvmError
from lvm_core.windows import CONTEXT


@dataclass(frozen=True)
class Predictor:
    """A named predictor."""

    name: str
    """For messages, folders and tables."""
    predict: Callable[[Tensor, np.ndarray, Tensor | None], Tensor]
    """(contexts [B, 5, D] float32 unit vectors, oldest first; rows [B] int64, the bank rows of the chunks to be
    predicted; memory [B, D] float32, as `sees` says, or None) -> [B, D] raw predictions on the contexts' device, not
    necessarily unit. Each prediction may depend on its own window only. A trained model ignores `rows`; reference
    predictors that see the answer use them."""
    sees: Sees = "context"
    """With `memory` the mean of the article's chunks before the target is handed over, with `document` that of the
    whole article (`bank.chunks.Memory`)."""
    reads_context: bool = True
    """False for predictors that ignore `contexts`; order ablations are not applicable to them."""
    fit: Mapping[str, Any] = field(default_factory=dict)
    """What was fitted, as json values (weights, chosen strength)."""

    def __post_init__(self) -> None:
        if self.sees not in get_args(Sees):
            raise LvmError(f"{self.name}: sees = {self.sees!r}; must be one of {', '.join(get_args(Sees))}")

    def __call__(self, contexts: Tensor, rows: np.ndarray, memory: Tensor | None = None) -> Tensor:
        """[B, D] raw predictions, see `predict`."""
        return self.predict(contexts, rows, memory)


def from_callable(function: Callable[[Tensor], Tensor], name: str = "model") -> Predictor:
    """Wrap a plain function, `contexts [B, 5, D] -> predictions [B, D]`."""
    return Predictor(name, lambda contexts, rows, memory: function(contexts))


def from_model(model: LoadedModel, name: str) -> Predictor:
    """A trained model, on its device."""
    return Predictor(name, lambda contexts, rows, memory: model.predict_raw(contexts, memory), model.sees)


def unit_predictions(
    predictor: Predictor, contexts: Tensor, rows: np.ndarray, memory: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Unit predictions [B, D] float32 and their raw norms [B], see `Predictor.predict`.

    A zero prediction stays zero: its cosine to everything is 0, all candidates tie, and it ranks at chance.
    """
    raw = predictor(contexts, rows, memory)
    expected = (contexts.shape[0], contexts.shape[2])
    if tuple(raw.shape) != expected:
        raise LvmError(f"{predictor.name}: predicted an array of shape {tuple(raw.shape)}, expected {expected}")
    raw = raw.float()
    norm = torch.linalg.vector_norm(raw, dim=1)
    finite = norm.isfinite()
    if not bool(finite.all()):
        first = int((~finite).nonzero()[0, 0])
        raise LvmError(
            f"{predictor.name}: the prediction of bank row {rows[first]} is not finite; the model has diverged, "
            "retrain it with a smaller learning rate"
        )
    return raw / norm.clamp_min(1e-12)[:, None], norm


def profile_columns(scores: Tensor, batch: Batch) -> dict[str, np.ndarray]:
    """The window table's columns of test A: [B] float32 cosine to each offset, NaN where the article has no such chunk.

    `scores` [B, L] are the cosines with all chunks of the article (`article_scores`).
    """
    at = batch.position[:, None] - 1 + np.array(OFFSETS)
    there = (at >= 0) & (at < batch.n_chunks[:, None])
    index = torch.from_numpy(np.where(there, at, 0)).to(scores.device)
    cosines = np.where(there, scores.gather(1, index).cpu().numpy(), np.float32(np.nan))
    return {offset_column(k): cosines[:, place] for place, k in enumerate(OFFSETS)}


def coherence_of(contexts: Tensor) -> np.ndarray:
    """[B] float32 mean cosine of the four adjacent pairs of contexts [B, 5, D] float32 unit vectors."""
    result: np.ndarray = (contexts[:, 1:] * contexts[:, :-1]).sum(2).mean(1).cpu().numpy()
    return result


def leave_one_out_orders() -> np.ndarray:
    """[5, 5] int64: row i is the context without chunk i, with another copy of the last chunk appended.

    Dropping the last chunk and appending a copy of it is the context itself, as in the published test, whose average
    over i includes it.
    """
    return np.array([[j for j in range(CONTEXT) if j != i] + [CONTEXT - 1] for i in range(CONTEXT)])


def order_columns(
    predictor: Predictor,
    batch: Batch,
    cosine: np.ndarray,
    shuffled: np.ndarray,
    foreign: Tensor | None,
    memory: Tensor | None = None,
) -> dict[str, np.ndarray]:
    """The window table's columns of test C: [B] float32 cosine to the target under each ablation.

    `cosine` [B] is that with the true context, `shuffled` [B, 5] int64 are random orders, `foreign` [B, D] chunks of
    other articles (None where there are none, which gives NaN), `memory` [B, D] what the predictor sees beside the
    context, which is not rearranged.
    """
    unknown = np.full(len(batch), np.nan)
    if not predictor.reads_context:
        return {f"cos_{name}": unknown for name in ABLATIONS}
    target = batch.at_offset(1)

    def measure(contexts: Tensor) -> np.ndarray:
        predictions, _ = unit_predictions(predictor, contexts, batch.rows, memory)
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
    predictor: Predictor,
    batch: Batch,
    predictions: Tensor,
    scores: Tensor,
    centred: Centred,
    steps: int,
    min_candidates: int,
    memory: Tensor | None = None,
) -> dict[str, np.ndarray]:
    """The window table's columns of test D, NaN for windows whose article ends before k=+`steps`.

    Beside the cosine with the chunk due at each step stands that with the chunk after it, which the earlier work took
    for the one due (`published`; NaN for windows whose article ends before k=+`steps`+1).

    A predictor that uses `rows` is asked for the chunk due at each step, so the oracle is the true chunk throughout.
    `predictions` [B, D] are those of step 1, `scores` [B, L] their cosines with all chunks of the article, `centred` is
    the batch for that reading, `memory` [B, D] what the predictor sees beside the context: at every step that of the
    last real chunk.
    """
    whole = has_offset(batch.position, batch.n_chunks, steps)
    names = [name for step in range(1, steps + 1) for name in (*step_columns(step), published_step_column(step))]
    columns = {name: np.full(len(batch), np.nan) for name in names}
    if not whole.any():
        return columns
    chosen = torch.from_numpy(np.flatnonzero(whole)).to(scores.device)
    part = batch.where(whole)
    first = scores[chosen, None, : part.n_chunks.max()]  # as measured before
    kept = None if memory is None else memory[chosen]
    fed_back = _fed_back(predictor, part, predictions[chosen], steps, kept)
    all_scores = torch.cat([first, article_scores(fed_back, part)], dim=1).flatten(0, 1)
    all_centred = centred.where(whole).scores(torch.cat([predictions[chosen, None], fed_back], dim=1)).flatten(0, 1)
    due = part.position[:, None] + np.arange(steps)
    goes_on = has_offset(part.position, part.n_chunks, steps + 1)
    after = np.where(goes_on[:, None], due + 1, due)
    # [B' * H, L]: all steps are ranked at once
    counts = counts_by_reading(all_scores, all_centred, due.reshape(-1), np.repeat(part.position, steps))
    cosine, late = (column(all_scores, at.reshape(-1)).cpu().numpy().reshape(-1, steps) for at in (due, after))
    numbers = candidates_by_reading(part)
    recalls = [
        np.where(
            numbers[end][:, None] >= min_candidates, recall_at(ROLLOUT_RANK, *counts[end]).reshape(-1, steps), np.nan
        )
        for end in READINGS
    ]
    for step in range(steps):
        for name, values in zip(step_columns(step + 1), (cosine, *recalls), strict=True):
            columns[name][whole] = values[:, step]
        columns[published_step_column(step + 1)][whole] = np.where(goes_on, late[:, step], np.nan)
    return columns


def _fed_back(predictor: Predictor, batch: Batch, first: Tensor, steps: int, memory: Tensor | None) -> Tensor:
    """[B, H - 1, D] float32 unit predictions of steps 2..H, each from the context that ends with the one before it.

    `first` [B, D] are those of step 1.
    """
    fed_back = first.new_empty(len(batch), steps - 1, first.shape[1])
    contexts, last = batch.contexts(), first
    for step in range(1, steps):
        contexts = torch.cat([contexts[:, 1:], last[:, None]], dim=1)
        last, _ = unit_predictions(predictor, contexts, batch.rows + step, memory)
        fed_back[:, step - 1] = last
    return fed_back


def closeness_columns(
    predictions: Tensor, contexts: Tensor, scores: Tensor, batch: Batch, centre: Tensor, means: Tensor
) -> dict[str, np.ndarray]:
    """The window table's columns `best_context`, `best_context_of_truth`, `centred_cosine`, `cosine_mean` and
    `cosine_nearest`, [B] float32.

    `scores` [B, L] are the cosines of the predictions with all chunks of the article, `centre` [D] is the mean of the
    split (`mean_chunk`), `means` [B, D] are those of the articles.
    """
    target = batch.at_offset(1)
    at = torch.from_numpy(batch.position[:, None] + np.arange(-CONTEXT, 0)).to(scores.device)
    off, true = predictions - centre, target - centre
    norms = torch.linalg.vector_norm(off, dim=1) * torch.linalg.vector_norm(true, dim=1)
    columns = {
        "best_context": scores.gather(1, at).amax(1),
        "best_context_of_truth": torch.bmm(target[:, None], contexts.transpose(1, 2))[:, 0].amax(1),
        "centred_cosine": (off * true).sum(1) / norms.clamp_min(1e-12),
        "cosine_mean": torch.maximum(
            (predictions * normalize(means, dim=1)).sum(1), predictions @ normalize(centre, dim=0)
        ),
        "cosine_nearest": scores.amax(1),
    }
    return {name: values.cpu().numpy() for name, values in columns.items()}


NEIGHBOURS = (-1, 0, 1)
"""Chunks left out, relative to the truth. (A target's neighbour in the bank that is a target too is of its article.)"""


def draw_targets(windows: Windows, count: int, seed: int) -> np.ndarray:
    """[min(count, W)] int64 bank rows, ascending: a uniform sample of the targets, keyed by article id and position."""
    order = np.argsort(windows.draw(seed, "contrast")[:, 0], kind="stable")
    return np.sort(windows.rows[order[:count]])


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
    won = ((lead < -TIE).sum(1) + 0.5 * (lead.abs() <= TIE).sum(1)).cpu().numpy().astype(np.float64)
    number = np.full(len(rows), len(others))
    for step in NEIGHBOURS:
        at = np.minimum(np.searchsorted(others, rows + step), len(others) - 1)
        drawn = others[at] == rows + step
        entry = lead.gather(1, torch.from_numpy(at[:, None]).to(lead.device))[:, 0].cpu().numpy()
        won -= np.where(drawn, (entry < -TIE) + 0.5 * (np.abs(entry) <= TIE), 0.0)
        number -= drawn
    return np.divide(won, number, out=np.full(len(rows), np.nan), where=number > 0)
