"""The losses: each a function of one training batch after the forward pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch.nn import functional as F

from lvm_core.config.recipe import LossTerm
from lvm_core.runtime.distributed import Share


@dataclass(frozen=True)
class Candidates:
    """The chunks that the target of each window has to be told from."""

    chunks: torch.Tensor
    """[P, D] float32 unit rows, all chunks of all articles of the batch in order; after them those drawn from the
    bank."""
    allowed: torch.Tensor
    """[B, P] bool, chunks of the window's own article other than its 5 context chunks, and those drawn from the bank
    other than its own."""
    target: torch.Tensor
    """[B] int64, index of the target in `chunks`."""
    mean: torch.Tensor | None = None
    """[P, D] or [D] float32, what `centred` takes off."""


@dataclass(frozen=True)
class Batch:
    """One training batch after the forward pass. What no loss of the recipe needs (`Loss.needs`) is None."""

    raw: torch.Tensor
    """[B, D] float32, the model's raw output (zeros without meaning if no loss needs it)."""
    contexts: torch.Tensor
    """[B, 5, D] float32, unit rows, as the model was given them: corrupted where the recipe corrupts."""
    targets: torch.Tensor
    """[B, D] float32, unit rows."""
    clean: torch.Tensor | None = None
    """[B, 5, D] float32, the true context chunks, with which losses compare; None: `contexts` are these."""
    future: torch.Tensor | None = None
    """[B, H, D] float32 unit rows, the true chunks after the target; rows beyond the article hold anything."""
    has_future: torch.Tensor | None = None
    """[B, H] bool, whether the article has that chunk."""
    candidates: Candidates | None = None
    """Of a batch of whole articles' runs."""
    predict: Callable[[torch.Tensor], torch.Tensor] | None = None
    """The model in training, contexts [B, 5, D] -> raw predictions [B, D] float32."""
    samples: torch.Tensor | None = None
    """[B, S, D] float32, S draws of a model whose output is random."""
    scale: torch.Tensor | None = None
    """[D] float32, of the model's normaliser."""
    share: Share | None = None
    """Which part of the whole batch these windows are; None: all of it."""

    @property
    def true_contexts(self) -> torch.Tensor:
        """[B, 5, D] float32, unit rows: the true context chunks."""
        return self.contexts if self.clean is None else self.clean

    @cached_property
    def unit(self) -> torch.Tensor:
        """[B, D] the prediction at unit length."""
        return F.normalize(self.raw, dim=1)

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """[] mean of values [B, ...] over the whole batch: other processes may have the rest of it."""
        return values.mean() if self.share is None else self.share.mean(values)

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """[] sum of values [B, ...] over the whole batch, as `mean`."""
        return values.sum() if self.share is None else self.share.total(values)

    def need(self, name: str) -> Any:
        """A part that the trainer puts into the batch for losses that declare it (`Loss.needs`)."""
        value = getattr(self, name)
        if value is None:
            raise ValueError(f"this loss needs {name}, which the batch does not have")
        return value


def mse(batch: Batch) -> torch.Tensor:
    """Half the squared distance of the raw output to the target, summed over dimensions, averaged over the batch.

    Equals 1 - cos where the output has unit length, so that one unit of it is one unit of cosine at any D. The earlier
    work averaged over dimensions, which is this divided by D/2 (prior results, section 3.0).
    """
    return 0.5 * batch.mean((batch.raw - batch.targets).square().sum(dim=1))


def mse_normalised(batch: Batch) -> torch.Tensor:
    """Half the squared distance in the space of the model's normaliser, averaged over dimensions and the batch.

    There every dimension weighs the same; a dimension of unit variance that is predicted by its mean costs 1/2. (Large
    Concept Model, arXiv 2412.08821, section 2.4.1, which sums over dimensions; anchors, section 1.1.)
    """
    return 0.5 * batch.mean(((batch.raw - batch.targets) / batch.need("scale")).square())


def cosine(batch: Batch) -> torch.Tensor:
    """1 - cos(prediction, target), averaged over the batch; blind to the length of the output."""
    return 1.0 - batch.mean((batch.unit * batch.targets).sum(dim=1))


