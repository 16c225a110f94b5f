"""A training batch: contexts, corrupted where the recipe says so, targets, what its losses need, and its loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from lvm_core.config.recipe import LOSSES, Noise, RandomUnit, Recipe, in_force
from lvm_core.models.base import LatentModel, set_share
from lvm_core.runtime.distributed import Ranks, Share
from lvm_core.runtime.errors import LvmError
from lvm_core.train.losses import Batch, Candidates, total_loss
from lvm_core.train.sampling import (
    Articles,
    Vectors,
    article_batches,
    candidates_of,
    future_of,
    means_by,
    rows_of,
    window_batches,
    with_chunk_ahead,
)
from lvm_core.windows import CONTEXT


def corrupt_last_slot(
    contexts: torch.Tensor,
    how: Noise | RandomUnit,
    probability: float,
    generator: torch.Generator,
    share: Share | None = None,
) -> torch.Tensor:
    """[B, 5, D] contexts -> a copy with the last slot of some windows corrupted."""
    count, dimension = len(contexts) if share is None else share.whole, contexts.shape[2]
    hit, swapped = torch.rand(2, count, generator=generator).unbind()
    drawn = torch.randn(count, dimension, generator=generator)
    if share is not None:
        hit, swapped, drawn = share.of(hit), share.of(swapped), share.of(drawn)
    drawn, last = drawn.to(contexts), contexts[:, -1]
    if isinstance(how, RandomUnit):
        corrupted = F.normalize(drawn, dim=1)
    else:
        noisy = F.normalize(last + how.norm / math.sqrt(dimension) * drawn, dim=1)
        corrupted = torch.where((swapped < how.swap)[:, None].to(contexts.device), contexts[:, -2], noisy)
    changed = torch.where((hit < probability)[:, None].to(contexts.device), corrupted, last)
    return torch.cat([contexts[:, :-1], changed[:, None]], dim=1)


def epoch_seed(seed: int, epoch: int, *purpose: int) -> int:
    """A 63-bit seed for one purpose in one epoch: no random state has to be carried over a border.

    Purposes: 0 first weights, 1 order of the windows, 2 dropout and other draws of the model, (3, step) corruption,
    4 dropout masks, (5, step) chunks of the bank as candidates.
    """
    return int(np.random.SeedSequence([seed, epoch, *purpose]).generate_state(1, np.uint64)[0] >> 1)


MemoryOf = Callable[[torch.Tensor], torch.Tensor]
"""From the rows [B] int64 after the last context chunks, on the device, to the windows' memory [B, D] float32."""


@dataclass(frozen=True)
class TrainChunks:
    """All chunks of the articles of `train`."""

    rows: torch.Tensor
    """[n] int64, on the processor."""
    mean: torch.Tensor
    """[D] float32, on the device."""


