"""Attention over the context, with an optional bias of its logits."""

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
        mixed = self._one(query, memory, bias) if query.shape[1] == 1 else self._all(query, memory, bias)
        out: torch.Tensor = self.out(mixed)
        return out

    def _one(self, query: torch.Tensor, memory: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """A single query: [B, 1, d] of the values, without keys and values of the memory.

        q (W_k m) = (q W_k) m, and the weights mix the memory before W_v does: the same function at a fifth of the
        products. The keys' offset adds one number to all logits of a query, which the softmax takes out again.
        """
        batch, _, width = query.shape
        of_query, of_keys, of_values = self.in_weight.chunk(3)
        query_offset, _, offset = self.in_bias.chunk(3)
        q = F.linear(query[:, 0], of_query, query_offset)
        q = q.view(batch, self.heads, -1).transpose(0, 1)  # [heads, B, d/heads]
        asked = torch.bmm(q, of_keys.view(self.heads, -1, width)).transpose(0, 1)  # [B, heads, d]
        logits = torch.bmm(asked, memory.transpose(1, 2)) * (1.0 / math.sqrt(width // self.heads))  # [B, heads, T]
        weights = self.dropout((logits if bias is None else logits + bias.to(logits.dtype)).softmax(-1))
        mixed = torch.bmm(weights.to(memory.dtype), memory).transpose(0, 1)  # [heads, B, d]
        values = torch.bmm(mixed, of_values.view(self.heads, -1, width).transpose(1, 2)).transpose(0, 1)
        # Weights that dropout has scaled no longer sum to 1, and each brings its share of the values' offset.
        offset = offset.view(self.heads, -1).to(values.dtype)
        values = values + weights.sum(2, keepdim=True).to(values.dtype) * offset  # [B, heads, d/heads]
        return values.reshape(batch, 1, width)

    def _all(self, query: torch.Tensor, memory: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """A query at every position: [B, T, d]."""
        batch, length, width = query.shape

        def split(packed: torch.Tensor) -> tuple[torch.Tensor, ...]:
            """[B, T, n d] -> n times [B, heads, T, d/heads], with one copy for all."""
            parts = packed.view(batch, length, -1, self.heads, width // self.heads)
            return parts.permute(2, 0, 3, 1, 4).contiguous().unbind(0)

        if query is memory:
            q, k, v = split(F.linear(query, self.in_weight, self.in_bias))
        else:
            parts = [width, 2 * width]
            (query_weight, memory_weight), (query_bias, memory_bias) = (
                self.in_weight.split(parts),
                self.in_bias.split(parts),
            )
            (q,) = split(F.linear(query, query_weight, query_bias))
            k, v = split(F.linear(memory, memory_weight, memory_bias))
        if q.device.type == "cpu":
            mixed = self._mixed(q, k, v, logit_mask(torch.zeros(length) if bias is None else bias, length))
        else:
            mask = None if bias is None else logit_mask(bias, length).to(q.dtype)
            rate = self.dropout.probability if self.training else 0.0
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=rate, is_causal=bias is None)
        return mixed.transpose(1, 2).flatten(2)

    def _mixed(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Attention written out, [B, heads, T, d/heads]: for five chunks a processor is slower in the fused kernel."""
        shape = q.shape
        q, k, v = q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)
        logits = torch.baddbmm(mask.to(q.dtype), q, k.transpose(1, 2), alpha=1.0 / math.sqrt(q.shape[-1]))
        weights = self.dropout(logits.softmax(-1).view(*shape[:2], *logits.shape[1:]))
        return torch.bmm(weights.flatten(0, 1), v).view(shape)


def logit_mask(bias: torch.Tensor, queries: int) -> torch.Tensor:
    """[T] bias of the last position -> [T, T] added to all logits: causal, and biased in the last row."""
    causal = torch.full((queries - 1, len(bias)), float("-inf"), dtype=bias.dtype, device=bias.device).triu(1)
    return torch.cat([causal, bias[None]])