SECOND_LAST = -2
"""The slot that the earlier work called the previous one."""

ADAPTIVE_CENTRE, ADAPTIVE_WIDTH = 0.60, 0.05
"""Of the sigmoid in the adaptive weight (prior results, section 3.1)."""


def guard_previous(batch: Batch, *, margin: float, adaptive: bool = False) -> torch.Tensor:
    """L_dir: mean of relu(margin - (cos(y, target) - cos(y, second-last context chunk))), y the prediction."""
    y = batch.unit
    gap = (y * batch.targets).sum(dim=1) - (y * batch.true_contexts[:, SECOND_LAST]).sum(dim=1)
    return _adapted(batch.mean(F.relu(margin - gap)), batch, adaptive)


def guard_context(batch: Batch, *, margin: float, adaptive: bool = False) -> torch.Tensor:
    """L_ac: mean over the five context chunks c of relu(margin - (cos(y, target) - cos(y, c))), y the prediction."""
    y = batch.unit
    to_context = torch.matmul(batch.true_contexts, y[:, :, None]).squeeze(2)  # [B, 5]
    gap = (y * batch.targets).sum(dim=1)[:, None] - to_context
    return _adapted(batch.mean(F.relu(margin - gap)), batch, adaptive)


def _adapted(loss: torch.Tensor, batch: Batch, adaptive: bool) -> torch.Tensor:
    if not adaptive:
        return loss
    similarity = (batch.true_contexts[:, -1] * batch.targets).sum(dim=1)
    return loss * (1.0 + batch.mean(torch.sigmoid((similarity - ADAPTIVE_CENTRE) / ADAPTIVE_WIDTH)))


def micro_ranking(batch: Batch, *, gamma: float, margin: float) -> torch.Tensor:
    """Mean of softplus(gamma * (cos(y, last context chunk) - cos(y, target) + margin)), y the prediction.

    Not divided by gamma, so that its slope reaches gamma per unit of cosine (prior results, section 3.3).
    """
    y = batch.unit
    ahead = (y * batch.true_contexts[:, -1]).sum(dim=1) - (y * batch.targets).sum(dim=1)
    return batch.mean(F.softplus(gamma * (ahead + margin)))


def article_softmax(
    batch: Batch, *, temperature: float, candidates: str = "masked", bank_negatives: int = 0, centred: bool = False
) -> torch.Tensor:
    """Mean cross-entropy of the target among all chunks of its article other than the 5 context chunks.

    The logits are cosines with the prediction over the temperature: what masked R@5 ranks by (InfoNCE, van den Oord et
    al. 2018, with all negatives from the article; sentence order as a choice among sentences: Logeswaran and Lee 2018).
    With candidates `forward` only the chunks after the target are told from it, and a window without any does not
    count. The `bank_negatives` are in the batch's candidates already.
    """
    found: Candidates = batch.need("candidates")
    chunks = F.normalize(found.chunks - found.mean, dim=1) if centred and found.mean is not None else found.chunks
    logits = (batch.unit / temperature) @ chunks.T  # [B, P]
    losses = []
    if candidates != "forward":
        losses.append(batch.mean(_cross_entropy(logits, found.allowed, found.target)))
    if candidates != "masked":
        ahead = found.allowed & (torch.arange(len(chunks), device=logits.device) >= found.target[:, None])
        counts = (ahead.sum(dim=1) > 1).to(logits.dtype)
        told = batch.total(counts * _cross_entropy(logits, ahead, found.target))
        losses.append(told / batch.total(counts).clamp_min(1.0))
    return losses[0] if len(losses) == 1 else 0.5 * (losses[0] + losses[1])


