"""Corruption of the last slot has the stated statistics, touches nothing else and repeats from its seed."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from lvm_core.config.recipe import Noise, RandomUnit
from lvm_core.train.batch import corrupt_last_slot

COUNT = 20_000


def contexts(dimension: int = 16, count: int = COUNT) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return F.normalize(torch.randn(count, 5, dimension, generator=generator), dim=2)


def noise(**changes) -> Noise:
    return Noise.model_validate({"kind": "noise", "probability": 0.15, "norm": 0.83, "swap": 0.05} | changes)


RANDOM = RandomUnit(kind="random_unit", probability=0.2)


def corrupted(given: torch.Tensor, how: Noise | RandomUnit, probability: float, seed: int = 0) -> torch.Tensor:
    return corrupt_last_slot(given, how, probability, torch.Generator().manual_seed(seed))


def changed(given: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    return (given[:, -1] != out[:, -1]).any(dim=1)


def within(share: float, expected: float, count: float) -> bool:
    """Whether a share of `count` draws is within 4 standard errors of the expected one."""
    return abs(share - expected) < 4 * (expected * (1 - expected) / count) ** 0.5


@pytest.mark.parametrize("how", [noise(), noise(swap=1.0), RANDOM])
@pytest.mark.parametrize("probability", [0.05, 0.15, 0.5])
def test_the_stated_share_of_windows_is_corrupted(how, probability):
    given = contexts()
    hit = changed(given, corrupted(given, how, probability))
    assert within(hit.float().mean().item(), probability, COUNT)


@pytest.mark.parametrize("how", [noise(), RANDOM])
def test_none_and_all(how):
    given = contexts(count=500)
    assert torch.equal(corrupted(given, how, 0.0), given)
    assert changed(given, corrupted(given, how, 1.0)).all()


@pytest.mark.parametrize("how", [noise(), RANDOM])
def test_only_the_last_slot_is_touched_and_stays_a_unit_vector(how):
    given = contexts()
    before = given.clone()
    out = corrupted(given, how, 0.5)
    assert torch.equal(given, before)
    assert torch.equal(out[:, :4], given[:, :4])
    assert out.dtype == given.dtype
    torch.testing.assert_close(out[:, 4].norm(dim=1), torch.ones(COUNT))


@pytest.mark.parametrize("dimension", [16, 384, 768])
def test_noise_has_norm_083_at_any_dimension(dimension):
    """norm(c + n) = y with |n| = 0.83 and n across c: cos(c, y) is about 1/sqrt(1 + 0.83^2) = 0.77 (published)."""
    given = contexts(dimension, 4000)
    out = corrupted(given, noise(swap=0.0), 1.0)
    cosine = (given[:, -1] * out[:, -1]).sum(dim=1)
    # In few dimensions some of the noise lies along c; its square is 0.83^2/D, which the mean cosine feels a little.
    assert cosine.mean().item() == pytest.approx((1 + 0.83**2) ** -0.5, abs=0.006 + 0.2 / dimension)


@pytest.mark.parametrize("dimension", [16, 384, 768])
def test_the_length_of_the_noise(dimension):
    """A last chunk of length 100 along the first axis: what was added can be read off, across it, to one per cent."""
    given = torch.zeros(4000, 5, dimension)
    given[:, -1, 0] = 100.0
    last = corrupted(given, noise(swap=0.0), 1.0)[:, -1]
    across = 100.0 * last[:, 1:] / last[:, :1]  # (D - 1) of the D components of the noise
    mean_square = across.square().sum(dim=1).mean().item() * dimension / (dimension - 1)
    assert mean_square**0.5 == pytest.approx(0.83, rel=0.02)
    assert abs(across.mean().item()) < 0.01


def test_the_stated_share_of_corrupted_windows_gets_the_second_last_chunk():
    given = contexts()
    out = corrupted(given, noise(swap=0.3), 0.5)
    swapped = (out[:, -1] == given[:, -2]).all(dim=1)
    hit = changed(given, out)
    assert within(swapped.sum().item() / hit.sum().item(), 0.3, hit.sum().item())
    assert not (swapped & ~hit).any()


def test_a_random_direction_has_nothing_to_do_with_the_chunk():
    given = contexts(64)
    out = corrupted(given, RANDOM, 1.0)
    cosine = (given[:, -1] * out[:, -1]).sum(dim=1)
    assert abs(cosine.mean().item()) < 4 / (64 * COUNT) ** 0.5
    assert cosine.square().mean().item() == pytest.approx(1 / 64, rel=0.05)


def test_the_draws_are_those_of_the_seed():
    given = contexts(count=500)
    assert torch.equal(corrupted(given, noise(), 0.5, seed=3), corrupted(given, noise(), 0.5, seed=3))
    assert not torch.equal(corrupted(given, noise(), 0.5, seed=3), corrupted(given, noise(), 0.5, seed=4))


def test_other_draws_are_not_disturbed():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    corrupted(contexts(count=50), noise(), 0.5)
    assert torch.equal(torch.rand(3), expected)
