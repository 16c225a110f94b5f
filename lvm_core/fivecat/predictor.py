"""What is judged: anything that maps the five context vectors of a window to a prediction of the next one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lvm_core.runtime.errors import LvmError

Predict = Callable[[Tensor, np.ndarray], Tensor]


@dataclass(frozen=True)
class Predictor:
    """A named predictor."""

    name: str
    """For messages, folders and tables."""
    predict: Predict
    """(contexts [B, 5, D] float32 unit vectors, oldest first; rows [B] int64, the bank rows of the chunks to be
    predicted) -> [B, D] raw predictions on the contexts' device, not necessarily unit. Each prediction may depend on
    its own window only. A trained model ignores `rows`; reference predictors that cheat use them."""
    reads_context: bool = True
    """False for predictors that ignore `contexts`; order ablations are not applicable to them."""
    fit: Mapping[str, Any] = field(default_factory=dict)
    """What was fitted, as json values (weights, chosen strength)."""

    def __call__(self, contexts: Tensor, rows: np.ndarray) -> Tensor:
        """[B, D] raw predictions, see `predict`."""
        return self.predict(contexts, rows)


def from_callable(function: Callable[[Tensor], Tensor], name: str = "model") -> Predictor:
    """Wrap a plain function, `contexts [B, 5, D] -> predictions [B, D]`, such as a model in evaluation mode."""
    return Predictor(name, lambda contexts, rows: function(contexts))


def unit_predictions(predictor: Predictor, contexts: Tensor, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """Call a predictor and normalise what it says.

    A zero prediction stays zero: its cosine to everything is 0, all candidates tie, and it ranks at chance.

    Args:
        predictor: to call.
        contexts: [B, 5, D] float32.
        rows: [B] int64, bank rows of the chunks to be predicted.

    Returns:
        Unit predictions [B, D] float32 and their raw norms [B] float32.

    Raises:
        LvmError: the predictions have a wrong shape, or are not finite.
    """
    raw = predictor(contexts, rows)
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
