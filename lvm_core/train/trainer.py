"""The training loop: one phase of one recipe, from the weights of the phase before."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from lvm_core.bank import Bank
from lvm_core.config.recipe import Recipe
from lvm_core.fivecat.windows import article_scores, canonical_windows, column, iterate_batches, retrieval_columns
from lvm_core.models import build_model
from lvm_core.models.base import LatentModel
from lvm_core.models.layers import draw_masks
from lvm_core.runtime.cli import Progress
from lvm_core.runtime.distributed import ALONE, Ranks, lost_is_one_line
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.interrupts import uninterrupted
from lvm_core.train.batch import TrainingWindows, epoch_seed
from lvm_core.train.sampling import Vectors
from lvm_core.train.step import AdamW, LossOf, step_function
from lvm_core.windows import CONTEXT

DevMetrics = Callable[[nn.Module], dict[str, float]]
"""Measures a model on the dev split: `dev_cosine`, `dev_recall_at_5`, ..."""


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
    """Of the windows of those steps, a tensor without dimensions, on the device."""


class Saver(Protocol):
    """Keeps the state of a training for a later run to go on from. It is called between two steps only."""

    def now_and_then(self, state: TrainState) -> None:
        """Save if the last time is long enough ago."""

    def save(self, state: TrainState) -> None:
        """Save."""


def start_training(recipe: Recipe, dimension: int, device: torch.device) -> TrainState:
    """A fresh model and optimiser."""
    torch.manual_seed(epoch_seed(recipe.seed, 0, 0))
    model = build_model(recipe.model, dimension).to(device)
    train = recipe.train
    optimizer = AdamW(model.parameters(), train.lr, (train.beta1, train.beta2), train.weight_decay)
    return TrainState(model, optimizer)


def train_phase(
    state: TrainState,
    recipe: Recipe,
    phase: str,
    vectors: Vectors,
    targets: np.ndarray,
    dev_metrics: DevMetrics,
    precision: str,
    saver: Saver | None = None,
    article_of_row: np.ndarray | None = None,
    ranks: Ranks = ALONE,
) -> None:
    """Train `state` for one phase, in place: from its beginning, or from where `state` stands in it.

    Args:
        state: from `start_training`, from the end of the phase before, or as a saver saved it within this phase.
        recipe: what to do.
        phase: `a`, `b` or `c`.
        vectors: [N, D] the bank, on the device to train on or mapped; gathered by index, never copied per window.
        targets: [W] int64 target rows of the phase's windows.
        dev_metrics: called after each epoch; `best_by` picks among its figures (higher is better, first of equals).
        precision: `bf16` or `fp32`, for the model's arithmetic; losses are in float32.
        saver: called after each step, at the end, and when Ctrl-C or SIGTERM ends the training.
        article_of_row: [N] int64, number of the article of each row of the bank; needed by recipes that look beyond a
            window (`Recipe.needs_articles`).
        ranks: the processes that share each batch; only the first one has a saver, measures and speaks.

    Raises:
        FloatingPointError: the loss or the dev figure is no longer finite.
        LvmError: another process was lost.
        KeyboardInterrupt: after the state was saved.
    """
    if state.epoch == recipe.train.epochs.before(phase):
        state.best, state.best_epoch, state.best_value = {}, 0, -math.inf
    end = recipe.train.epochs.before(phase) + getattr(recipe.train.epochs, phase)
    windows = TrainingWindows.of_phase(recipe, vectors, targets, article_of_row, precision)
    loss_of = step_function(state.model, windows, ranks)
    try:
        while _goes_on(state, recipe, end):
            _train_epoch(state, recipe, windows, loss_of, saver, ranks)
            if saver:
                saver.now_and_then(state)
            figures = ranks.broadcast(dev_metrics(state.model) if ranks.first else None)
            _end_epoch(state, recipe, phase, len(windows), figures, ranks)
        state.epoch = end  # after an early stop too: the next phase and the schedules count from there
        if saver:
            saver.save(state)  # what is left is to write the result
    except KeyboardInterrupt:  # comes between two steps, never within one
        if saver:
            saver.save(state)
        raise


def _goes_on(state: TrainState, recipe: Recipe, end: int) -> bool:
    """Whether the phase has another epoch to train: a function of the state alone, so that a resumed run agrees."""
    waited = state.epoch - state.best_epoch if state.best_epoch else 0
    patience = recipe.train.early_stop
    return state.epoch < end and (patience is None or waited < patience)


def _train_epoch(
    state: TrainState,
    recipe: Recipe,
    windows: TrainingWindows,
    loss_of: LossOf,
    saver: Saver | None,
    ranks: Ranks,
) -> None:
    """The steps of the epoch after `state.epoch` that are still to do, over all windows in a seeded order."""
    train, epoch, device = recipe.train, state.epoch + 1, windows.vectors.device
    model, optimizer = state.model.train(), state.optimizer
    draw_masks(model, epoch_seed(recipe.seed, epoch, 4))
    batches = windows.batches(epoch)
    dev_losses = [1.0 - past[f"dev_{train.best_by}"] for past in state.history]
    done = sum(map(len, batches[: state.step]))
    progress = Progress(f"train {recipe.name}: epoch {epoch}/{train.epochs.total}", len(windows), "windows", done=done)
    if state.step == 0:
        torch.manual_seed(epoch_seed(recipe.seed, epoch, 2))  # dropout, and the model's own draws
        state.loss_sum = torch.zeros((), device=device)  # read once an epoch: no synchronisation in the step loop
    if ranks.rank and device.type == "cuda":  # there each process draws for its own windows: not the same for all
        torch.cuda.manual_seed(epoch_seed(recipe.seed, epoch, 2, ranks.rank, state.step))
    for rows in batches[state.step :]:
        at = epoch - 1 + state.step / len(batches)
        with uninterrupted(), lost_is_one_line():
            optimizer.lr = train.lr * train.schedule.at(at, train.epochs.total, dev_losses)
            model.set_ramps(at)
            loss = loss_of(rows, at, state.step)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(optimizer.parameters, train.clip)
            optimizer.step()
            state.loss_sum += loss.detach() * len(rows)
            state.step += 1
        progress.update(len(rows))
        if saver:
            saver.now_and_then(state)
    if not math.isfinite(float(state.loss_sum)):
        raise FloatingPointError(f"the loss of epoch {epoch} is {float(state.loss_sum)}")


def _end_epoch(
    state: TrainState, recipe: Recipe, phase: str, windows: int, dev: dict[str, float], ranks: Ranks
) -> None:
    """Enter the figures of the epoch into the history, keep its weights if they are the best, count it as finished."""
    epoch, key = state.epoch + 1, f"dev_{recipe.train.best_by}"
    figures = {"train_loss": float(state.loss_sum) / windows, **dev}
    if not math.isfinite(figures[key]):
        raise FloatingPointError(f"{key} of epoch {epoch} is {figures[key]}")
    lr = state.optimizer.lr
    with uninterrupted():
        state.history.append({"epoch": epoch, "phase": phase, "lr": lr, **figures})
        if figures[key] > state.best_value:
            state.best_value, state.best_epoch = figures[key], epoch
            state.best = {name: tensor.detach().clone() for name, tensor in state.model.state_dict().items()}
        state.epoch, state.step = epoch, 0
    shown = ", ".join(f"{name} {number:.4f}" for name, number in figures.items())
    total = recipe.train.epochs.total
    if ranks.first:
        print(f"train {recipe.name} phase {phase}: epoch {epoch}/{total}, lr {lr:.2g}, {shown}", flush=True)


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
