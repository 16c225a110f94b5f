"""A training batch: contexts, corrupted where the recipe says so, targets, and what its losses need."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch.nn import functional as F

from lvm_core.config.models import Noise, RandomUnit
from lvm_core.config.recipe import LOSSES, Recipe
from lvm_core.models.base import LatentModel
from lvm_core.runtime.distributed import Share
from lvm_core.runtime.errors import LvmError
from lvm_core.train.losses import Batch, Candidates
from lvm_core.train.sampling import (
    Articles,
    Vectors,
    article_batches,
    candidates_of,
    future_of,
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


class DrawsSamples(Protocol):
    """A model whose output is random (`models.draws_samples`)."""

    def samples(self, contexts: torch.Tensor, n: int) -> torch.Tensor:
        """[B, 5, D] -> [B, n, D]."""


def epoch_seed(seed: int, epoch: int, *purpose: int) -> int:
    """A 63-bit seed for one purpose in one epoch: no random state has to be carried over a border.

    Purposes: 0 first weights, 1 order of the windows, 2 dropout and other draws of the model, (3, step) corruption,
    4 dropout masks.
    """
    return int(np.random.SeedSequence([seed, epoch, *purpose]).generate_state(1, np.uint64)[0] >> 1)


@dataclass(frozen=True)
class TrainingWindows:
    """The windows of a phase."""

    recipe: Recipe
    """What to do with them."""
    vectors: Vectors
    """[N, D] the bank: on the device to train on, or mapped."""
    rows: torch.Tensor
    """[W] int64 on the device, row after the last context chunk of each window."""
    articles: Articles | None
    """None where neither batches nor losses ask for it."""
    precision: str
    """`bf16` or `fp32`, for the model's arithmetic."""

    @classmethod
    def of_phase(
        cls, recipe: Recipe, vectors: Vectors, targets: np.ndarray, of_row: np.ndarray | None, precision: str
    ) -> TrainingWindows:
        """The windows that a phase can train on: those whose article has the chunk to be predicted.

        Args:
            recipe: what to do.
            vectors: [N, D] the bank, for the device to train on.
            targets: [W] int64 target rows of the phase's windows.
            of_row: [N] int64 article of each row; may be None for recipes with `needs_articles` False.
            precision: `bf16` or `fp32`.

        Raises:
            ValueError: `of_row` is needed.
            LvmError: no window is left.
        """
        articles = None
        if recipe.needs_articles:
            if of_row is None:
                raise ValueError(f"recipe {recipe.name} needs to know the article of each row")
            articles = Articles.from_rows(of_row)
            targets = with_chunk_ahead(targets, recipe.train.target_offset - 1, articles)
        if not len(targets):
            raise LvmError(
                f"recipe {recipe.name}: no article has the chunk that train.target_offset = "
                f"{recipe.train.target_offset} asks for; lower it or bring longer articles"
            )
        return cls(recipe, vectors, torch.from_numpy(targets).to(vectors.device), articles, precision)

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self, epoch: int) -> Sequence[torch.Tensor]:
        """The windows of each step of an epoch (counted from 1), [B] int64 each, on the device."""
        train, seed = self.recipe.train, epoch_seed(self.recipe.seed, epoch, 1)
        if train.batches == "windows":
            return window_batches(self.rows, train.batch_size, seed)
        parts = article_batches(self.rows.cpu().numpy(), train.batch_size, seed, self._articles())
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
            model: in training.
            rows: [B] int64 on the device, from `batches`, or this process's part of them.
            weighted: names of the losses in force.
            at: point in training, in epochs, from 0.
            step: of the epoch, from 0.
            share: which part of the batch `rows` are; None: all of it.
        """
        needs = {need for name in weighted for need in LOSSES[name].needs}
        ahead = self.recipe.train.target_offset - 1
        contexts = rows_of(self.vectors, rows[:, None] + torch.arange(-CONTEXT, 0, device=rows.device))  # [B, 5, D]
        targets = rows_of(self.vectors, rows + ahead)  # [B, D]
        parts: dict[str, Any] = {"share": share}
        given = self._corrupted(contexts, at, step, share)
        if given is not contexts:
            parts["clean"] = contexts
        if "candidates" in needs:
            parts["candidates"] = self._candidates(rows)
        if "future" in needs:
            steps = max(self._option(name, "steps", 1) for name in weighted) - 1
            after, has = future_of((rows + ahead).cpu().numpy(), steps, self._articles())
            parts["future"] = rows_of(self.vectors, torch.from_numpy(after).to(rows.device))
            parts["has_future"] = torch.from_numpy(has).to(rows.device)
        if "scale" in needs and model.normaliser is not None:
            parts["scale"] = model.normaliser.scale
        if "predict" in needs:
            parts["predict"] = lambda contexts: self._run(model, contexts)
        if "samples" in needs:
            count = max(self._option(name, "samples", 0) for name in weighted)
            with self.autocast():
                drawn = cast(DrawsSamples, model).samples(given, count)
            parts["samples"] = drawn.float()
        raw = self._run(model, given) if "raw" in needs else torch.zeros_like(targets)
        return Batch(raw, given, targets, **parts)

    def autocast(self, enabled: bool = True) -> torch.autocast:
        """The model's arithmetic (`enabled`), or float32.

        Weights that were cast are kept until the outermost block is left: entered around a step and left within it for
        all but the model, they are cast once a step, however often the model is called.
        """
        bf16 = enabled and self.precision == "bf16"
        return torch.autocast(self.rows.device.type, dtype=torch.bfloat16, enabled=bf16)

    def _run(self, model: LatentModel, contexts: torch.Tensor) -> torch.Tensor:
        with self.autocast():
            raw: torch.Tensor = model(contexts)
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

    def _candidates(self, rows: torch.Tensor) -> Candidates:
        found = candidates_of(rows.cpu().numpy(), self._articles(), self.recipe.train.target_offset - 1)
        chunks = rows_of(self.vectors, torch.from_numpy(found.rows).to(rows.device))
        allowed, target = (torch.from_numpy(part).to(rows.device) for part in (found.allowed, found.target))
        return Candidates(chunks, allowed, target)

    def _option(self, loss: str, name: str, default: int) -> int:
        value: int = getattr(self.recipe.losses[loss], name, default)
        return value

    def _articles(self) -> Articles:
        if self.articles is None:  # pragma: no cover - `of_phase` made them where the recipe needs them
            raise ValueError("articles are missing")
        return self.articles
