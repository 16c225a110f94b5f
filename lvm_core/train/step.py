"""One optimiser step: forward pass, losses, clipping, AdamW."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import cast

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.adamw import adamw

from lvm_core.config.recipe import in_force
from lvm_core.models.base import LatentModel, set_share
from lvm_core.runtime.distributed import Ranks
from lvm_core.train.batch import TrainingWindows
from lvm_core.train.losses import total_loss

MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""What is kept of each parameter, under the names that torch gives them."""

EPSILON = 1e-8
"""Added to the root of the second moment; torch's default."""


class AdamW:
    """Decoupled weight decay (Loshchilov and Hutter 2019) over all parameters alike.

    Attributes:
        lr: learning rate of the next step.
    """

    def __init__(
        self, parameters: Iterable[torch.nn.Parameter], lr: float, betas: tuple[float, float], weight_decay: float
    ) -> None:
        self.lr, self.betas, self.weight_decay = lr, betas, weight_decay
        self.parameters = list(parameters)
        self._moments: dict[int, dict[str, torch.Tensor]] = {}

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change every parameter that has a gradient, in place."""
        ready = [index for index, parameter in enumerate(self.parameters) if parameter.grad is not None]
        for index in ready:
            if index not in self._moments:
                self._moments[index] = _fresh(self.parameters[index])
        parameters = [self.parameters[index] for index in ready]
        step, average, square = ([self._moments[index][name] for index in ready] for name in MOMENTS)
        adamw(
            [parameter.detach() for parameter in parameters],
            [parameter.grad for parameter in parameters if parameter.grad is not None],
            average,
            square,
            [],
            step,
            fused=True,
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=self.lr,
            weight_decay=self.weight_decay,
            eps=EPSILON,
            maximize=False,
        )

    def tensors(self) -> dict[str, torch.Tensor]:
        """The moments as named tensors (`<parameter number>.<name>`), for safetensors."""
        return {f"{index}.{name}": value for index, kept in self._moments.items() for name, value in kept.items()}

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Inverse of `tensors`; what is given is copied."""
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for index in sorted({int(key.split(".", 1)[0]) for key in tensors}):
            if index >= len(self.parameters):
                raise ValueError(f"there is no parameter {index}")
            moments[index] = kept = _fresh(self.parameters[index])
            for name, value in kept.items():
                given = tensors.get(f"{index}.{name}")
                if given is None or given.shape != value.shape:
                    raise ValueError(f"{index}.{name} is missing, or is not of the size of its parameter")
                value.copy_(given)
        self._moments = moments


def _fresh(parameter: torch.Tensor) -> dict[str, torch.Tensor]:
    like = torch.zeros_like(parameter, memory_format=torch.preserve_format)
    return {"step": torch.zeros((), device=parameter.device), "exp_avg": like, "exp_avg_sq": like.clone()}


LossOf = Callable[[torch.Tensor, float, int], torch.Tensor]
"""(rows [B] of the whole batch, point in training in epochs, step of the epoch) -> loss [], with its gradient."""


class Step(nn.Module):
    """A batch's loss as one module, so that its gradients are exchanged once however often the model is called."""

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
