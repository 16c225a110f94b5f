"""A model in training: weights, optimiser and position, and the file from which an interrupted phase goes on."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.optim.adamw import adamw

from lvm_core.models.base import LatentModel
from lvm_core.models.checkpoint import load_notes, load_tensors, save_tensors
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.resume import find_hashed, save_hashed

MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""What is kept of each parameter, under the names that torch gives them."""

EPSILON = 1e-8
"""Added to the root of the second moment; torch's default."""


class AdamW:
    """Decoupled weight decay (Loshchilov and Hutter 2019) over all parameters alike; `lr` is that of the next step.

    The class of torch imports its compiler, which takes two seconds of every process.
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


@dataclass
class TrainState:
    """A model in training."""

    model: LatentModel
    """With the last weights."""
    optimizer: AdamW
    """With its moments."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """One dict for each finished epoch of every phase so far."""
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    """Weights of the best epoch of the phase in training."""
    best_epoch: int = 0
    """That epoch, counted from 1 over all phases."""
    best_value: float = -math.inf
    """Its dev figure, minus infinity before the first one."""
    epoch: int = 0
    """Finished epochs of all phases."""
    step: int = 0
    """Optimiser steps done in the epoch in progress."""
    loss_sum: torch.Tensor = field(default_factory=lambda: torch.zeros(()))
    """[] of the windows of those steps, on the device."""


SAVE_SECONDS = 5.0
"""Shortest time between two saved points."""

SAVE_SHARE = 0.05
"""Largest share of the time spent on saving: a large model is saved less often."""

POSITION = ("epoch", "step", "history", "best_epoch", "best_value")
"""Fields of `TrainState` that are saved as json."""


class StateFile:
    """Keeps a `TrainState` in one file whose name holds its hash; called between two steps only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._due = time.monotonic() + SAVE_SECONDS

    def now_and_then(self, state: TrainState) -> None:
        """Save if the last time is `SAVE_SECONDS` ago, or longer where saving takes long."""
        if time.monotonic() < self._due:
            return
        try:
            self.save(state)
        except LvmError as error:  # a full disk, say: training goes on, and from an earlier point if it is interrupted
            print(f"train: the state was not saved: {error}", file=sys.stderr, flush=True)
            self._due = time.monotonic() + 60.0

    def save(self, state: TrainState) -> None:
        """Write weights, best weights, moments, sums, random state, position and history."""
        start = time.monotonic()
        device = state.loss_sum.device
        tensors = {f"model.{name}": tensor for name, tensor in state.model.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in state.best.items()}
        tensors |= {f"optimizer.{name}": tensor for name, tensor in state.optimizer.tensors().items()}
        tensors |= {"loss_sum": state.loss_sum, "random": torch.get_rng_state()}
        if device.type == "cuda":
            tensors["random_cuda"] = torch.cuda.get_rng_state(device)
        position = {name: getattr(state, name) for name in POSITION}
        notes = {"position": json.dumps(position), "lr": json.dumps(state.optimizer.lr)}
        save_hashed(self.path, lambda path: save_tensors(path, tensors, notes))
        end = time.monotonic()
        self._due = end + max(SAVE_SECONDS, (end - start) / SAVE_SHARE)

    def restore(self, state: TrainState, device: torch.device) -> bool:
        """Put `state` and torch's random state where `save` found them; False if nothing whole was saved."""
        saved = find_hashed(self.path)
        if saved is None:
            return False
        tensors = load_tensors(saved)
        notes = {name: json.loads(note) for name, note in load_notes(saved).items()}

        def part(prefix: str) -> dict[str, torch.Tensor]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        state.model.load_state_dict(part("model."))
        state.optimizer.restore(part("optimizer."))
        state.best = {name: tensor.to(device) for name, tensor in part("best.").items()}
        state.loss_sum = tensors["loss_sum"].to(device)
        for name, value in notes["position"].items():
            setattr(state, name, value)
        state.optimizer.lr = notes["lr"]  # for the history, if no step of the epoch is left
        torch.set_rng_state(tensors["random"])
        if "random_cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random_cuda"], device)
        return True
