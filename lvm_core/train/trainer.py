"""The training loop: the phases of one recipe on one bank, each from the weights of the phase before."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from lvm_core.bank import Bank
from lvm_core.bank.chunks import Memory, mean_chunk
from lvm_core.config.recipe import Recipe
from lvm_core.fivecat.ranking import FEWEST_CANDIDATES, article_scores, column, retrieval_columns
from lvm_core.fivecat.windows import canonical_windows, iterate_batches
from lvm_core.models import build_model
from lvm_core.models.layers import draw_masks
from lvm_core.runtime.cli import Progress
from lvm_core.runtime.distributed import ALONE, Ranks, lost_is_one_line
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.hardware import resolve_device, resolve_precision
from lvm_core.runtime.interrupts import uninterrupted
from lvm_core.train.batch import LossOf, MemoryOf, TrainChunks, TrainingWindows, epoch_seed, step_function
from lvm_core.train.sampling import Vectors, rows_of, train_rows, training_vectors
from lvm_core.train.state import AdamW, StateFile, TrainState
from lvm_core.windows import CONTEXT

DevMetrics = Callable[[nn.Module], dict[str, float]]
"""Measures a model on the dev split: `dev_cosine`, `dev_recall_at_5`, ..."""


class Trainer:
    """Trains a recipe on a bank, on the recipe's device and in its precision, as one of the processes `ranks`."""

    def __init__(
        self, recipe: Recipe, bank: Bank, ranks: Ranks = ALONE, on_epoch: Callable[[TrainState], None] | None = None
    ) -> None:
        self.recipe, self.bank, self.ranks = recipe, bank, ranks
        self.on_epoch = on_epoch
        """Called by the first process after each epoch."""
        self.device = resolve_device(recipe.device, ranks.local if ranks.size > 1 else None)
        self.precision = resolve_precision(recipe.precision, self.device)

    @cached_property
    def vectors(self) -> Vectors:
        """[N, D] the bank, on the device or mapped; gathered by index, never copied per window."""
        return training_vectors(self.bank, self.device, self.recipe.train.bank)

    @cached_property
    def of_train(self) -> TrainChunks:
        """The chunks of the training articles."""
        mean = torch.from_numpy(mean_chunk(self.bank, "train")).to(self.device)
        return TrainChunks(torch.from_numpy(train_rows(self.bank)), mean)

    @cached_property
    def memory_of(self) -> MemoryOf | None:
        """What the recipe's model sees beside the context; None: nothing."""
        kind = self.recipe.model.memory
        if kind is None:
            return None
        memory = Memory(lambda rows: rows_of(self.vectors, rows), self.bank.article_of_row, self.of_train.mean)
        return memory.before if kind == "read" else memory.whole

    @cached_property
    def measure(self) -> DevMetrics:
        """Called after each epoch; `best_by` picks among its figures (higher is better, first of equals)."""
        return dev_metrics_on(self.bank, self.device, self.recipe.train.best_by, self.memory_of)

    def start(self) -> TrainState:
        """A fresh model and optimiser."""
        torch.manual_seed(epoch_seed(self.recipe.seed, 0, 0))
        model = build_model(self.recipe.model, self.bank.info.dimension).to(self.device)
        train = self.recipe.train
        return TrainState(model, AdamW(model.parameters(), train.lr, (train.beta1, train.beta2), train.weight_decay))

    def windows(self, targets: np.ndarray) -> TrainingWindows:
        """The windows with these target rows [W] int64; an `LvmError` if none is left."""
        article_of_row, of_train = self.bank.article_of_row, self.of_train if self._draws_from_bank() else None
        return TrainingWindows(
            self.recipe, self.vectors, targets, article_of_row, self.precision, self.memory_of, of_train
        )

    def _draws_from_bank(self) -> bool:
        return any(getattr(term, "bank_negatives", 0) for term in self.recipe.losses.values())

    def train(self, state: TrainState, phase: str, targets: np.ndarray, saver: StateFile | None = None) -> None:
        """Train `state` for one phase, in place: from its beginning, or from where `state` stands in it.

        Args:
            state: from `start`, from the end of the phase before, or as a saver saved it within this phase.
            phase: `a`, `b` or `c`.
            targets: [W] int64 target rows of the phase's windows.
            saver: called after each step, at the end, and when Ctrl-C or SIGTERM ends the training; of several
                processes the first one has it, measures and speaks.

        Raises:
            FloatingPointError: the loss or the dev figure is no longer finite.
            LvmError: no window has a target, dev cannot be measured, or another process was lost.
            KeyboardInterrupt: after the state was saved.
        """
        epochs, measure = self.recipe.train.epochs, self.measure
        if state.epoch == epochs.before(phase):
            state.best, state.best_epoch, state.best_value = {}, 0, -math.inf
        end = epochs.before(phase) + getattr(epochs, phase)
        windows = self.windows(targets)
        loss_of = step_function(state.model, windows, self.ranks)
        try:
            while self._goes_on(state, end):
                self._train_epoch(state, windows, loss_of, saver)
                if saver:
                    saver.now_and_then(state)
                figures = self.ranks.broadcast(measure(state.model) if self.ranks.first else None)
                self._end_epoch(state, phase, {"train_loss": float(state.loss_sum) / len(windows), **figures})
            state.epoch = end  # after an early stop too: the next phase and the schedules count from there
            if saver:
                saver.save(state)  # what is left is to write the result
        except KeyboardInterrupt:  # comes between two steps, never within one
            if saver:
                saver.save(state)
            raise

    def _goes_on(self, state: TrainState, end: int) -> bool:
        """Whether the phase has another epoch to train: a function of the state alone, so that a resumed run agrees."""
        waited = state.epoch - state.best_epoch if state.best_epoch else 0
        patience = self.recipe.train.early_stop
        return state.epoch < end and (patience is None or waited < patience)

    def _train_epoch(
        self, state: TrainState, windows: TrainingWindows, loss_of: LossOf, saver: StateFile | None
    ) -> None:
        """The steps of the epoch after `state.epoch` that are still to do, over all windows in a seeded order."""
        train, seed, epoch = self.recipe.train, self.recipe.seed, state.epoch + 1
        model, optimizer, rank = state.model.train(), state.optimizer, self.ranks.rank
        draw_masks(model, epoch_seed(seed, epoch, 4))
        batches = windows.batches(epoch)
        dev_losses = [1.0 - past[f"dev_{train.best_by}"] for past in state.history]
        label = f"train {self.recipe.name}: epoch {epoch}/{train.epochs.total}"
        progress = Progress(label, len(windows), "windows", done=sum(map(len, batches[: state.step])))
        if state.step == 0:
            torch.manual_seed(epoch_seed(seed, epoch, 2))  # dropout, and the model's own draws
            state.loss_sum = torch.zeros((), device=self.device)  # read once an epoch: no synchronisation in the loop
        if rank and self.device.type == "cuda":  # there each process draws for its own windows: not the same for all
            torch.cuda.manual_seed(epoch_seed(seed, epoch, 2, rank, state.step))
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

    def _end_epoch(self, state: TrainState, phase: str, figures: dict[str, float]) -> None:
        """Enter the figures of the epoch into the history, keep its weights if they are the best, count it."""
        epoch, key, lr = state.epoch + 1, f"dev_{self.recipe.train.best_by}", state.optimizer.lr
        if not math.isfinite(figures[key]):
            raise FloatingPointError(f"{key} of epoch {epoch} is {figures[key]}")
        with uninterrupted():
            state.history.append({"epoch": epoch, "phase": phase, "lr": lr, **figures})
            if figures[key] > state.best_value:
                state.best_value, state.best_epoch = figures[key], epoch
                state.best = {name: tensor.detach().clone() for name, tensor in state.model.state_dict().items()}
            state.epoch, state.step = epoch, 0
        if self.ranks.first:
            shown = ", ".join(f"{name} {number:.4f}" for name, number in figures.items())
            place = f"train {self.recipe.name} phase {phase}: epoch {epoch}/{self.recipe.train.epochs.total}"
            print(f"{place}, lr {lr:.2g}, {shown}", flush=True)
            if self.on_epoch:
                self.on_epoch(state)


