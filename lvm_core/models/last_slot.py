"""A bias of the attention's logits against the last context slot, which copying reads (prior results, 2.3 and 3.3)."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from lvm_core.models.base import RampedValue
from lvm_core.params import Group
from lvm_core.schedules import Ramp
from lvm_core.windows import CONTEXT

BetaMax = Annotated[float, Field(ge=0.0, le=1000.0, description="largest amount taken off the last slot's logit")]


class FixedBias(Group):
    """beta = beta_max x ramp."""

    kind: Literal["fixed"]
    beta_max: BetaMax
    ramp: Ramp | None = None


class LearnableBias(Group):
    """beta = beta_max x ramp x sigmoid(theta); theta is learned from 0, so that beta starts at half of its limit."""

    kind: Literal["learnable"]
    beta_max: BetaMax
    ramp: Ramp | None = None


class Barred(Group):
    """The last slot is not seen at all."""

    kind: Literal["barred"]


SoftBias = Annotated[FixedBias | LearnableBias, Field(discriminator="kind")]
AnyBias = Annotated[FixedBias | LearnableBias | Barred, Field(discriminator="kind")]


class LastSlotBias(nn.Module):
    """The bias of one model: the same in all its layers and heads.

    Attributes:
        strength: beta_max x ramp, in force; None where the slot is barred.
        theta: [] learned, None unless learnable.
        pattern: [5] 0 but for the last slot: -1, or minus infinity where it is barred.
    """

    def __init__(self, params: FixedBias | LearnableBias | Barred) -> None:
        super().__init__()
        barred = isinstance(params, Barred)
        self.strength = None if isinstance(params, Barred) else RampedValue(params.beta_max, params.ramp)
        self.theta = nn.Parameter(torch.zeros(())) if isinstance(params, LearnableBias) else None
        self.pattern: torch.Tensor
        pattern = torch.tensor([0.0] * (CONTEXT - 1) + [-math.inf if barred else -1.0])
        self.register_buffer("pattern", pattern, persistent=False)

    def forward(self) -> torch.Tensor:
        """[5] float32 to be added to the attention's logits of a query that sees all five slots."""
        if self.strength is None:
            return self.pattern
        beta = self.strength.in_force
        return self.pattern * (beta if self.theta is None else beta * torch.sigmoid(self.theta))
