"""AMN, the attention mixture network of the earlier work (prior results, section 2). It cannot see the order."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from lvm_core.models.base import FamilyParams, LatentModel


class AmnParams(FamilyParams):
    """Size of an attention mixture network; published: d_model 256, ffn 512.

    Attributes:
        d_model: width of query and keys, and of the last hidden layer.
        ffn: width of the first hidden layer.
    """

    family: Literal["amn"]
    d_model: Annotated[int, Field(ge=1, le=16_384)]
    ffn: Annotated[int, Field(ge=1, le=65_536)]


class Amn(LatentModel):
    """y = mean + MLP([mean; mixture]); the mixture's weights are those of attention from the mean to the context.

    Nothing tells one slot from another, so that shuffling or reversing the context changes nothing beyond rounding.
    """

    def __init__(self, params: AmnParams, dimension: int) -> None:
        super().__init__(params, dimension)
        width = params.d_model
        self.query, self.key = nn.Linear(dimension, width), nn.Linear(dimension, width)
        self.residual = nn.Sequential(
            *(nn.Linear(2 * dimension, params.ffn), nn.GELU(), nn.LayerNorm(params.ffn)),
            *(nn.Linear(params.ffn, width), nn.GELU(), nn.LayerNorm(width)),
            nn.Linear(width, dimension),
        )

    def predict(self, contexts: torch.Tensor) -> torch.Tensor:
        """[B, 5, D] -> [B, D]."""
        mean = contexts.mean(dim=1)
        query, keys = self.query(mean), self.key(contexts)  # [B, d], [B, 5, d]
        logits = (query[:, None] * keys).sum(dim=2) / math.sqrt(query.shape[1])
        weights = logits.to(contexts.dtype).softmax(dim=1)
        mixture = (weights[:, :, None] * contexts).sum(dim=1)
        return mean + self.residual(torch.cat([mean, mixture], dim=1)).to(contexts.dtype)
