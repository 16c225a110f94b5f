"""Layers of the families: attention over five chunks, dropout, positions."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lvm_core.models.base import Drawing
from lvm_core.runtime.distributed import Share


def sinusoid(length: int, width: int) -> torch.Tensor:
    """[length, width] float32 fixed sinusoidal positions (Vaswani et al. 2017, section 3.5).

    Column 2i holds sin(t / 10000^(2i/width)), column 2i+1 the cosine.
    """
    # On the processor, whatever the default device: on `meta` torch would import its compiler for a range.
    position = torch.arange(length, dtype=torch.float32, device="cpu")[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32, device="cpu") * (-math.log(10_000.0) / width))
    table = torch.zeros(length, width, device="cpu")
    table[:, 0::2] = torch.sin(position * rate)
    table[:, 1::2] = torch.cos(position * rate)[:, : width // 2]
    return table


def append_position(contexts: torch.Tensor, scalar: float | torch.Tensor) -> torch.Tensor:
    """[B, T, D] -> [B, T, D + 1]: append p_i = scalar * i/(T-1) to every context vector (prior results, section 2.2).

    `scalar` is a tensor [] where it changes in training.
    """
    batch, length, _ = contexts.shape
    if isinstance(scalar, torch.Tensor):
        ramp = scalar * torch.linspace(0.0, 1.0, length, dtype=contexts.dtype, device=contexts.device)
    else:
        ramp = torch.linspace(0.0, scalar, length, dtype=contexts.dtype, device=contexts.device)
    return torch.cat([contexts, ramp[None, :, None].expand(batch, length, 1)], dim=2)


POOL = 1 << 22
"""Draws in a pool: 8 to 16 MB, and several times the largest mask of common sizes."""


class MaskPool:
    """Independent draws of 0 (with a probability) or 1 / (1 - probability), [POOL] of each type that was asked for."""

    def __init__(self, probability: float, seed: int) -> None:
        kept = torch.full((POOL,), 1.0 - probability)
        drawn = torch.bernoulli(kept, generator=torch.Generator().manual_seed(seed))
        self.values = {torch.float32: drawn / (1.0 - probability)}

    def mask_for(self, x: torch.Tensor, share: Share | None = None) -> torch.Tensor:
        """A mask in the shape and type of `x` [B, ...], a view; the offset comes from torch's global generator."""
        if x.dtype not in self.values:
            self.values[x.dtype] = self.values[torch.float32].to(x.dtype)
        shape = x.shape if share is None else (share.whole, *x.shape[1:])
        start = int(torch.randint(POOL - math.prod(shape) + 1, ()))
        mask = self.values[x.dtype][start : start + math.prod(shape)].view(shape)
        return mask if share is None else share.of(mask)


class Dropout(Drawing):
    """As `nn.Dropout`, and with masks from a pool once `draw_masks` has given it one."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability
        self.pool: MaskPool | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape; `x` itself outside training."""
        if not self.training or not self.probability:
            return x
        mask = self._mask_for(x)
        return F.dropout(x, self.probability) if mask is None else x * mask

    def _mask_for(self, x: torch.Tensor) -> torch.Tensor | None:
        """None where there is no pool, or none that is large enough."""
        whole = self.share.whole if self.share else len(x)
        if not self.training or self.pool is None or x.numel() // len(x) * whole > POOL:
            return None
        return self.pool.mask_for(x, self.share)

    def onto(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Residual + dropout(x), in one pass over the memory where the mask comes from a pool."""
        mask = self._mask_for(x) if residual.dtype == x.dtype else None
        return residual + self(x) if mask is None else torch.addcmul(residual, x, mask)

    def after_relu(self, x: torch.Tensor) -> torch.Tensor:
        """Dropout of relu(x), in fewer passes over the memory where the mask comes from a pool."""
        mask = self._mask_for(x)
        dropped: torch.Tensor = self(F.relu(x)) if mask is None else _MaskedRelu.apply(x, mask, 1.0 - self.probability)
        return dropped


class _MaskedRelu(torch.autograd.Function):
    """relu(x) * mask, of which only the result is kept for the gradient, which spares memory and passes over it.

    The result is positive exactly where the gradient passes, and there it is divided by the share kept.
    """

    @staticmethod
    def forward(context: Any, x: torch.Tensor, mask: torch.Tensor, kept: float) -> torch.Tensor:
        # Over x itself it would be dearer: x is a view, whose gradient is then copied.
        out = x.clamp_min(0.0).mul_(mask)
        context.save_for_backward(out)
        context.kept = kept
        return out

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (out,) = context.saved_tensors
        passed: torch.Tensor = torch.ops.aten.threshold_backward(gradients[0], out, 0.0)  # relu's own
        return passed.div_(context.kept), None, None


def draw_masks(model: nn.Module, seed: int) -> None:
    """Give every `Dropout` of a model a fresh pool, one for each probability; a GPU draws masks faster without one."""
    if next(model.parameters()).device.type != "cpu":
        return
    layers = [module for module in model.modules() if isinstance(module, Dropout) and module.probability]
    pools = {probability: MaskPool(probability, seed) for probability in {layer.probability for layer in layers}}
    for layer in layers:
        layer.pool = pools[layer.probability]


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
        """Causal attention of `query` [B, Q, d] over `memory` [B, T, d] -> [B, Q, d].

        The queries are either all T positions or (Q = 1) the last one, which may see everything. `bias` [T] is added to
        the logits of the last position: minus infinity for what it may not see.
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
            (q,) = split(F.linear(query, self.in_weight[:width], self.in_bias[:width]))
            k, v = split(F.linear(memory, self.in_weight[width:], self.in_bias[width:]))
        if q.device.type == "cpu":
            mixed = self._mixed(q, k, v, logit_mask(torch.zeros(length) if bias is None else bias))
        else:
            mask = None if bias is None else logit_mask(bias).to(q.dtype)
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


def logit_mask(bias: torch.Tensor) -> torch.Tensor:
    """[T] bias of the last position -> [T, T] added to all logits: causal, and biased in the last row."""
    causal = torch.full((len(bias) - 1, len(bias)), float("-inf"), dtype=bias.dtype, device=bias.device).triu(1)
    return torch.cat([causal, bias[None]])
