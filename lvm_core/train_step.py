"""From the windows of a batch to its loss: in one process, or in several that share the batch; compiled or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from lvm_core.losses import in_force, total_loss
from lvm_core.models import LatentModel
from lvm_core.models.shares import set_share
from lvm_core.ranks import Ranks
from lvm_core.train_batch import TrainingWindows

LossOf = Callable[[torch.Tensor, float, int], torch.Tensor]
"""(rows [B] of the whole batch, point in training in epochs, step of the epoch) -> loss [], with its gradient."""


class Step(nn.Module):
    """A batch's loss as one module, so that its gradients are exchanged once however often the model is called.

    Args:
        model: in training.
        windows: of the phase.
        ranks: the processes that share each batch.
    """

    def __init__(self, model: LatentModel, windows: TrainingWindows, ranks: Ranks) -> None:
        super().__init__()
        self.model, self.windows, self.ranks = model, windows, ranks
        mode = windows.recipe.train.compile
        # In a tuple: a compiled model would list the same weights under second names.
        self._called = (cast(LatentModel, torch.compile(model, mode=mode)) if mode else model,)

    def forward(self, rows: torch.Tensor, at: float, step: int) -> torch.Tensor:
        """Rows [B] of the whole batch -> its loss []; only this process's part of it goes through the model."""
        terms, share = self.windows.recipe.losses, self.ranks.share(len(rows))
        weights = in_force(terms, at)
        set_share(self.model, share)
        own = rows if share is None else share.of(rows)
        with self.windows.autocast(), self.windows.autocast(enabled=False):
            batch = self.windows.forward(self._called[0], own, list(weights), at, step, share)
            return total_loss(batch, terms, weights)


def step_function(model: LatentModel, windows: TrainingWindows, ranks: Ranks) -> LossOf:
    """What a training loop calls: `Step`, which with several processes exchanges gradients as they are computed."""
    step = Step(model, windows, ranks)
    if ranks.size == 1:
        return step
    return DistributedDataParallel(step, forward_sync_buffers=False)  # buffers are functions of the point in training