def _cross_entropy(logits: torch.Tensor, allowed: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """[B] of the targets [B] among the allowed [B, P]."""
    return F.cross_entropy(logits.masked_fill(~allowed, -math.inf), target, reduction="none")


def rollout(batch: Batch, *, steps: int) -> torch.Tensor:
    """Mean over the steps h of 1 - cos(free-run prediction h, true chunk h), with the gradient through all steps.

    Step 1 is the prediction itself; for each further one its predecessor, at unit length, is pushed into the context.
    A step counts the windows whose article has its true chunk; if there are none it is 0. What the earlier work meant
    to have (prior results, section 3.1); what it ran is `smoothness`.
    """
    future, has_future = batch.need("future"), batch.need("has_future")
    predict = batch.need("predict")
    contexts, last = batch.contexts, batch.unit
    loss = 1.0 - batch.mean((last * batch.targets).sum(dim=1))
    for step in range(steps - 1):
        contexts = torch.cat([contexts[:, 1:], last[:, None]], dim=1)
        last = F.normalize(predict(contexts), dim=1)
        counts = has_future[:, step].to(last.dtype)
        distance = 1.0 - (last * future[:, step]).sum(dim=1)
        loss = loss + batch.total(counts * distance) / batch.total(counts).clamp_min(1.0)
    return loss / steps


def smoothness(batch: Batch, *, steps: int, slope: float, limit: float) -> torch.Tensor:
    """Sum over the free-run steps 2..H of slope * relu(s - limit), over H; s: mean cosine with the prediction before.

    The penalty that the earlier work ran under the name of a rollout loss (H = 3, slope 10, limit 0.95), and what is
    wrong with it (prior results, section 3.1):

    - No true chunk beyond the target is looked at: predictions are punished for being alike, whatever is true.
    - All predictions but the first are made without gradient, so only the first one learns, by moving away from the
      second.
    - From step 3 on the prediction before was read from the list of losses, a scalar, which made that term meaningless.
      Here it is the prediction before.
    - For the best linear predictor s is 0.992: the optimum itself is punished, by six times its whole MSE at the
      published weight, and training is blown off it.
    - The published mean over H has the MSE of step 1 as its first member; a recipe says that with `cosine`.
    """
    predict = batch.need("predict")
    contexts, last = batch.contexts, batch.unit
    penalty = batch.raw.new_zeros(())
    for _ in range(steps - 1):
        with torch.no_grad():
            contexts = torch.cat([contexts[:, 1:], last[:, None]], dim=1)
            following = F.normalize(predict(contexts), dim=1)
        penalty = penalty + slope * F.relu(batch.mean((last * following).sum(dim=1)) - limit)
        last = following
    return penalty / steps


def energy(batch: Batch, *, samples: int | None = None) -> torch.Tensor:
    """Mean distance of the samples to the target, less half the mean distance of the samples to each other.

    Strictly proper: its expectation is least for samples from the true distribution of the target (Gneiting and Raftery
    2007, section 4.3; as a training loss: CALM, arXiv 2510.27688; anchors, section 1.3).
    """
    drawn = batch.need("samples")[:, :samples]  # [B, S, D]
    count = drawn.shape[1]
    to_target = batch.mean(torch.linalg.vector_norm(drawn - batch.targets[:, None], dim=2))
    left, right = torch.triu_indices(count, count, offset=1, device=drawn.device)
    apart = batch.mean(torch.linalg.vector_norm(drawn[:, left] - drawn[:, right], dim=2))
    return to_target - 0.5 * apart


FUNCTIONS: dict[str, Callable[..., torch.Tensor]] = {
    "mse": mse,
    "mse_normalised": mse_normalised,
    "cosine": cosine,
    "guard_previous": guard_previous,
    "guard_context": guard_context,
    "micro_ranking": micro_ranking,
    "rollout": rollout,
    "smoothness": smoothness,
    "article_softmax": article_softmax,
    "energy": energy,
}
"""Each loss as a function of a batch and, by keyword, the options of its term; a scalar. Keys as in `LOSSES`."""


def total_loss(batch: Batch, terms: Mapping[str, LossTerm], weights: Mapping[str, float]) -> torch.Tensor:
    """Weighted sum of losses, a scalar."""
    return torch.stack(
        [weight * FUNCTIONS[name](batch, **terms[name].options()) for name, weight in weights.items()]
    ).sum()
