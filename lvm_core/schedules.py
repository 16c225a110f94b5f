"""Learning-rate schedules: pure functions from the point in training to a factor on the base rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from lvm_core.params import Group


class Constant(Group):
    """The base rate throughout."""

    name: Literal["constant"]


class Cosine(Group):
    """Linear warm-up, then a half cosine down to `floor` at the end of the last phase."""

    name: Literal["cosine"]
    warmup_epochs: Annotated[float, Field(ge=0.0)]
    floor: Annotated[float, Field(ge=0.0, le=1.0)]


class Plateau(Group):
    """Multiply by `factor` when the dev loss has not improved for more than `patience` epochs."""

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
        dev_losses: dev loss of each finished epoch.
    """
    if isinstance(schedule, Cosine):
        return cosine_factor(epoch, total, schedule.warmup_epochs, schedule.floor)
    if isinstance(schedule, Plateau):
        return plateau_factor(dev_losses, schedule.factor, schedule.patience)
    return 1.0
