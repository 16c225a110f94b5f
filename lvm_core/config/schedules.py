"""What changes over the epochs: ramps of weights and strengths, and the learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from lvm_core.config.params import Group

Epoch = Annotated[int, Field(ge=1)]


def _in_order(epochs: list[int]) -> list[int]:
    if epochs[0] > epochs[1]:
        raise ValueError("a ramp is [first epoch, last epoch], in this order")
    return epochs


Ramp = Annotated[list[Epoch], Field(min_length=2, max_length=2), AfterValidator(_in_order)]


def ramp(epoch: float, a: int, b: int) -> float:
    """Share in force of what grows linearly from 0 at the start of epoch a to 1 at the end of epoch b (from 1).

    With b = a - 1 it is a jump from 0 to 1 at the start of epoch a. `epoch` is the point in training over all phases,
    fractional, from 0 (epoch 1 reaches from 0.0 to 1.0).
    """
    if b < a:
        return float(epoch >= a - 1)
    return min(max((epoch - (a - 1)) / (b - a + 1), 0.0), 1.0)


class Ramped(Group):
    """When a number is in force: 0 before `first_epoch`, then `start`, then over the ramp to its full value."""

    first_epoch: Epoch = 1
    """Counted from 1."""
    ramp: Ramp | Epoch | None = None
    """[a, b]: linear from the start of epoch a to the end of b (`ramp`); a single number a: a jump at the start of
    epoch a; null: the full value from `first_epoch` on."""
    start: float = 0.0
    """Value before and at the beginning of the ramp."""

    @model_validator(mode="after")
    def _start_of_a_ramp(self) -> Self:
        if self.ramp is None and self.start:
            raise ValueError("start is the value at the beginning of a ramp, and there is no ramp")
        return self

    def in_force(self, full: float, epoch: float) -> float:
        """The value at this point in training of a number whose full value is `full`; `epoch` as in `ramp`."""
        if epoch < self.first_epoch - 1:
            return 0.0
        if self.ramp is None:
            return full
        a, b = self.ramp if isinstance(self.ramp, list) else (self.ramp, self.ramp - 1)
        return self.start + (full - self.start) * ramp(epoch, a, b)


class Constant(Group):
    """The base rate throughout."""

    name: Literal["constant"]

    def at(self, epoch: float, total: float, dev_losses: Sequence[float]) -> float:
        """Factor on the base rate at a point in training.

        `epoch` is fractional, from 0 over all phases, of `total`; `dev_losses` are 1 - the dev figure that chooses the
        epoch, of each finished epoch.
        """
        return 1.0


class Cosine(Group):
    """Linear warm-up, then a half cosine down to `floor` at the end of the last phase."""

    name: Literal["cosine"]
    warmup_epochs: Annotated[float, Field(ge=0.0)]
    floor: Annotated[float, Field(ge=0.0, le=1.0)]

    def at(self, epoch: float, total: float, dev_losses: Sequence[float]) -> float:
        """Factor on the base rate, as `Constant.at`."""
        if epoch < self.warmup_epochs:
            return epoch / self.warmup_epochs
        done = min((epoch - self.warmup_epochs) / max(total - self.warmup_epochs, 1e-12), 1.0)
        return self.floor + (1.0 - self.floor) * 0.5 * (1.0 + math.cos(math.pi * done))


class Plateau(Group):
    """Multiply by `factor` when the dev figure that chooses the epoch is no better for more than `patience` epochs."""

    name: Literal["plateau"]
    factor: Annotated[float, Field(gt=0.0, lt=1.0)]
    patience: Annotated[int, Field(ge=0)]

    def at(self, epoch: float, total: float, dev_losses: Sequence[float]) -> float:
        """Factor on the base rate, as `Constant.at`: torch's `ReduceLROnPlateau` as a pure function of history."""
        best, waited, scale = math.inf, 0, 1.0
        for loss in dev_losses:
            if loss < best * (1.0 - 1e-4):  # torch's threshold
                best, waited = loss, 0
            else:
                waited += 1
            if waited > self.patience:
                scale, waited = scale * self.factor, 0
        return scale
