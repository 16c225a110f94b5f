"""What a loss reads: one training batch after the forward pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import torch
from torch.nn import functional as F

from lvm_core.ranks import Share


@dataclass(frozen=True)
class Candidates:
    """The chunks that the target of each window has to be told from.

    Attributes:
        chunks: [P, D] float32 unit rows, all chunks of all articles of the batch.
        allowed: [B, P] bool, chunks of the window's own article other than its 5 context chunks.
        target: [B] int64, index of the target in `chunks`.
    """

    chunks: torch.Tensor
    allowed: torch.Tensor
    target: torch.Tensor


@dataclass(frozen=True)
class Batch:
    """One training batch after the forward pass. What no loss of the recipe needs (`Loss.needs`) is None.

    Attributes:
        raw: [B, D] float32, the model's raw output (zeros without meaning if no loss needs it).
        contexts: [B, 5, D] float32, unit rows, as the model was given them: corrupted where the recipe corrupts.
        targets: [B, D] float32, unit rows.
        clean: [B, 5, D] float32, the true context chunks, with which losses compare; None: `contexts` are these.
        future: [B, H, D] float32 unit rows, the true chunks after the target; rows beyond the article hold anything.
        has_future: [B, H] bool, whether the article has that chunk.
        candidates: of a batch of whole articles' runs.
        predict: the model in training, contexts [B, 5, D] -> raw predictions [B, D] float32.
        samples: [B, S, D] float32, S draws of a model whose output is random.
        scale: [D] float32, of the model's normaliser.
        share: which part of the whole batch these windows are; None: all of it.
    """

    raw: torch.Tensor
    contexts: torch.Tensor
    targets: torch.Tensor
    clean: torch.Tensor | None = None
    future: torch.Tensor | None = None
    has_future: torch.Tensor | None = None
    candidates: Candidates | None = None
    predict: Callable[[torch.Tensor], torch.Tensor] | None = None
    samples: torch.Tensor | None = None
    scale: torch.Tensor | None = None
    share: Share | None = None

    @property
    def true_contexts(self) -> torch.Tensor:
        """[B, 5, D] float32, unit rows: the true context chunks."""
        return self.contexts if self.clean is None else self.clean

    @cached_property
    def unit(self) -> torch.Tensor:
        """[B, D] the prediction at unit length."""
        return F.normalize(self.raw, dim=1)

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """[] mean of values [B, ...] over the whole batch: other processes may have the rest of it."""
        return values.mean() if self.share is None else self.share.mean(values)

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """[] sum of values [B, ...] over the whole batch, as `mean`."""
        return values.sum() if self.share is None else self.share.total(values)


Part = TypeVar("Part")


def needed(value: Part | None, name: str) -> Part:
    """`value`, which the trainer puts into the batch for losses that declare it."""
    if value is None:
        raise ValueError(f"this loss needs {name}, which the batch does not have")
    return value
