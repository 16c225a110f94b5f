"""The decoder-style transformer of the earlier work (prior results, section 2), with exact savings.

Linear D -> d, fixed sinusoid, n post-norm decoder layers (causal self-attention, causal cross-attention to the layers'
own input, ReLU feed-forward), last position, head Linear - GELU - LayerNorm - Linear d -> D. Only the last position is
read, so the last layer computes only that one: the same output at a fifth of that layer's cost.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from lvm_core.models.attention import Attention
from lvm_core.models.base import LatentModel, RampedValue
from lvm_core.models.dropout import Dropout
from lvm_core.models.heads import Energy, HeadParams, build_head
from lvm_core.models.last_slot import LastSlotBias, SoftBias
from lvm_core.models.positions import append_position, sinusoid
from lvm_core.params import PosScalar
from lvm_core.schedules import Ramp
from lvm_core.windows import CONTEXT


class TransformerParams(HeadParams):
    """Size of a transformer, and its variants."""

    family: Literal["transformer"]
    d_model: Annotated[int, Field(ge=8, le=16_384, description="width of the layers")]
    layers: Annotated[int, Field(ge=1, le=128)]
    heads: Annotated[int, Field(ge=1, le=256)]
    ffn: Annotated[int, Field(ge=1, le=65_536, description="width of the feed-forward part")]
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    pos_scalar: Annotated[PosScalar | None, Field(description="last value of the extra position channel; null: none")]
    pos_ramp: Annotated[Ramp | None, Field(description="epochs over which that value is reached")] = None
    last_slot_bias: Annotated[SoftBias | None, Field(description="against the last slot, in every attention")] = None

    @model_validator(mode="after")
    def _heads_divide(self) -> TransformerParams:
        if self.d_model % self.heads or self.d_model % 2:
            raise ValueError(f"d_model = {self.d_model} must be even and a multiple of heads = {self.heads}")
        if self.pos_ramp and self.pos_scalar is None:
            raise ValueError(f"pos_ramp = {self.pos_ramp} has nothing to ramp: pos_scalar is null")
        return self


class DecoderLayer(nn.Module):
    """Post-norm decoder layer: the function of `nn.TransformerDecoderLayer` with causal masks (a test compares)."""

    def __init__(self, width: int, heads: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.self_attention = Attention(width, heads, dropout)
        self.cross_attention = Attention(width, heads, dropout)
        self.up, self.down = nn.Linear(width, ffn), nn.Linear(ffn, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = Dropout(dropout)

    def forward(
        self, x: torch.Tensor, memory: torch.Tensor, *, last_only: bool, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """[B, T, d] -> [B, T, d], or [B, 1, d] with `last_only`; `bias` [T] is that of both attentions."""
        query = x[:, -1:] if last_only else x
        x = self.norms[0](self.dropout.onto(query, self.self_attention(query, x, bias)))
        x = self.norms[1](self.dropout.onto(x, self.cross_attention(x, memory, bias)))
        return self.norms[2](self.dropout.onto(x, self.down(self.dropout.after_relu(self.up(x)))))


class Transformer(LatentModel):
    """Five context vectors to the raw (not unit) prediction of the next one.

    A bias against the last slot acts where attention reads that slot, which by causality only the last position does.
    The last position's own residual stream still carries it: `next_token` is the family without that path.
    """

    def __init__(self, params: TransformerParams, dimension: int) -> None:
        super().__init__(params, dimension)
        width = params.d_model
        self.pos_scalar = params.pos_scalar
        self.project = nn.Linear(dimension + (params.pos_scalar is not None), width)
        self.positions: torch.Tensor
        self.register_buffer("positions", sinusoid(CONTEXT, width), persistent=False)
        self.layers = nn.ModuleList(
            DecoderLayer(width, params.heads, params.ffn, params.dropout) for _ in range(params.layers)
        )
        self.head = build_head(params, width, dimension)
        ramped = params.pos_scalar is not None and params.pos_ramp is not None
        self.pos_ramped = RampedValue(params.pos_scalar or 0.0, params.pos_ramp) if ramped else None
        self.last_slot = LastSlotBias(params.last_slot_bias) if params.last_slot_bias else None

    def predict(self, contexts: torch.Tensor) -> torch.Tensor:
        """[B, 5, D] -> [B, D]."""
        prediction: torch.Tensor = self.head(self.state(contexts), contexts)
        return prediction

    def samples(self, contexts: torch.Tensor, n: int) -> torch.Tensor:
        """[B, 5, D] -> [B, n, D], n draws of a model with head `energy`, with noise from torch's global generator."""
        if not isinstance(self.head, Energy):
            raise TypeError("only a model with head `energy` draws samples")
        return self._denormalised(self.head.samples(self.state(self._normalised(contexts)), n))

    def state(self, contexts: torch.Tensor) -> torch.Tensor:
        """[B, 5, D] -> [B, d], what the head reads: the last position of the last layer."""
        if self.pos_scalar is not None:
            scalar = self.pos_scalar if self.pos_ramped is None else self.pos_ramped.in_force
            contexts = append_position(contexts, scalar)
        memory = self.project(contexts) + self.positions  # [B, T, d]
        bias = self.last_slot() if self.last_slot else None
        x = memory
        for index, layer in enumerate(self.layers):
            x = layer(x, memory, last_only=index == len(self.layers) - 1, bias=bias)
        return x[:, -1]
