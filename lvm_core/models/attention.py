"""Attention over the context, with an optional bias of its logits, on torch's fused kernel where that is faster."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from lvm_core.models.dropout import Dropout


class Attention(nn.Module):
    """Multi-head attention with one packed projection for query, key and value."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, Dropout(dropout)
        self.in_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_bias = nn.Parameter(torch.zeros(3 * width))
        self.out = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, query: torch.Tensor, memory: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """Causal attention of `query` over `memory`.

        Args:
            query: [B, Q, d]: either all T positions or (Q = 1) the last one, which may see everything.
            memory: [B, T, d].
            bias: [T] to be added to the logits of the last position, minus infinity for what it may not see.

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
        mask = None if bias is None else logit_mask(bias, query.shape[1]).to(q.dtype)
        causal = bias is None and query.shape[1] > 1
        if self.training and self.dropout.pool is not None:
            mixed = self._mixed(q, k, v, logit_mask(torch.zeros(k.shape[2]), k.shape[2]) if causal else mask)
        else:
            rate = self.dropout.probability if self.training else 0.0
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=rate, is_causal=causal)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _mixed(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Attention written out, [B, heads, Q, d/heads]: with dropout, a processor is slower in the fused kernel."""
        logits = (q * (1.0 / math.sqrt(q.shape[-1]))) @ k.transpose(2, 3)
        if mask is not None:
            logits = logits + mask.to(logits.dtype)
        mixed: torch.Tensor = self.dropout(logits.softmax(-1)) @ v
        return mixed


def logit_mask(bias: torch.Tensor, queries: int) -> torch.Tensor:
    """[T] bias of the last position -> [Q, T] added to all logits: causal, and biased in the last row."""
    if queries == 1:
        return bias[None]
    causal = torch.full((queries - 1, len(bias)), float("-inf"), dtype=bias.dtype, device=bias.device).triu(1)
    return torch.cat([causal, bias[None]])
