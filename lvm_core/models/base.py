"""What the families are built of: normaliser, values that grow over the epochs, heads, the bias against a slot."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from lvm_core.bank.chunks import shrunk_mean
from lvm_core.config.models import Barred, FamilyParams, FixedBias, HeadParams, LearnableBias
from lvm_core.config.schedules import ramp
from lvm_core.runtime.distributed import Share
from lvm_core.windows import CONTEXT


class Drawing(nn.Module):
    """A module that draws for the whole batch and takes the part of its own windows: the draws of one process."""

    def __init__(self) -> None:
        super().__init__()
        self.share: Share | None = None  # which part of a batch it sees next; None: all of it


def set_share(model: nn.Module, share: Share | None) -> None:
    """Tell every `Drawing` of a model which part of a batch it will see next."""
    for module in model.modules():
        if isinstance(module, Drawing):
            module.share = share


GAUSSIAN_IQR = 0.7413
"""1 / (interquartile range of the standard normal distribution): makes the scale a standard deviation there."""

SMALLEST_SCALE = 1e-6
"""A dimension narrower than this is constant but for rounding: it is centred and not stretched."""


class Normaliser(nn.Module):
    """(x - median) / (0.7413 x interquartile range), dimension by dimension: `centre` and `scale` [D] float32.

    Both are NaN until `fit`, so that a model that was never fitted cannot be mistaken for one.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.centre: torch.Tensor
        self.scale: torch.Tensor
        self.register_buffer("centre", torch.full((dimension,), math.nan))
        self.register_buffer("scale", torch.full((dimension,), math.nan))

    def fit(self, vectors: torch.Tensor, columns: int = 32) -> None:
        """Fit on the chunks [N, D] of the training articles, each once, of any float type and device."""
        for first in range(0, vectors.shape[1], columns):
            part = slice(first, first + columns)
            ordered = vectors[:, part].float().sort(dim=0).values
            low, middle, high = (_quantile(ordered, share) for share in (0.25, 0.5, 0.75))
            scale = GAUSSIAN_IQR * (high - low)
            self.centre[part] = middle
            self.scale[part] = torch.where(scale < SMALLEST_SCALE, torch.ones_like(scale), scale)

    def normalise(self, vectors: torch.Tensor) -> torch.Tensor:
        """[..., D] -> [..., D]."""
        return (vectors - self.centre) / self.scale

    def denormalise(self, vectors: torch.Tensor) -> torch.Tensor:
        """[..., D] -> [..., D], the inverse of `normalise`, in float32 at least."""
        return vectors * self.scale + self.centre


def _quantile(ordered: torch.Tensor, share: float) -> torch.Tensor:
    """[N, C] sorted along the rows -> [C], interpolated linearly between the two neighbours (numpy's default)."""
    place = share * (len(ordered) - 1)
    below = int(place)
    return torch.lerp(ordered[below], ordered[min(below + 1, len(ordered) - 1)], place - below)


class RampedValue(nn.Module):
    """A number that the model needs and that grows over the epochs: `in_force`, [] float32.

    It is saved with the weights, so that a saved epoch is judged at the value it was trained at (the earlier work
    judged it at the full one: prior results, section 3.3).
    """

    def __init__(self, full: float, epochs: list[int] | None) -> None:
        super().__init__()
        self.full, self.epochs = full, epochs
        self.in_force: torch.Tensor
        self.register_buffer("in_force", torch.zeros(()))
        self.set_epoch(0.0)

    def set_epoch(self, epoch: float) -> None:
        """Take the value of this point in training; `epoch` is fractional, from 0, over all phases."""
        self.in_force.fill_(self.full * (ramp(epoch, *self.epochs) if self.epochs else 1.0))


class LatentModel(nn.Module):
    """Five context vectors to the raw (not unit) prediction of the next one. A family defines `predict`.

    The normaliser is to be fitted before the first step (`normaliser.fit(vectors)`); None where the recipe has none.
    So is `centre` [D], the mean of `train`: NaN until it is filled, None where the model takes no mean off.
    """

    def __init__(self, params: FamilyParams, dimension: int) -> None:
        super().__init__()
        self.normaliser = Normaliser(dimension) if params.normaliser else None
        self.has_memory = params.memory is not None
        self.centre: torch.Tensor | None
        self.register_buffer("centre", torch.full((dimension,), math.nan) if params.centred else None)

    def forward(self, contexts: torch.Tensor, memory: torch.Tensor | None = None) -> torch.Tensor:
        """[B, 5, D], and memory [B, D] (see `mean_seen`) -> [B, D]."""
        mean = self.mean_seen(contexts, memory)
        return self.within(lambda given: self.predict(given, mean), contexts)

    def mean_seen(self, contexts: torch.Tensor, memory: torch.Tensor | None) -> torch.Tensor | None:
        """What the model takes off: [B, D] its memory, [D] the mean of `train` if it has none, or nothing.

        Without a memory [B, D] for a model that has one, that of a text of these five chunks [B, 5, D].
        """
        if not self.has_memory or self.centre is None:
            return self.centre
        return shrunk_mean(contexts.sum(dim=1), CONTEXT, self.centre) if memory is None else memory

    def predict(self, contexts: torch.Tensor, mean: torch.Tensor | None = None) -> torch.Tensor:
        """[B, 5, D] -> [B, D], both as the normaliser leaves them; `mean` is that of `mean_seen`."""
        raise NotImplementedError

    def samples(self, contexts: torch.Tensor, n: int, memory: torch.Tensor | None = None) -> torch.Tensor:
        """[B, 5, D] -> [B, n, D], n draws of a model with head `energy`, with noise from torch's global generator."""
        raise TypeError("only a model with head `energy` draws samples")

    def set_ramps(self, epoch: float) -> None:
        """Set everything that changes over the epochs (`RampedValue`); `epoch` is fractional, from 0, over all phases.

        To be called before each training step and never for an evaluation: the values in force are saved.
        """
        for module in self.modules():
            if isinstance(module, RampedValue):
                module.set_epoch(epoch)

    def within(self, function: Callable[[torch.Tensor], torch.Tensor], contexts: torch.Tensor) -> torch.Tensor:
        """What a function from contexts to predictions gives in the space of the normaliser."""
        if self.normaliser is None:
            return function(contexts)
        return self.normaliser.denormalise(function(self.normaliser.normalise(contexts)))


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
    if params.base:
        return Plain(width, dimension, zero=True)  # the correction of the base
    return {"plain": Plain, "residual_unit": ResidualUnit, "residual_free": ResidualFree}[params.head](width, dimension)


class LastSlotBias(nn.Module):
    """The bias of one model: the same in all its layers and heads."""

    def __init__(self, params: FixedBias | LearnableBias | Barred) -> None:
        super().__init__()
        self.strength = None if isinstance(params, Barred) else RampedValue(params.beta_max, params.ramp)
        self.theta = nn.Parameter(torch.zeros(())) if isinstance(params, LearnableBias) else None
        self.pattern: torch.Tensor
        pattern = torch.tensor([0.0] * (CONTEXT - 1) + [-math.inf if self.strength is None else -1.0])
        self.register_buffer("pattern", pattern, persistent=False)

    def forward(self) -> torch.Tensor:
        """[5] float32 to be added to the attention's logits of a query that sees all five slots."""
        if self.strength is None:
            return self.pattern
        beta = self.strength.in_force
        return self.pattern * (beta if self.theta is None else beta * torch.sigmoid(self.theta))
