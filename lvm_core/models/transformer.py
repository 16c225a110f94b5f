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
from torch.nn import functional as F

from lvm_core.models.positions import append_position, sinusoid
from lvm_core.params import Group, PosScalar
from lvm_core.windows import CONTEXT


class TransformerParams(Group):
    """Size of a transformer."""

    family: Literal["transformer"]
    d_model: Annotated[int, Field(ge=8, le=16_384, description="width of the layers")]
    layers: Annotated[int, Field(ge=1, le=128)]
    heads: Annotated[int, Field(ge=1, le=256)]
    ffn: Annotated[int, Field(ge=1, le=65_536, description="width of the feed-forward part")]
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    pos_scalar: Annotated[PosScalar | None, Field(description="last value of the extra position channel; null: none")]

    @model_validator(mode="after")
    def _heads_divide(self) -> TransformerParams:
        if self.d_model % self.heads or self.d_model % 2:
            raise ValueError(f"d_model = {self.d_model} must be even and a multiple of heads = {self.heads}")
        return self


class Attention(nn.Module):
    """Multi-head attention with one packed projection for query, key and value."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.in_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_bias = nn.Parameter(torch.zeros(3 * width))
        self.out = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, query: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        """Causal attention of `query` over `memory`.

        Args:
            query: [B, Q, d]: either all T positions or (Q = 1) the last one, which may see everything.
            memory: [B, T, d].

        Returns:
            [B, Q, d].
        """
        width = query.shape[-1]
        if query is memory:
            q, k, v = F.linear(query, self.in_weight, self.in_bias).chunk(3, dim=-1)
        else:
            q = F.linear(query, self.in_weight[:width], self.in_bias[:width])
            k, v = F.linear(memory, self.in_weight[width:], self.in_bias[width:]).chunk(2, dim=-1)
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (q, k, v))  # [B, heads, T, d/heads]
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=query.shape[1] > 1)
        return self.out(mixed.transpose(1, 2).flatten(2))


class DecoderLayer(nn.Module):
    """Post-norm decoder layer: the function of `nn.TransformerDecoderLayer` with causal masks (a test compares)."""

    def __init__(self, width: int, heads: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.self_attention = Attention(width, heads, dropout)
        self.cross_attention = Attention(width, heads, dropout)
        self.up, self.down = nn.Linear(width, ffn), nn.Linear(ffn, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, memory: torch.Tensor, *, last_only: bool) -> torch.Tensor:
        """[B, T, d] -> [B, T, d], or [B, 1, d] with `last_only`."""
        query = x[:, -1:] if last_only else x
        x = self.norms[0](query + self.dropout(self.self_attention(query, x)))
        x = self.norms[1](x + self.dropout(self.cross_attention(x, memory)))
        return self.norms[2](x + self.dropout(self.down(self.dropout(F.relu(self.up(x))))))


class Transformer(nn.Module):
    """Five context vectors to the raw (not unit) prediction of the next one."""

    def __init__(self, params: TransformerParams, dimension: int) -> None:
        super().__init__()
        width = params.d_model
        self.pos_scalar = params.pos_scalar
        self.project = nn.Linear(dimension + (params.pos_scalar is not None), width)
        self.positions: torch.Tensor
        self.register_buffer("positions", sinusoid(CONTEXT, width), persistent=False)
        self.layers = nn.ModuleList(
            DecoderLayer(width, params.heads, params.ffn, params.dropout) for _ in range(params.layers)
        )
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width), nn.Linear(width, dimension))

    def forward(self, contexts: torch.Tensor) -> torch.Tensor:
        """[B, 5, D] -> [B, D]."""
        if self.pos_scalar is not None:
            contexts = append_position(contexts, self.pos_scalar)
        memory = self.project(contexts) + self.positions  # [B, T, d]
        x = memory
        for index, layer in enumerate(self.layers):
            x = layer(x, memory, last_only=index == len(self.layers) - 1)
        return self.head(x[:, -1])
