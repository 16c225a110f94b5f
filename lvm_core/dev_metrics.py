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


def dev_metrics_on(bank: Bank, device: torch.device, batch_size: int = 1024) -> DevMetrics:
    """A function that measures a model on all windows of `dev`, always in float32.

    It returns `dev_cosine` (mean cosine with the target), `dev_cosine_last` (with the last context chunk: a model that
    copies has 1) and `dev_recall_at_5` (in the article, context masked).

    Raises:
        LvmError: `dev` has no window.
    """
    windows = canonical_windows(bank, "dev")
    if not len(windows):
        raise LvmError("data/bank: the dev split has no window; raise split.dev in params.yaml or give more articles")

    @torch.inference_mode()
    def measure(model: nn.Module) -> dict[str, float]:
        model.eval()
        parts: dict[str, list[np.ndarray]] = {"dev_cosine": [], "dev_cosine_last": [], "dev_recall_at_5": []}
        for batch in iterate_batches(bank, windows, batch_size, device):
            scores = article_scores(F.normalize(model(batch.contexts()), dim=1), batch)
            parts["dev_cosine"].append(column(scores, batch.position).cpu().numpy())
            parts["dev_cosine_last"].append(column(scores, batch.position - 1).cpu().numpy())
            parts["dev_recall_at_5"].append(retrieval_columns(scores, batch, min_candidates=1)["recall_at_5"])
        return {name: float(np.concatenate(values).mean(dtype=np.float64)) for name, values in parts.items()}

    return measure