def dev_metrics_on(
    bank: Bank, device: torch.device, best_by: str = "cosine", memory_of: MemoryOf | None = None
) -> DevMetrics:
    """A function that measures a model on all windows of `dev`, always in float32.

    It returns `dev_cosine` (mean cosine with the target), `dev_cosine_last` (with the last context chunk: a model that
    copies has 1) and `dev_recall_at_5` (in the article, context masked, over the windows with six or more candidates;
    NaN where there are none). `dev_<best_by>` must be defined, because it chooses the epoch to keep. With `memory_of`
    the model is given each window's memory.

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
        for batch in iterate_batches(bank, windows, 1024, device):
            given = () if memory_of is None else (memory_of(torch.from_numpy(batch.rows).to(device)),)
            scores = article_scores(F.normalize(model(batch.contexts(), *given), dim=1), batch)
            parts["dev_cosine"].append(column(scores, batch.position).cpu().numpy())
            parts["dev_cosine_last"].append(column(scores, batch.position - 1).cpu().numpy())
            parts["dev_recall_at_5"].append(retrieval_columns(scores, batch, FEWEST_CANDIDATES)["recall_at_5"])
        return {name: _mean(np.concatenate(values)) for name, values in parts.items()}

    return measure


def _mean(values: np.ndarray) -> float:
    """Mean of the values that are not NaN; NaN if all are."""
    defined = values[~np.isnan(values)]
    return float(defined.mean(dtype=np.float64)) if len(defined) else float("nan")