class TrainingWindows:
    """The windows that a phase can train on: those whose article has the chunk to be predicted."""

    def __init__(
        self,
        recipe: Recipe,
        vectors: Vectors,
        targets: np.ndarray,
        article_of_row: np.ndarray,
        precision: str,
        memory_of: MemoryOf | None = None,
        of_train: TrainChunks | None = None,
    ) -> None:
        """For `recipe`, from the bank's `vectors` [N, D]: the target rows [W] int64 of the phase.

        Args:
            article_of_row: [N] int64 article of each row.
            precision: `bf16` or `fp32`, for the model's arithmetic; losses are in float32.
            memory_of: what the recipe's model sees beside the context; None: nothing.
            of_train: for losses with `bank_negatives`.

        Raises:
            LvmError: no window is left.
        """
        self.recipe, self.vectors, self.precision = recipe, vectors, precision
        self.memory_of, self.of_train = memory_of, of_train
        self.articles, self.ahead = Articles.from_rows(article_of_row), recipe.train.target_offset - 1
        targets = with_chunk_ahead(targets, self.ahead, self.articles)
        if not len(targets):
            raise LvmError(
                f"recipe {recipe.name}: no article has the chunk that train.target_offset = "
                f"{recipe.train.target_offset} asks for; lower it or bring longer articles"
            )
        self.rows = torch.from_numpy(targets).to(vectors.device)  # of the chunk after the last context chunk

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self, epoch: int) -> Sequence[torch.Tensor]:
        """The windows of each step of an epoch (counted from 1), [B] int64 each, on the device."""
        train, seed = self.recipe.train, epoch_seed(self.recipe.seed, epoch, 1)
        if train.batches == "windows":
            return window_batches(self.rows, train.batch_size, seed)
        parts = article_batches(self.rows.cpu().numpy(), train.batch_size, seed, self.articles)
        return [torch.from_numpy(part).to(self.rows.device) for part in parts]

    def forward(
        self,
        model: LatentModel,
        rows: torch.Tensor,
        weighted: Sequence[str],
        at: float,
        step: int,
        share: Share | None = None,
    ) -> Batch:
        """Gather the windows, corrupt them as the recipe says, and run the model.

        Args:
            rows: [B] int64 on the device, from `batches`, or this process's part of them.
            weighted: names of the losses in force.
            at: point in training, in epochs, from 0; `step` is that of the epoch, from 0.
            share: which part of the batch `rows` are; None: all of it.
        """
        needs = {need for name in weighted for need in LOSSES[name].needs}
        contexts = rows_of(self.vectors, rows[:, None] + torch.arange(-CONTEXT, 0, device=rows.device))  # [B, 5, D]
        targets = rows_of(self.vectors, rows + self.ahead)  # [B, D]
        memory = None if self.memory_of is None else self.memory_of(rows)  # the same at every step of a free run
        parts: dict[str, Any] = {"share": share}
        given = self._corrupted(contexts, at, step, share)
        if given is not contexts:
            parts["clean"] = contexts
        if "candidates" in needs:
            parts["candidates"] = self._candidates(rows, weighted, at, step)
        if "future" in needs:
            steps = self._option(weighted, "steps") - 1
            after, has = future_of((rows + self.ahead).cpu().numpy(), steps, self.articles)
            parts["future"] = rows_of(self.vectors, torch.from_numpy(after).to(rows.device))
            parts["has_future"] = torch.from_numpy(has).to(rows.device)
        if "scale" in needs and model.normaliser is not None:
            parts["scale"] = model.normaliser.scale
        if "predict" in needs:
            parts["predict"] = lambda contexts: self._run(model, contexts, memory)
        if "samples" in needs:
            with self.autocast():
                parts["samples"] = model.samples(given, self._option(weighted, "samples"), memory).float()
        raw = self._run(model, given, memory) if "raw" in needs else torch.zeros_like(targets)
        return Batch(raw, given, targets, **parts)

    def autocast(self, enabled: bool = True) -> torch.autocast:
        """The model's arithmetic (`enabled`), or float32.

        Weights that were cast are kept until the outermost block is left: entered around a step and left within it for
        all but the model, they are cast once a step, however often the model is called.
        """
        bf16 = enabled and self.precision == "bf16"
        return torch.autocast(self.rows.device.type, dtype=torch.bfloat16, enabled=bf16)

    def _run(self, model: LatentModel, contexts: torch.Tensor, memory: torch.Tensor | None) -> torch.Tensor:
        with self.autocast():
            raw: torch.Tensor = model(contexts, memory)
        return raw.float()

    def _corrupted(self, contexts: torch.Tensor, at: float, step: int, share: Share | None) -> torch.Tensor:
        if self.recipe.corruption is None:
            return contexts
        how = self.recipe.corruption.last_slot
        probability = how.in_force(how.probability, at)
        if not probability:
            return contexts
        seed = epoch_seed(self.recipe.seed, int(at) + 1, 3, step)
        return corrupt_last_slot(contexts, how, probability, torch.Generator().manual_seed(seed), share)

    def _candidates(self, rows: torch.Tensor, weighted: Sequence[str], at: float, step: int) -> Candidates:
        found = candidates_of(rows.cpu().numpy(), self.articles, self.ahead)
        places, allowed, target = (torch.from_numpy(part).to(rows.device) for part in found)
        count, mean = self._option(weighted, "bank_negatives"), None
        if count:
            drawn = self._drawn(count, at, step).to(rows.device)
            own = rows[:, None]
            others = (drawn < own - CONTEXT) | (drawn > own + self.ahead)
            places, allowed = torch.cat([places, drawn]), torch.cat([allowed, others], dim=1)
        chunks = rows_of(self.vectors, places)
        if self._option(weighted, "centred"):
            mean = self._train().mean if count else means_by(self.articles.of_row[found[0]], chunks)
        return Candidates(chunks, allowed, target, mean)

    def _drawn(self, count: int, at: float, step: int) -> torch.Tensor:
        """[count] int64 rows of `train`, the same for all windows of a step."""
        seed = epoch_seed(self.recipe.seed, int(at) + 1, 5, step)
        rows = self._train().rows
        return rows[torch.randint(len(rows), (count,), generator=torch.Generator().manual_seed(seed))]

    def _train(self) -> TrainChunks:
        if self.of_train is None:
            raise ValueError("a loss with bank_negatives needs the chunks of train")
        return self.of_train

    def _option(self, weighted: Sequence[str], name: str) -> int:
        """The largest value of an option among the losses in force that have it."""
        return max(getattr(self.recipe.losses[loss], name, 0) for loss in weighted)


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
