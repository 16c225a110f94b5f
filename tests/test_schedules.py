from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lvm_core.schedules import Constant, Cosine, Plateau, cosine_factor, plateau_factor, rate_factor


def test_cosine_at_its_ends():
    assert cosine_factor(0.0, 20, 2, 0.1) == 0.0
    assert cosine_factor(1.0, 20, 2, 0.1) == pytest.approx(0.5)
    assert cosine_factor(2.0, 20, 2, 0.1) == pytest.approx(1.0)
    assert cosine_factor(11.0, 20, 2, 0.1) == pytest.approx(0.55)
    assert cosine_factor(20.0, 20, 2, 0.1) == pytest.approx(0.1)
    assert cosine_factor(0.0, 20, 0, 0.1) == pytest.approx(1.0)


@given(st.lists(st.floats(0.1, 1.0), max_size=30), st.integers(0, 4))
def test_plateau_is_torchs_rule(losses, patience):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=patience)
    for loss in losses:
        reference.step(loss)
    # torch does not lower a rate by less than its eps of 1e-8
    assert plateau_factor(losses, 0.5, patience) == pytest.approx(optimizer.param_groups[0]["lr"], abs=2e-8)


def test_each_schedule_is_reached_by_its_parameters():
    stuck = [1.0, 1.0, 1.0, 1.0]
    assert rate_factor(Constant(name="constant"), 4, 20, stuck) == 1.0
    assert rate_factor(Plateau(name="plateau", factor=0.5, patience=2), 4, 20, stuck) == 0.5
    assert rate_factor(Cosine(name="cosine", warmup_epochs=0.0, floor=0.2), 20, 20, stuck) == pytest.approx(0.2)
