"""Losses of several steps: the model's own predictions are fed back to it."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from lvm_core.losses.batch import Batch, needed


def rollout(batch: Batch, *, steps: int) -> torch.Tensor:
    """Mean over the steps h of 1 - cos(free-run prediction h, true chunk h), with the gradient through all steps.

    Step 1 is the prediction itself; for each further one its predecessor, at unit length, is pushed into the context.
    A step counts the windows whose article has its true chunk; if there are none it is 0. What the earlier work meant
    to have (prior results, section 3.1); what it ran is `smoothness`.

    Args:
        batch: with the true chunks after the target.
        steps: H >= 2.
    """
    future, has_future = needed(batch.future, "future"), needed(batch.has_future, "has_future")
    predict = needed(batch.predict, "predict")
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

    Args:
        batch: to judge.
        steps: H >= 2.
        slope: per unit of cosine.
        limit: mean cosine without penalty.
    """
    predict = needed(batch.predict, "predict")
    contexts, last = batch.contexts, batch.unit
    penalty = batch.raw.new_zeros(())
    for _ in range(steps - 1):
        with torch.no_grad():
            contexts = torch.cat([contexts[:, 1:], last[:, None]], dim=1)
            following = F.normalize(predict(contexts), dim=1)
        penalty = penalty + slope * F.relu(batch.mean((last * following).sum(dim=1)) - limit)
        last = following
    return penalty / steps
