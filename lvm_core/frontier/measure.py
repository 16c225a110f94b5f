"""Figures of traced predictors: the measured ones, as 5CAT measures them, and quick margins of any mixture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lvm_core.bank import Bank
from lvm_core.fivecat.batches import Batch, iterate_batches
from lvm_core.fivecat.leaks import judged_windows
from lvm_core.fivecat.names import offset_column
from lvm_core.fivecat.params import EvaluateParams
from lvm_core.fivecat.predictor import Predictor, unit_predictions
from lvm_core.fivecat.profile import margin_of, profile_columns
from lvm_core.fivecat.retrieval import article_scores, retrieval_columns
from lvm_core.fivecat.window_sets import MARGIN_OFFSETS, has_offset
from lvm_core.frontier.equations import RIVALS, has_rivals
from lvm_core.progress import Progress

FIGURES = ("cosine", "margin", "margin_last", "recall_at_1", "recall_at_5", "rollout")
"""Figures of a point of the curve; retrieval is masked."""


def margins_of_mixtures(
    bank: Bank, split: str, parts: Sequence[Predictor], params: EvaluateParams, device: torch.device | str
) -> Callable[[np.ndarray], float] | None:
    """The margin on a split of any mixture of some predictions, without predicting again.

    The cosine of a mixture sum_i a_i p_i with a chunk x is sum_i a_i <p_i, x> / sqrt(sum_ij a_i a_j <p_i, p_j>), so
    one pass collects inner products: 4 * P * (P + 7) bytes a window.

    Args:
        bank: the vectors.
        split: to measure on.
        parts: the P predictions.
        params: batch size.
        device: to predict on.

    Returns:
        [P] float64 coefficients -> margin; None where no window of the split has all of k=-3..+3.
    """
    windows, collected = judged_windows(bank, split, params), []
    progress = Progress(f"frontier, inner products on {split}", len(windows), "windows")
    with torch.inference_mode():
        for batch in iterate_batches(bank, windows, params.batch_size, device):
            progress.update(len(batch))
            whole = batch.where(has_rivals(batch))
            if not len(whole):
                continue
            contexts = whole.contexts()
            predictions = torch.stack([part(contexts, whole.rows) for part in parts], dim=1)  # [B, P, D]
            chunks = torch.stack([whole.at_offset(k) for k in MARGIN_OFFSETS], dim=1)  # [B, 7, D]
            both = torch.cat([predictions, chunks], dim=1)
            collected.append(torch.bmm(predictions, both.transpose(1, 2)).cpu().numpy())
    progress.close()
    if not collected:
        return None
    products = np.concatenate(collected)
    own, count = products[:, :, : len(parts)].reshape(len(products), -1), len(parts)
    shared = np.ascontiguousarray(products[:, :, count:].transpose(0, 2, 1)).reshape(-1, count)

    def margin(coefficients: np.ndarray) -> float:
        squared = own @ np.outer(coefficients, coefficients).ravel()
        lengths = np.sqrt(np.clip(squared, 1e-24, None))
        cosines = (shared @ coefficients).reshape(len(products), -1) / lengths[:, None]
        value = margin_of(dict(zip(MARGIN_OFFSETS, cosines.mean(0).tolist(), strict=True)), RIVALS)
        assert value is not None
        return value

    return margin


def measure(
    bank: Bank, split: str, predictors: Sequence[Predictor], params: EvaluateParams, device: torch.device | str
) -> list[dict[str, Any]]:
    """The `FIGURES` of each predictor over all windows of a split, None where undefined; equal to those of `evaluate`.

    The order ablations and other costly figures are left out; rollout is the most expensive one here.

    Args:
        bank: the vectors.
        split: to measure on.
        predictors: to measure, on the same batches.
        params: as of `evaluate`.
        device: to predict on.

    Raises:
        LvmError: a prediction is not finite.
    """
    windows = judged_windows(bank, split, params)
    means = [_Means() for _ in predictors]
    progress = Progress(f"frontier on {split}, {len(predictors)} predictors", len(windows), "windows")
    with torch.inference_mode():
        for batch in iterate_batches(bank, windows, params.batch_size, device):
            for predictor, mean in zip(predictors, means, strict=True):
                mean.add(_columns(predictor, batch, params))
            progress.update(len(batch))
    progress.close()
    return [_figures(mean) for mean in means]


def _columns(predictor: Predictor, batch: Batch, params: EvaluateParams) -> dict[str, np.ndarray]:
    """[B] float columns by figure, NaN where undefined; the offsets only of windows that have all of them."""
    predictions, _ = unit_predictions(predictor, batch.contexts(), batch.rows)
    scores = article_scores(predictions, batch)
    retrieval = retrieval_columns(scores, batch, params.min_candidates)
    profile = profile_columns(scores, batch)
    whole = has_rivals(batch)
    return {
        "cosine": profile[offset_column(1)],
        **{offset_column(k): np.where(whole, profile[offset_column(k)], np.nan) for k in MARGIN_OFFSETS},
        **{name: retrieval[name] for name in ("recall_at_1", "recall_at_5")},
        "rollout": _rollout_cosine(predictor, batch, predictions, params.rollout_steps),
    }


def _rollout_cosine(predictor: Predictor, batch: Batch, predictions: Tensor, steps: int) -> np.ndarray:
    """[B] float64 mean cosine of the steps of `rollout.rollout_columns`, without ranking the steps; NaN as there."""
    whole = has_offset(batch.position, batch.n_chunks, steps)
    means = np.full(len(batch), np.nan)
    if not whole.any():
        return means
    part, last = batch.where(whole), predictions[torch.from_numpy(whole).to(predictions.device)]
    contexts, total = part.contexts(), torch.zeros(len(last), dtype=torch.float64, device=last.device)
    for step in range(1, steps + 1):
        if step > 1:
            contexts = torch.cat([contexts[:, 1:], last[:, None]], dim=1)
            last, _ = unit_predictions(predictor, contexts, part.rows + step - 1)
        total += (last * part.at_offset(step)).sum(1)
    means[whole] = total.cpu().numpy() / steps
    return means


class _Means:
    """Running means of columns over the values that are not NaN, summed in float64."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def add(self, columns: dict[str, np.ndarray]) -> None:
        """Count the windows of a batch in."""
        for name, values in columns.items():
            defined = values[~np.isnan(values)]
            self.sums[name] = self.sums.get(name, 0.0) + float(defined.sum(dtype=np.float64))
            self.counts[name] = self.counts.get(name, 0) + len(defined)

    def get(self, name: str) -> float | None:
        """The mean of a column, None where nothing was defined."""
        return self.sums[name] / self.counts[name] if self.counts.get(name) else None


def _figures(means: _Means) -> dict[str, Any]:
    profile = {k: means.get(offset_column(k)) for k in MARGIN_OFFSETS}
    values = {name: means.get(name) for name in ("cosine", "recall_at_1", "recall_at_5", "rollout")}
    values |= {"margin": margin_of(profile, RIVALS), "margin_last": margin_of(profile, [0])}
    return {name: values[name] for name in FIGURES}
