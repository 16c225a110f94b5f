"""What every model family shares: common parameters, the normaliser, and values that grow over the epochs."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from lvm_core.models.normaliser import Normaliser
from lvm_core.params import Group
from lvm_core.schedules import ramp


class FamilyParams(Group):
    """Parameters that every family has.

    Attributes:
        normaliser: `robust`: the model reads and writes vectors normalised dimension by dimension; null: as they are.
    """

    normaliser: Literal["robust"] | None = None


class RampedValue(nn.Module):
    """A number that the model needs and that grows over the epochs.

    Attributes:
        in_force: [] float32 buffer, saved with the weights, so that a saved epoch is judged at the value it was trained
            at (the earlier work judged it at the full one: prior results, section 3.3).
    """

    def __init__(self, full: float, epochs: list[int] | None) -> None:
        super().__init__()
        self.full, self.epochs = full, epochs
        self.in_force: torch.Tensor
        self.register_buffer("in_force", torch.zeros(()))
        self.set_epoch(0.0)

    def set_epoch(self, epoch: float) -> None:
        """Take the value of this point in training; `epoch` is fractional, from 0, over all phases."""
        self.in_force.fill_(self.full * (ramp(epoch, *self.epochs) if self.epochs else 1.0))


class LatentModel(nn.Module):
    """Five context vectors to the raw (not unit) prediction of the next one. A family defines `predict`.

    Attributes:
        normaliser: to be fitted before the first step (`normaliser.fit(vectors)`); None where the recipe has none.
    """

    def __init__(self, params: FamilyParams, dimension: int) -> None:
        super().__init__()
        self.normaliser = Normaliser(dimension) if params.normaliser else None

    def forward(self, contexts: torch.Tensor) -> torch.Tensor:
        """[B, 5, D] -> [B, D]."""
        return self._denormalised(self.predict(self._normalised(contexts)))

    def predict(self, contexts: torch.Tensor) -> torch.Tensor:
        """[B, 5, D] -> [B, D], both as the normaliser leaves them."""
        raise NotImplementedError

    def set_ramps(self, epoch: float) -> None:
        """Set everything that changes over the epochs (`RampedValue`); `epoch` is fractional, from 0, over all phases.

        To be called before each training step and never for an evaluation: the values in force are saved.
        """
        for module in self.modules():
            if isinstance(module, RampedValue):
                module.set_epoch(epoch)

    def _normalised(self, vectors: torch.Tensor) -> torch.Tensor:
        return vectors if self.normaliser is None else self.normaliser.normalise(vectors)

    def _denormalised(self, vectors: torch.Tensor) -> torch.Tensor:
        return vectors if self.normaliser is None else self.normaliser.denormalise(vectors)
