"""The training loop: one phase of one recipe, from the weights of the phase before."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from lvm_core.losses import Batch, total_loss
from lvm_core.models import build_model
from lvm_core.progress import Progress
from lvm_core.recipe import Recipe
from lvm_core.schedules import rate_factor
from lvm_core.windows import CONTEXT

DevMetrics = Callable[[nn.Module], dict[str, float]]
"""Measures a model on the dev split: `dev_cosine`, `dev_recall_at_5`, ..."""


@dataclass
class TrainState:
    """A model in training.

    Attributes:
        model: with the last weights.
        optimizer: with its moments.
        history: one dict for each finished epoch of every phase so far.
        best: weights of the best epoch of the phase in training.
        best_epoch: that epoch, counted from 1 over all phases.
    """

    model: nn.Module
    optimizer: torch.optim.AdamW
    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    best_epoch: int = 0


def epoch_seed(seed: int, epoch: int, purpose: int) -> int:
    """A 63-bit seed for one purpose in one epoch: no random state has to be carried over a border."""
    return int(np.random.SeedSequence([seed, epoch, purpose]).generate_state(1, np.uint64)[0] >> 1)


def start_training(recipe: Recipe, dimension: int, device: torch.device) -> TrainState:
    """A fresh model and optimiser."""
    torch.manual_seed(epoch_seed(recipe.seed, 0, 0))
    model = build_model(recipe.model, dimension).to(device)
    train = recipe.train
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=train.lr,
        betas=(train.beta1, train.beta2),
        weight_decay=train.weight_decay,
        fused=True,
    )
    return TrainState(model, optimizer)


def train_phase(
    state: TrainState,
    recipe: Recipe,
    phase: str,
    vectors: torch.Tensor,
    targets: np.ndarray,
    dev_metrics: DevMetrics,
    precision: str,
) -> None:
    """Train `state` for one phase, in place.

    Args:
        state: from `start_training` or from the end of the phase before.
        recipe: what to do.
        phase: `a`, `b` or `c`.
        vectors: [N, D] the bank, on the device to train on; gathered by index, never copied per window.
        targets: [W] int64 target rows of the phase's windows.
        dev_metrics: called after each epoch; `best_by` picks among its figures (higher is better, first of equals).
        precision: `bf16` or `fp32`, for the model's arithmetic; losses are in float32.

    Raises:
        FloatingPointError: the loss or the dev figure is no longer finite.
    """
    epochs = recipe.train.epochs
    rows = torch.from_numpy(targets).to(vectors.device)
    first = epochs.before(phase) + 1
    state.best, state.best_epoch = {}, 0
    best_value = -math.inf
    for epoch in range(first, first + getattr(epochs, phase)):
        figures = {"train_loss": _train_epoch(state, recipe, epoch, vectors, rows, precision)}
        figures |= dev_metrics(state.model)
        lr = state.optimizer.param_groups[0]["lr"]
        state.history.append({"epoch": epoch, "phase": phase, "lr": lr, **figures})
        value = figures[f"dev_{recipe.train.best_by}"]
        if not math.isfinite(value):
            raise FloatingPointError(f"dev_{recipe.train.best_by} of epoch {epoch} is {value}")
        if value > best_value:
            best_value, state.best_epoch = value, epoch
            state.best = {name: tensor.detach().clone() for name, tensor in state.model.state_dict().items()}
        shown = ", ".join(f"{key} {number:.4f}" for key, number in figures.items())
        print(f"train {recipe.name} phase {phase}: epoch {epoch}/{epochs.total}, lr {lr:.2g}, {shown}", flush=True)


def _train_epoch(
    state: TrainState, recipe: Recipe, epoch: int, vectors: torch.Tensor, rows: torch.Tensor, precision: str
) -> float:
    """One pass over `rows` in a seeded order; returns the mean training loss."""
    train = recipe.train
    model, optimizer = state.model.train(), state.optimizer
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(epoch_seed(recipe.seed, epoch, 1)))
    torch.manual_seed(epoch_seed(recipe.seed, epoch, 2))  # dropout
    batches = rows[order.to(rows.device)].split(train.batch_size)
    window = torch.arange(-CONTEXT, 1, device=rows.device)
    dev_losses = [1.0 - past["dev_cosine"] for past in state.history]
    progress = Progress(f"train {recipe.name}: epoch {epoch}/{train.epochs.total}", len(rows), "windows")
    loss_sum = torch.zeros((), device=rows.device)  # read once an epoch: no synchronisation in the step loop
    for step, targets in enumerate(batches):
        factor = rate_factor(train.schedule, epoch - 1 + step / len(batches), train.epochs.total, dev_losses)
        for group in optimizer.param_groups:
            group["lr"] = train.lr * factor
        chunks = vectors[targets[:, None] + window].float()  # [B, 6, D]
        contexts, truth = chunks[:, :CONTEXT], chunks[:, CONTEXT]
        with torch.autocast(rows.device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
            raw = model(contexts)
        loss = total_loss(Batch(raw.float(), contexts, truth), recipe.losses)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), train.clip)
        optimizer.step()
        loss_sum += loss.detach() * len(targets)
        progress.update(len(targets))
    mean = float(loss_sum) / len(rows)
    if not math.isfinite(mean):
        raise FloatingPointError(f"the loss of epoch {epoch} is {mean}")
    return mean


@torch.inference_mode()
def predict_rows(model: nn.Module, vectors: torch.Tensor, targets: np.ndarray, batch_size: int = 4096) -> torch.Tensor:
    """[W, D] float32 unit predictions of the windows with these target rows."""
    model.eval()
    rows = torch.from_numpy(targets).to(vectors.device)
    window = torch.arange(-CONTEXT, 0, device=rows.device)
    parts = [F.normalize(model(vectors[part[:, None] + window].float()), dim=1) for part in rows.split(batch_size)]
    return torch.cat(parts)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimiser's state as named tensors (`<parameter number>.<name>`), for safetensors."""
    return {
        f"{index}.{name}": torch.as_tensor(value)
        for index, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Inverse of `optimizer_tensors`.

    Raises:
        KeyError, ValueError: the tensors are not those of this optimiser.
    """
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
