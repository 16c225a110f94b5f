"""What changes over the epochs: the learning rate, and ramps of weights and strengths. Pure functions of the epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from lvm_core.config.params import Group


class Constant(Group):
    """The base rate throughout."""

    name: Literal["constant"]


class Cosine(Group):
    """Linear warm-up, then a half cosine down to `floor` at the end of the last phase."""

    name: Literal["cosine"]
    warmup_epochs: Annotated[float, Field(ge=0.0)]
    floor: Annotated[float, Field(ge=0.0, le=1.0)]


class Plateau(Group):
    """Multiply by `factor` when the dev figure that chooses the epoch is no better for more than `patience` epochs."""

    name: Literal["plateau"]
    factor: Annotated[float, Field(gt=0.0, lt=1.0)]
    patience: Annotated[int, Field(ge=0)]


Schedule = Annotated[Constant | Cosine | Plateau, Field(discriminator="name")]


def cosine_factor(epoch: float, total: float, warmup: float, floor: float) -> float:
    """Warm-up from 0 to 1 over `warmup` epochs, then cosine to `floor` at `total`; `epoch` is fractional, from 0."""
    if epoch < warmup:
        return epoch / warmup
    done = min((epoch - warmup) / max(total - warmup, 1e-12), 1.0)
    return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * done))


def plateau_factor(dev_losses: Sequence[float], factor: float, patience: int, threshold: float = 1e-4) -> float:
    """The factor in force after these epochs: torch's `ReduceLROnPlateau` as a pure function of history."""
    best, waited, scale = math.inf, 0, 1.0
    for loss in dev_losses:
        if loss < best * (1.0 - threshold):
            best, waited = loss, 0
        else:
            waited += 1
        if waited > patience:
            scale, waited = scale * factor, 0
    return scale


def rate_factor(
    schedule: Constant | Cosine | Plateau, epoch: float, total: float, dev_losses: Sequence[float]
) -> float:
    """Factor on the base rate.

    Args:
        schedule: which rule.
        epoch: point in training over all phases, fractional, from 0.
        total: epochs of all phases together.
        dev_losses: 1 - the dev figure that chooses the epoch, of each finished epoch.
    """
    if isinstance(schedule, Cosine):
        return cosine_factor(epoch, total, schedule.warmup_epochs, schedule.floor)
    if isinstance(schedule, Plateau):
        return plateau_factor(dev_losses, schedule.factor, schedule.patience)
    return 1.0


Epoch = Annotated[int, Field(ge=1)]


def _in_order(epochs: list[int]) -> list[int]:
    if epochs[0] > epochs[1]:
        raise ValueError("a ramp is [first epoch, last epoch], in this order")
    return epochs


Ramp = Annotated[list[Epoch], Field(min_length=2, max_length=2), AfterValidator(_in_order)]


def ramp(epoch: float, a: int, b: int) -> float:
    """Share in force of something that grows over the epochs a to b, counted from 1: linear, so that it changes with
    every step, from 0 at the start of epoch a to 1 at the end of epoch b.

    With b = a - 1 it is a jump from 0 to 1 at the start of epoch a.

    Args:
        epoch: point in training over all phases, fractional, from 0 (epoch 1 reaches from 0.0 to 1.0).
        a: first epoch of the ramp.
        b: last epoch of the ramp.
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
    def _start_of_a_ramp(self) -> Ramped:
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
