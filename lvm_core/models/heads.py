"""Heads, from the last position's state and the context to the raw prediction; and the bias against the last slot."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from lvm_core.config.models import Barred, FixedBias, HeadParams, LearnableBias
from lvm_core.models.base import Drawing, RampedValue
from lvm_core.windows import CONTEXT


class Plain(nn.Sequential):
    """Linear - GELU - LayerNorm - Linear d -> D (prior results, section 2)."""

    def __init__(self, width: int, dimension: int, zero: bool = False) -> None:
        enter, leave = nn.Linear(width, width), nn.Linear(width, dimension)
        super().__init__(enter, nn.GELU(), nn.LayerNorm(width), leave)
        if zero:
            nn.init.zeros_(leave.weight)
            nn.init.zeros_(leave.bias)

    def forward(self, state: torch.Tensor, contexts: torch.Tensor | None = None) -> torch.Tensor:
        """State [B, d] -> [B, D]; the context is not used."""
        return super().forward(state)


class ResidualUnit(nn.Module):
    """P2 as it was coded: y = norm(last) + alpha * norm(base), alpha learned from 0.5 (prior results, section 2.1).

    The correction has length |alpha| whatever its input, and |y| lies between |1 - alpha| and 1 + alpha: only
    alpha -> 0 or a correction parallel to the last vector can copy.
    """

    def __init__(self, width: int, dimension: int) -> None:
        super().__init__()
        self.base = Plain(width, dimension)
        self.alpha = nn.Parameter(torch.tensor(0.5))

    def forward(self, state: torch.Tensor, contexts: torch.Tensor) -> torch.Tensor:
        """State [B, d] and contexts [B, 5, D] -> [B, D]."""
        correction = F.normalize(self.base(state).to(contexts.dtype), dim=1)
        return F.normalize(contexts[:, -1], dim=1) + self.alpha * correction


class ResidualFree(nn.Module):
    """P2 without its fault: y = last + delta, delta of any length and zero at the start, which is copy-last exactly."""

    def __init__(self, width: int, dimension: int) -> None:
        super().__init__()
        self.base = Plain(width, dimension, zero=True)

    def forward(self, state: torch.Tensor, contexts: torch.Tensor) -> torch.Tensor:
        """State [B, d] and contexts [B, 5, D] -> [B, D]."""
        return contexts[:, -1] + self.base(state).to(contexts.dtype)


class Mixture(nn.Module):
    """y = sum_i w_i ctx_i + correction (ours).

    w = `weights` (the same for all windows, free: they may be negative and need not sum to 1) + a linear function of
    the state. That function and the correction start at zero, so that the model starts at copy-last or at the mean.
    """

    def __init__(self, width: int, dimension: int, start: str) -> None:
        super().__init__()
        self.base = Plain(width, dimension, zero=True)
        first = [0.0] * (CONTEXT - 1) + [1.0] if start == "last" else [1.0 / CONTEXT] * CONTEXT
        self.weights = nn.Parameter(torch.tensor(first))
        self.own = nn.Linear(width, CONTEXT, bias=False)
        nn.init.zeros_(self.own.weight)

    def forward(self, state: torch.Tensor, contexts: torch.Tensor) -> torch.Tensor:
        """State [B, d] and contexts [B, 5, D] -> [B, D]."""
        weights = self.weights + self.own(state).to(contexts.dtype)  # [B, 5]
        mixed = (weights[:, :, None] * contexts).sum(dim=1)  # not a matrix product: stays in the context's precision
        return mixed + self.base(state).to(contexts.dtype)


class Energy(Drawing):
    """A head that draws: noise z turns one state into as many different predictions as one asks for.

    After the energy head of CALM (arXiv 2510.27688; anchors 1.3): residual feed-forward blocks, here with the noise as
    scale and shift after each norm. Trained with the energy score, which is lowest for the true distribution of the
    target and not for its mean.

    The prediction is the mean of the draws of `FIXED` noise vectors, the same for ever: they come from a generator with
    a seed of its own, in pairs z and -z, so that their mean is zero.
    """

    BLOCKS, FIXED, SEED = 2, 16, 20_510

    def __init__(self, width: int, dimension: int, noise: int) -> None:
        super().__init__()
        self.noise = noise
        self.enter = nn.Linear(width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False) for _ in range(self.BLOCKS))
        self.modulate = nn.ModuleList(nn.Linear(noise, 2 * width) for _ in range(self.BLOCKS))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
            for _ in range(self.BLOCKS)
        )
        self.norm, self.leave = nn.LayerNorm(width), nn.Linear(width, dimension)
        half = torch.randn(self.FIXED // 2, noise, generator=torch.Generator().manual_seed(self.SEED))
        self.fixed: torch.Tensor
        self.register_buffer("fixed", torch.cat([half, -half]))  # saved: torch may change its generator

    def forward(self, state: torch.Tensor, contexts: torch.Tensor) -> torch.Tensor:
        """State [B, d] and contexts [B, 5, D] -> [B, D], the mean of the draws of the fixed noise."""
        drawn: torch.Tensor = self.leave(self._drawn(state, self.fixed[None]).mean(dim=1))  # the mean of a linear map
        return drawn

    def samples(self, state: torch.Tensor, n: int) -> torch.Tensor:
        """State [B, d] -> [B, n, D], n draws a window, with noise from torch's global generator."""
        whole = len(state) if self.share is None else self.share.whole
        noise = torch.randn(whole, n, self.noise, device=state.device)
        if self.share is not None:
            noise = self.share.of(noise)
        drawn: torch.Tensor = self.leave(self._drawn(state, noise))
        return drawn

    def _drawn(self, state: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """State [B, d] and noise [B or 1, n, noise] -> [B, n, d], all but the last layer."""
        x = self.enter(state)[:, None]  # [B, 1, d], of which each draw makes its own
        for norm, modulate, block in zip(self.norms, self.modulate, self.blocks, strict=True):
            scale, shift = modulate(noise).chunk(2, dim=-1)
            x = x + block(norm(x) * (1.0 + scale) + shift)
        return self.norm(x)


def build_head(params: HeadParams, width: int, dimension: int) -> nn.Module:
    """The head that `params` name, with fresh weights, mapping state [B, d] and contexts [B, 5, D] to [B, D]."""
    if params.mixture_start:
        return Mixture(width, dimension, params.mixture_start)
    if params.noise:
        return Energy(width, dimension, params.noise)
    return {"plain": Plain, "residual_unit": ResidualUnit, "residual_free": ResidualFree}[params.head](width, dimension)


class LastSlotBias(nn.Module):
    """The bias of one model: the same in all its layers and heads.

    Attributes:
        strength: beta_max x ramp, in force; None where the slot is barred.
        theta: [] learned, None unless learnable.
        pattern: [5] 0 but for the last slot: -1, or minus infinity where it is barred.
    """

    def __init__(self, params: FixedBias | LearnableBias | Barred) -> None:
        super().__init__()
        barred = isinstance(params, Barred)
        self.strength = None if isinstance(params, Barred) else RampedValue(params.beta_max, params.ramp)
        self.theta = nn.Parameter(torch.zeros(())) if isinstance(params, LearnableBias) else None
        self.pattern: torch.Tensor
        pattern = torch.tensor([0.0] * (CONTEXT - 1) + [-math.inf if barred else -1.0])
        self.register_buffer("pattern", pattern, persistent=False)

    def forward(self) -> torch.Tensor:
        """[5] float32 to be added to the attention's logits of a query that sees all five slots."""
        if self.strength is None:
            return self.pattern
        beta = self.strength.in_force
        return self.pattern * (beta if self.theta is None else beta * torch.sigmoid(self.theta))
