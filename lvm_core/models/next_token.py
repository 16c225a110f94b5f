"""P6 as it was designed and never built: a learned [NEXT] query that reads the context (prior results, section 2.3 a).

Linear D -> d, fixed sinusoid; [NEXT], one learned vector, passes through n post-norm layers (attention to the five
projected vectors, ReLU feed-forward) and the plain head. [NEXT] is not among what it attends to, and no context vector
lies on its residual stream: a copy of the last chunk has to be fetched by attention, which the bias makes dear or bars.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from lvm_core.models.attention import Attention
from lvm_core.models.base import FamilyParams, LatentModel
from lvm_core.models.dropout import Dropout
from lvm_core.models.heads import Plain
from lvm_core.models.last_slot import AnyBias, LastSlotBias
from lvm_core.models.positions import sinusoid
from lvm_core.windows import CONTEXT


class NextTokenParams(FamilyParams):
    """Size of a [NEXT] reader."""

    family: Literal["next_token"]
    d_model: Annotated[int, Field(ge=8, le=16_384, description="width of the layers")]
    layers: Annotated[int, Field(ge=1, le=128)]
    heads: Annotated[int, Field(ge=1, le=256)]
    ffn: Annotated[int, Field(ge=1, le=65_536, description="width of the feed-forward part")]
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    last_slot_bias: Annotated[AnyBias | None, Field(description="against the last slot; null: none")]

    @model_validator(mode="after")
    def _heads_divide(self) -> NextTokenParams:
        if self.d_model % self.heads or self.d_model % 2:
            raise ValueError(f"d_model = {self.d_model} must be even and a multiple of heads = {self.heads}")
        return self


class ReaderLayer(nn.Module):
    """Post-norm layer without self-attention."""

    def __init__(self, width: int, heads: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout)
        self.up, self.down = nn.Linear(width, ffn), nn.Linear(ffn, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.dropout = Dropout(dropout)

    def forward(self, x: torch.Tensor, memory: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """[NEXT] [B, 1, d] and the context [B, T, d] -> [B, 1, d]; `bias` is [T]."""
        x = self.norms[0](self.dropout.onto(x, self.attention(x, memory, bias)))
        return self.norms[1](self.dropout.onto(x, self.down(self.dropout.after_relu(self.up(x)))))


class NextToken(LatentModel):
    """Five context vectors, read by [NEXT], to the raw prediction of the next one."""

    def __init__(self, params: NextTokenParams, dimension: int) -> None:
        super().__init__(params, dimension)
        width = params.d_model
        self.project = nn.Linear(dimension, width)
        self.positions: torch.Tensor
        self.register_buffer("positions", sinusoid(CONTEXT, width), persistent=False)
        self.next = nn.Parameter(0.02 * torch.randn(width))  # near zero: attention starts even over the slots
        self.layers = nn.ModuleList(
            ReaderLayer(width, params.heads, params.ffn, params.dropout) for _ in range(params.layers)
        )
        self.head = Plain(width, dimension)
        self.last_slot = LastSlotBias(params.last_slot_bias) if params.last_slot_bias else None

    def predict(self, contexts: torch.Tensor) -> torch.Tensor:
        """[B, 5, D] -> [B, D]."""
        memory = self.project(contexts) + self.positions  # [B, T, d]
        bias = self.last_slot() if self.last_slot else None
        x = self.next.expand(len(contexts), 1, -1)
        for layer in self.layers:
            x = layer(x, memory, bias)
        return self.head(x[:, 0])
