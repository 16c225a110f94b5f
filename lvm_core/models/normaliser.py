"""The robust normaliser of the Large Concept Model (arXiv 2412.08821; anchors 1.1)."""

from __future__ import annotations

import math

import torch
from torch import nn

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
            columns: dimensions sorted at a time, which bounds the memory to N * columns numbers.
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
