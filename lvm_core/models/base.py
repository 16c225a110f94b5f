"""What every model family shares: the normaliser, values that grow over the epochs, draws shared by processes."""

from __future__ import annotations

import math

import torch
from torch import nn

from lvm_core.config.models import FamilyParams, ramp
from lvm_core.runtime.distributed import Share


class Drawing(nn.Module):
    """A module that draws for the whole batch and takes the part of its own windows: the draws of one process.

    Attributes:
        share: which part of a batch it sees next; None: all of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.share: Share | None = None


def set_share(model: nn.Module, share: Share | None) -> None:
    """Tell every `Drawing` of a model which part of a batch it will see next."""
    for module in model.modules():
        if isinstance(module, Drawing):
            module.share = share


GAUSSIAN_IQR = 0.7413
"""1 / (interquartile range of the standard normal distribution): makes the scale a standard deviation there."""

SMALLEST_SCALE = 1e-6
"""A dimension narrower than this is constant but for rounding: it is centred and not stretched."""


class Normaliser(nn.Module):
    """(x - median) / (0.7413 x interquartile range), dimension by dimension.

    Attributes:
        centre: [D] float32 buffer; NaN until `fit`, so that a model that was never fitted cannot be mistaken for one.
        scale: [D] float32 buffer, positive; NaN until `fit`.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.centre: torch.Tensor
        self.scale: torch.Tensor
        self.register_buffer("centre", torch.full((dimension,), math.nan))
        self.register_buffer("scale", torch.full((dimension,), math.nan))

    def fit(self, vectors: torch.Tensor, columns: int = 32) -> None:
        """Fit on the chunks of the training articles, each once.

        Args:
            vectors: [N, D], any float type and device.
        """
        for first in range(0, vectors.shape[1], columns):
            part = slice(first, first + columns)
            ordered = vectors[:, part].float().sort(dim=0).values
            low, middle, high = (_quantile(ordered, share) for share in (0.25, 0.5, 0.75))
            scale = GAUSSIAN_IQR * (high - low)
            self.centre[part] = middle
            self.scale[part] = torch.where(scale < SMALLEST_SCALE, torch.ones_like(scale), scale)

    def normalise(self, vectors: torch.Tensor) -> torch.Tensor:
        """[..., D] -> [..., D]."""
        return (vectors - self.centre) / self.scale

    def denormalise(self, vectors: torch.Tensor) -> torch.Tensor:
        """[..., D] -> [..., D], the inverse of `normalise`, in float32 at least."""
        return vectors * self.scale + self.centre


def _quantile(ordered: torch.Tensor, share: float) -> torch.Tensor:
    """[N, C] sorted along the rows -> [C], interpolated linearly between the two neighbours (numpy's default)."""
    place = share * (len(ordered) - 1)
    below = int(place)
    return torch.lerp(ordered[below], ordered[min(below + 1, len(ordered) - 1)], place - below)


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

    def samples(self, contexts: torch.Tensor, n: int) -> torch.Tensor:
        """[B, 5, D] -> [B, n, D], n draws of a model with head `energy`, with noise from torch's global generator."""
        raise TypeError("only a model with head `energy` draws samples")

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
