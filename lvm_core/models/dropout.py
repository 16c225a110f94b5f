"""Dropout whose masks are cut from a pool that is drawn once an epoch.

On a processor, drawing masks takes a quarter of a training step of the default model. A slice of a pool of independent
draws, from a random offset, has the same distribution for the price of a multiplication. Only masks whose slices
overlap share draws, shifted against one another.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from lvm_core.models.shares import Drawing
from lvm_core.ranks import Share

POOL = 1 << 22
"""Draws in a pool: 8 to 16 MB, and several times the largest mask of common sizes."""


class MaskPool:
    """Independent draws of 0 (with a probability) or 1 / (1 - probability).

    Attributes:
        values: [POOL] of each type of tensor that asked for masks.
    """

    def __init__(self, probability: float, seed: int) -> None:
        kept = torch.full((POOL,), 1.0 - probability)
        drawn = torch.bernoulli(kept, generator=torch.Generator().manual_seed(seed))
        self.values = {torch.float32: drawn / (1.0 - probability)}

    def mask_for(self, x: torch.Tensor, share: Share | None = None) -> torch.Tensor:
        """A mask in the shape and type of `x`, a view; the offset comes from torch's global generator.

        Args:
            x: [B, ...].
            share: which part of a batch `x` is of: the mask is that part of the whole batch's mask.
        """
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
        return x * self._mask_for(x) if self._has_mask_for(x) else F.dropout(x, self.probability)

    def _has_mask_for(self, x: torch.Tensor) -> bool:
        whole = self.share.whole if self.share else len(x)
        return self.training and self.pool is not None and x.numel() // len(x) * whole <= POOL

    def _mask_for(self, x: torch.Tensor) -> torch.Tensor:
        assert self.pool is not None
        return self.pool.mask_for(x, self.share)

    def onto(self, residual: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Residual + dropout(x), in one pass over the memory where the mask comes from a pool."""
        if not self._has_mask_for(x) or residual.dtype != x.dtype:
            return residual + self(x)
        return torch.addcmul(residual, x, self._mask_for(x))

    def after_relu(self, x: torch.Tensor) -> torch.Tensor:
        """Dropout of relu(x), in fewer passes over the memory where the mask comes from a pool."""
        if not self._has_mask_for(x):
            return self(F.relu(x))
        dropped: torch.Tensor = _MaskedRelu.apply(x, self._mask_for(x), 1.0 - self.probability)
        return dropped


class _MaskedRelu(torch.autograd.Function):
    """relu(x) * mask, of which only the result is kept for the gradient, which spares memory and passes over it.

    The result is positive exactly where the gradient passes, and there it is divided by the share kept.
    """

    @staticmethod
    def forward(context: Any, x: torch.Tensor, mask: torch.Tensor, kept: float) -> torch.Tensor:
        out = x.clamp_min(0.0).mul_(
            mask
        )  # over x itself it would be dearer: x is a view, whose gradient is then copied
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
