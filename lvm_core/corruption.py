"""Corruption of what a model is given in training, so that it cannot rely on the last context chunk alone.

The random draws come from their own stream, one seed a step: they disturb no other draw, and no state has to be saved.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch.nn import functional as F

from lvm_core.params import Group
from lvm_core.ranks import Share
from lvm_core.schedules import Ramped

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class LastSlot(Ramped):
    """When the last slot is corrupted.

    Attributes:
        probability: that a window is corrupted, once the ramp is over.
    """

    probability: Probability


class Noise(LastSlot):
    """Gaussian noise added to the last chunk, which is then made unit length (P5.1: prior results, section 3.3).

    Attributes:
        norm: root mean square length of the noise, at any D; 0.83 leaves a cosine of 0.77 with the clean chunk.
        swap: share of the corrupted windows that get the second-last chunk in the last slot instead.
    """

    kind: Literal["noise"]
    norm: Annotated[float, Field(ge=0.0, le=100.0)]
    swap: Probability = 0.0


class RandomUnit(LastSlot):
    """A random direction instead of the last chunk (context drop of V1, V3, P3, P4: prior results, section 3.0)."""

    kind: Literal["random_unit"]


class Corruption(Group):
    """What is corrupted (`corruption` of a recipe)."""

    last_slot: Annotated[Noise | RandomUnit, Field(discriminator="kind")]


def corrupt_last_slot(
    contexts: torch.Tensor,
    how: Noise | RandomUnit,
    probability: float,
    generator: torch.Generator,
    share: Share | None = None,
) -> torch.Tensor:
    """[B, 5, D] contexts -> a copy with the last slot of some windows corrupted.

    Args:
        contexts: float32, unit rows.
        how: kind and strength.
        probability: in force at this point in training.
        generator: on the CPU, so that the draws are the same on every device.
        share: which part of a batch these windows are: the draws are those of the whole batch.
    """
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
