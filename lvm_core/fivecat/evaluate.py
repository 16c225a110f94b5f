"""Judge a predictor on a split: one table of windows, and the figures computed from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lvm_core.bank import Bank
from lvm_core.fivecat.batches import Batch, gather_chunks, iterate_batches
from lvm_core.fivecat.coherence import coherence_of
from lvm_core.fivecat.names import offset_column, published_step_column, step_columns
from lvm_core.fivecat.order import ABLATIONS, order_columns
from lvm_core.fivecat.params import EvaluateParams
from lvm_core.fivecat.predictor import Predictor, from_callable, unit_predictions
from lvm_core.fivecat.profile import profile_columns
from lvm_core.fivecat.retrieval import RANKS, article_scores, retrieval_columns
from lvm_core.fivecat.rollout import rollout_columns
from lvm_core.fivecat.summary import summarise
from lvm_core.fivecat.window_sets import OFFSETS, canonical_windows, foreign_rows, shuffled_orders
from lvm_core.progress import Progress

REPORTED_SPLITS = ("val", "ood")
"""The splits that only report; `dev` chooses, `train` is learned from."""


@dataclass(frozen=True)
class Evaluation:
    """What a predictor reached on a split.

    Attributes:
        windows: one row a window in canonical order (article id, position): `row` (bank row of the target), `article`
            (its id), `position` (in the article), `candidates[_unmasked]`, and the measures, NaN where undefined:
            `cos_k-4` .. `cos_k+4`, `recall_at_1`, `recall_at_5`, `mrr` (and `_unmasked`), `cos_<ablation>`,
            `rollout_cosine_<h>`, `rollout_recall_at_5_<h>`, `published_rollout_cosine_<h>`, `coherence`, `raw_norm`
            (float32, but means are taken in float64).
        summary: the figures (`summary.summarise`), json values.
    """

    windows: pd.DataFrame
    summary: dict[str, Any]


def evaluate(
    bank: Bank,
    split: str,
    predictor: Predictor | Callable[[Tensor], Tensor],
    params: EvaluateParams | None = None,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    on_batch: Callable[[int], None] | None = None,
) -> Evaluation:
    """Judge a predictor on all windows of a split, by the definitions of the package.

    The result depends neither on the batch size nor on the order of the articles in the bank, up to the rounding of
    float32 sums.

    Args:
        bank: the vectors, float32 or float16.
        split: one of `bank.SPLITS`.
        predictor: a `Predictor`, or any function of contexts [B, 5, D] to predictions [B, D].
        params: None for the defaults.
        seed: of the shuffled contexts and foreign chunks.
        device: on which contexts are handed to the predictor and cosines computed.
        on_batch: called after each batch with its number of windows.

    Raises:
        LvmError: the predictor's output has a wrong shape or is not finite.
    """
    params = params or EvaluateParams()
    judged = predictor if isinstance(predictor, Predictor) else from_callable(predictor)
    windows = canonical_windows(bank, split)
    shuffled, foreign = shuffled_orders(windows, seed), foreign_rows(windows, seed)
    parts = []
    with torch.inference_mode():
        for batch in iterate_batches(bank, windows, params.batch_size, device):
            strangers = None if foreign is None else gather_chunks(bank, foreign[batch.index], device)
            parts.append(_measure(judged, batch, shuffled[batch.index], strangers, params))
            if on_batch:
                on_batch(len(batch))
    columns = {
        "row": windows.rows,
        "article": windows.article_id[windows.article],
        "position": windows.position,
        **{name: _join([part[name] for part in parts], name) for name in _measured(params.rollout_steps)},
    }
    return Evaluation(pd.DataFrame(columns), summarise(columns, params))


def evaluate_splits(
    bank: Bank,
    predictor: Predictor,
    params: EvaluateParams,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    splits: Sequence[str] = REPORTED_SPLITS,
) -> dict[str, Evaluation]:
    """`evaluate` on several splits, with progress lines on stderr; evaluations by split."""
    done = {}
    for split in splits:
        progress = Progress(f"{predictor.name} on {split}", len(bank.targets(split)), "windows")
        done[split] = evaluate(bank, split, predictor, params, seed=seed, device=device, on_batch=progress.update)
        progress.close()
    return done


def _measure(
    predictor: Predictor, batch: Batch, shuffled: np.ndarray, foreign: Tensor | None, params: EvaluateParams
) -> dict[str, np.ndarray]:
    contexts = batch.contexts()
    predictions, norm = unit_predictions(predictor, contexts, batch.rows)
    scores = article_scores(predictions, batch)
    profile = profile_columns(scores, batch)
    measured = {
        **retrieval_columns(scores, batch, params.min_candidates),
        **profile,
        **order_columns(predictor, batch, profile[offset_column(1)], shuffled, foreign),
        **rollout_columns(predictor, batch, predictions, scores, params.rollout_steps, params.min_candidates),
        "coherence": coherence_of(contexts),
        "raw_norm": norm.cpu().numpy(),
    }
    return {name: values.astype(_kind(name)) for name, values in measured.items()}


def _measured(steps: int) -> list[str]:
    """Names of the measured columns, in the order of the table."""
    ranked = ["candidates", *(f"recall_at_{k}" for k in RANKS), "mrr"]
    return [
        *(f"{name}{suffix}" for suffix in ("", "_unmasked") for name in ranked),
        *(offset_column(k) for k in OFFSETS),
        *(f"cos_{name}" for name in ABLATIONS),
        *(name for step in range(1, steps + 1) for name in (*step_columns(step), published_step_column(step))),
        "coherence",
        "raw_norm",
    ]


def _kind(name: str) -> type[np.generic]:
    """Type of a measured column: cosines come out of float32 arithmetic, and a table of them may be long."""
    return np.int32 if name.startswith("candidates") else np.float32


def _join(parts: list[np.ndarray], name: str) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0, dtype=_kind(name))
