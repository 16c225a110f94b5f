from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lvm_core.config.schedules import Constant, Cosine, Plateau, Ramped, ramp


def cosine(epoch, total, warmup, floor):
    return Cosine(name="cosine", warmup_epochs=warmup, floor=floor).at(epoch, total, [])


def test_cosine_at_its_ends():
    assert cosine(0.0, 20, 2.0, 0.1) == 0.0
    assert cosine(1.0, 20, 2.0, 0.1) == pytest.approx(0.5)
    assert cosine(2.0, 20, 2.0, 0.1) == pytest.approx(1.0)
    assert cosine(11.0, 20, 2.0, 0.1) == pytest.approx(0.55)
    assert cosine(20.0, 20, 2.0, 0.1) == pytest.approx(0.1)
    assert cosine(0.0, 20, 0.0, 0.1) == pytest.approx(1.0)


@given(st.lists(st.floats(0.1, 1.0), max_size=30), st.integers(0, 4))
def test_plateau_is_torchs_rule(losses, patience):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=patience)
    for loss in losses:
        reference.step(loss)
    # torch does not lower a rate by less than its eps of 1e-8
    found = Plateau(name="plateau", factor=0.5, patience=patience).at(len(losses), 40, losses)
    assert found == pytest.approx(optimizer.param_groups[0]["lr"], abs=2e-8)


def test_a_constant_rate_is_that_of_the_recipe():
    assert Constant(name="constant").at(4, 20, [1.0] * 4) == 1.0


@pytest.mark.parametrize(
    ("epoch", "share"),
    [(0.0, 0.0), (3.0, 0.0), (3.5, 0.5 / 7), (6.5, 0.5), (9.99, 6.99 / 7), (10.0, 1.0), (19.5, 1.0)],
)
def test_a_ramp_over_epochs_4_to_10_is_linear_from_the_start_of_4_to_the_end_of_10(epoch, share):
    assert ramp(epoch, 4, 10) == pytest.approx(share)


@pytest.mark.parametrize("epochs", [(1, 2), (1, 3), (1, 4), (1, 6), (4, 10), (7, 7)])
def test_every_ramp_at_its_ends_and_middle(epochs):
    first, last = epochs
    assert ramp(first - 1.0, first, last) == 0.0
    assert ramp((first - 1 + last) / 2, first, last) == pytest.approx(0.5)
    assert ramp(float(last), first, last) == 1.0
    assert ramp(-1.0, first, last) == 0.0
    assert ramp(100.0, first, last) == 1.0


@given(st.floats(0, 30), st.floats(0, 1), st.integers(1, 10), st.integers(0, 10))
def test_a_ramp_never_falls(epoch, further, first, length):
    assert 0.0 <= ramp(epoch, first, first + length) <= ramp(epoch + further, first, first + length) <= 1.0


def at_epochs(full: float, **when) -> list[float]:
    """The value at the start of each of the epochs 1 to 12."""
    return [Ramped(**when).in_force(full, float(epoch)) for epoch in range(12)]


def test_a_weight_without_a_ramp_is_there_at_once():
    assert at_epochs(2.0) == [2.0] * 12


def test_nothing_before_the_first_epoch():
    assert at_epochs(2.0, first_epoch=6) == [0.0] * 5 + [2.0] * 7


def test_the_published_ramp_of_v3():
    """MSE alone in epochs 1-3, from half to the whole in 4-10, the whole from 11 on (prior results, section 3)."""
    values = at_epochs(3.84, first_epoch=4, ramp=[4, 10], start=1.92)
    assert values[:3] == [0.0] * 3
    assert values[3] == 1.92
    assert values[10:] == [3.84] * 2
    steps = [after - before for before, after in pairwise(values[3:11])]
    assert steps == pytest.approx([1.92 / 7] * 7)


def test_the_published_jump_of_p4():
    """0.05 from epoch 4, twice that from epoch 7 (prior results, section 3.1)."""
    values = at_epochs(0.1, first_epoch=4, ramp=7, start=0.05)
    assert values == pytest.approx([0.0] * 3 + [0.05] * 3 + [0.1] * 6)


def test_the_published_ramp_of_micro_ranking_reaches_two_thirds_in_four_epochs():
    """From the start of epoch 1; the earlier work held it constant within an epoch, which is half a step behind."""
    assert Ramped(ramp=[1, 6]).in_force(0.384, 4.0) == pytest.approx(0.384 * 4 / 6)
    assert Ramped(ramp=[1, 6]).in_force(0.384, 0.0) == 0.0
