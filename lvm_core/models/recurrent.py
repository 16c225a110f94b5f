"""The recurrent networks of the earlier work: LSTM baseline and GRU stack (prior results, section 2)."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from lvm_core.models.base import FamilyParams, LatentModel
from lvm_core.models.dropout import Dropout

Width = Annotated[int, Field(ge=1, le=16_384, description="width of the layers")]
Layers = Annotated[int, Field(ge=1, le=128)]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]


class LstmParams(FamilyParams):
    """Size of an LSTM; published: 512 wide, 2 layers, dropout 0.2 between them."""

    family: Literal["lstm"]
    d_model: Width
    layers: Layers
    dropout: Rate


class Lstm(LatentModel):
    """A stack of LSTM layers; the last step's output, Linear d -> D."""

    def __init__(self, params: LstmParams, dimension: int) -> None:
        super().__init__(params, dimension)
        between = params.dropout if params.layers > 1 else 0.0  # torch warns of dropout that has no place
        self.lstm = nn.LSTM(dimension, params.d_model, params.layers, batch_first=True, dropout=between)
        self.out = nn.Linear(params.d_model, dimension)

    def predict(self, contexts: torch.Tensor) -> torch.Tensor:
        """[B, 5, D] -> [B, D]."""
        steps, _ = self.lstm(contexts)
        prediction: torch.Tensor = self.out(steps[:, -1])
        return prediction


class GruParams(FamilyParams):
    """Size of a GRU stack; published: 512 wide, 4 layers."""

    family: Literal["gru"]
    d_model: Width
    layers: Layers
    dropout: Rate


class GruLayer(nn.Module):
    """x -> LayerNorm(x + dropout(GRU(x)))."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.gru = nn.GRU(width, width, batch_first=True)
        self.norm, self.dropout = nn.LayerNorm(width), Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, T, d] -> [B, T, d]."""
        steps, _ = self.gru(x)
        return self.norm(x + self.dropout(steps))


class Gru(LatentModel):
    """Linear D -> d, a stack of residual GRU layers, the last step, Linear d -> D."""

    def __init__(self, params: GruParams, dimension: int) -> None:
        super().__init__(params, dimension)
        self.project = nn.Linear(dimension, params.d_model)
        self.layers = nn.Sequential(*(GruLayer(params.d_model, params.dropout) for _ in range(params.layers)))
        self.out = nn.Linear(params.d_model, dimension)

    def predict(self, contexts: torch.Tensor) -> torch.Tensor:
        """[B, 5, D] -> [B, D]."""
        prediction: torch.Tensor = self.out(self.layers(self.project(contexts))[:, -1])
        return prediction
