"""Heads by hand, and where corrections start."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from lvm_core.config.models import draws_samples
from lvm_core.models.base import Energy
from tests.test_models_families import CASES, START_AT_ZERO, model_of, params_of, unit


def test_residual_unit_is_the_published_formula():
    model, contexts = model_of("residual_unit").eval(), unit(6, 5, 8) * 3.0
    base = model.head.base(model.state(contexts))
    for alpha in (0.5, -1.25):
        with torch.no_grad():
            assert alpha != 0.5 or model.head.alpha == 0.5  # where it starts
            model.head.alpha.fill_(alpha)
        expected = [c[-1] / c[-1].norm() + alpha * b / b.norm() for c, b in zip(contexts, base, strict=True)]
        torch.testing.assert_close(model(contexts), torch.stack(expected))
        lengths = model(contexts).norm(dim=1)
        assert ((abs(1 - abs(alpha)) - 1e-6 <= lengths) & (lengths <= 1 + abs(alpha) + 1e-6)).all()


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("case", START_AT_ZERO)
def test_corrections_start_at_zero(case, training, bf16):
    model, contexts = model_of(case).train(training), unit(64, 5, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        raw = model(contexts)
    assert raw.dtype == torch.float32
    if case == "mixture_mean":
        torch.testing.assert_close(raw, contexts.mean(dim=1), atol=1e-7, rtol=1e-6)
    else:
        assert torch.equal(raw, contexts[:, -1])


@pytest.mark.parametrize("case", START_AT_ZERO)
def test_corrections_leave_zero_in_training(case):
    model, contexts, targets = model_of(case).train(), unit(64, 5, 8), unit(64, 8, seed=3)
    start, optimizer = model(contexts).detach(), torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        (model(contexts) - targets).square().sum(dim=1).mean().backward()
        optimizer.step()
    assert (model(contexts) - start).abs().max() > 1e-2
    moved = [name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0]
    assert set(moved) == {name for name, _ in model.named_parameters()}  # after the first step, everything learns


def test_residual_free_adds_a_correction_of_any_length():
    model, contexts = model_of("residual_free").eval(), unit(6, 5, 8)
    with torch.no_grad():
        model.head.base[3].bias.fill_(2.0)
    torch.testing.assert_close(model(contexts), contexts[:, -1] + 2.0)


def test_mixture_weighs_the_context_chunk_by_chunk():
    model, contexts = model_of("mixture_last").eval(), unit(6, 5, 8)
    weights, own = torch.tensor([0.5, -0.25, 0.0, 1.0, 2.0]), torch.randn(5, 16)
    with torch.no_grad():
        model.head.weights.copy_(weights)
        model.head.own.weight.copy_(own)
    every = weights + model.state(contexts) @ own.T
    expected = [
        sum(w * c for w, c in zip(row, chunks, strict=True)) for row, chunks in zip(every, contexts, strict=True)
    ]
    torch.testing.assert_close(model(contexts), torch.stack(expected), atol=1e-5, rtol=1e-5)


def test_energy_predicts_the_mean_of_the_draws_of_its_fixed_noise():
    model, contexts = model_of("energy").eval(), unit(6, 5, 8)
    head, state = model.head, model.state(contexts)
    one_by_one = [head.leave(head._drawn(state, noise[None, None]))[:, 0] for noise in head.fixed]
    assert len(one_by_one) == Energy.FIXED
    torch.testing.assert_close(model(contexts), torch.stack(one_by_one).mean(dim=0), atol=1e-6, rtol=1e-5)
    assert torch.stack(one_by_one).std(dim=0).min() > 1e-3


def test_energy_noise_is_fixed_for_ever_and_has_mean_zero():
    first = model_of("energy").head.fixed
    torch.manual_seed(77)
    torch.randn(5)
    assert torch.equal(Energy(16, 8, 6).fixed, first)
    assert torch.equal(first[:8], -first[8:])


def test_energy_samples_are_seeded_and_differ():
    model, contexts = model_of("energy").eval(), unit(6, 5, 8)
    torch.manual_seed(1)
    samples = model.samples(contexts, 4)
    assert samples.shape == (6, 4, 8)
    distances = torch.cdist(samples, samples) + torch.eye(4)
    assert distances.min() > 1e-2
    assert not torch.equal(model.samples(contexts, 4), samples)
    torch.manual_seed(1)
    assert torch.equal(model.samples(contexts, 4), samples)


def test_mean_of_many_samples_is_the_prediction_up_to_the_noise():
    model, contexts = model_of("energy").eval(), unit(2, 5, 8)
    torch.manual_seed(1)
    samples = model.samples(contexts, 4000)
    gap = (samples.mean(dim=1) - model(contexts)).norm(dim=1)
    assert (gap < 0.5 * samples.std(dim=1).norm(dim=1)).all()  # 16 fixed draws: a quarter of it expected at most


def test_energy_can_learn_two_outcomes_where_a_mean_would_learn_neither():
    """Targets +e or -e at random: with the energy score the draws spread over both, a regression says 0."""
    torch.manual_seed(0)
    model, contexts = model_of("energy").train(), unit(64, 5, 8)[:1].expand(64, -1, -1)
    axis = F.one_hot(torch.tensor(2), 8).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(150):
        sign = torch.randint(0, 2, (64, 1)) * 2.0 - 1.0
        draws = model.samples(contexts, 4)
        to_truth = (draws - (sign * axis)[:, None]).norm(dim=2).mean()
        apart = (draws[:, :, None] - draws[:, None] + 1e-6).norm(dim=3).sum(dim=(1, 2)).mean() / 12
        optimizer.zero_grad()
        (to_truth - 0.5 * apart).backward()
        optimizer.step()
    drawn = model.eval().samples(contexts[:1], 400)[0] @ axis
    assert (drawn > 0.5).float().mean() > 0.2
    assert (drawn < -0.5).float().mean() > 0.2


def test_only_the_energy_head_draws():
    for case in CASES:
        if draws_samples(params_of(case)):
            assert case in ("energy", "memory_energy")
        else:
            with pytest.raises((TypeError, AttributeError)):
                model_of(case).samples(unit(2, 5, 8), 3)
