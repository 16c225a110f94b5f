from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from lvm_core.losses import LOSSES, Batch, mse, total_loss


def batch(raw):
    generator = torch.Generator().manual_seed(0)
    contexts = F.normalize(torch.randn(len(raw), 5, raw.shape[1], generator=generator, dtype=raw.dtype), dim=2)
    targets = F.normalize(torch.randn(len(raw), raw.shape[1], generator=generator, dtype=raw.dtype), dim=1)
    return Batch(raw, contexts, targets)


def test_mse_by_hand():
    raw = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    targets = torch.tensor([[0.0, 1.0], [0.6, 0.8]])
    # (1 + 1)/2 = 1 and (0.36 + 0.64)/2 = 0.5, mean 0.75
    assert mse(Batch(raw, torch.zeros(2, 5, 2), targets)).item() == pytest.approx(0.75)


@pytest.mark.parametrize("dimension", [2, 384])
def test_mse_is_one_minus_cosine_for_unit_outputs_at_any_dimension(dimension):
    given = batch(F.normalize(torch.randn(7, dimension), dim=1))
    cosine = (given.raw * given.targets).sum(1).mean()
    assert mse(given).item() == pytest.approx(1 - cosine.item(), abs=1e-5)


def test_mse_is_half_the_dimension_times_the_published_one():
    given = batch(torch.randn(7, 768))
    published = F.mse_loss(given.raw, given.targets)
    assert mse(given).item() == pytest.approx(384 * published.item(), rel=1e-5)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_gradient_by_finite_differences(name):
    raw = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    fixed = batch(raw.detach())
    assert torch.autograd.gradcheck(lambda x: LOSSES[name](Batch(x, fixed.contexts, fixed.targets)), raw)


def test_total_loss_is_the_weighted_sum():
    given = batch(torch.randn(3, 4))
    assert total_loss(given, {"mse": 2.5}).item() == pytest.approx(2.5 * mse(given).item())
