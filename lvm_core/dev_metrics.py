"""The few figures measured on `dev` after every epoch: they choose the epoch that is kept."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from lvm_core.bank import Bank
from lvm_core.errors import LvmError
from lvm_core.fivecat.batches import iterate_batches
from lvm_core.fivecat.retrieval import article_scores, column, retrieval_columns
from lvm_core.fivecat.window_sets import canonical_windows
from lvm_core.trainer import DevMetrics
from lvm_core.windows import CONTEXT

FEWEST_CANDIDATES = 6
"""With five or fewer, R@5 is 1 whatever the prediction."""


def dev_metrics_on(bank: Bank, device: torch.device, best_by: str = "cosine", batch_size: int = 1024) -> DevMetrics:
    """A function that measures a model on all windows of `dev`, always in float32.

    It returns `dev_cosine` (mean cosine with the target), `dev_cosine_last` (with the last context chunk: a model that
    copies has 1) and `dev_recall_at_5` (in the article, context masked, over the windows with six or more candidates;
    NaN where there are none).

    Args:
        bank: with windows of `dev`.
        device: to compute on.
        best_by: the figure, without `dev_`, that must be defined because it chooses the epoch to keep.
        batch_size: windows at a time.

    Raises:
        LvmError: `dev` has no window, or none over which `best_by` is defined.
    """
    windows = canonical_windows(bank, "dev")
    if not len(windows):
        raise LvmError("data/bank: the dev split has no window; raise split.dev in params.yaml or give more articles")
    if best_by == "recall_at_5" and (windows.n_chunks < CONTEXT + FEWEST_CANDIDATES).all():
        raise LvmError(
            "params.yaml: train.best_by = 'recall_at_5' is undefined here: no dev article has "
            f"{CONTEXT + FEWEST_CANDIDATES} chunks; set it to cosine"
        )

    @torch.inference_mode()
    def measure(model: nn.Module) -> dict[str, float]:
        model.eval()
        parts: dict[str, list[np.ndarray]] = {"dev_cosine": [], "dev_cosine_last": [], "dev_recall_at_5": []}
        for batch in iterate_batches(bank, windows, batch_size, device):
            scores = article_scores(F.normalize(model(batch.contexts()), dim=1), batch)
            parts["dev_cosine"].append(column(scores, batch.position).cpu().numpy())
            parts["dev_cosine_last"].append(column(scores, batch.position - 1).cpu().numpy())
            parts["dev_recall_at_5"].append(retrieval_columns(scores, batch, FEWEST_CANDIDATES)["recall_at_5"])
        return {name: _mean(np.concatenate(values)) for name, values in parts.items()}

    return measure


def _mean(values: np.ndarray) -> float:
    """Mean of the values that are not NaN; NaN if all are."""
    defined = values[~np.isnan(values)]
    return float(defined.mean(dtype=np.float64)) if len(defined) else float("nan")
