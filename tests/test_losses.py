"""Each loss against a case worked out by hand, and its gradient against finite differences."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from lvm_core.config.recipe import LOSSES, Recipe, in_force
from lvm_core.train.losses import (
    FUNCTIONS,
    Batch,
    Candidates,
    article_softmax,
    cosine,
    energy,
    guard_context,
    guard_previous,
    micro_ranking,
    mse,
    mse_normalised,
    rollout,
    smoothness,
    total_loss,
)
from tests.training import small_recipe

OPTIONS: dict[str, dict[str, Any]] = {
    **{"mse": {}, "mse_normalised": {}, "cosine": {}, "energy": {}},
    **{"guard_previous": {"margin": 0.3, "adaptive": True}, "guard_context": {"margin": 0.3, "adaptive": True}},
    **{"micro_ranking": {"gamma": 5.0, "margin": 0.02}, "article_softmax": {"temperature": 0.1}},
    **{"rollout": {"steps": 3}, "smoothness": {"steps": 3, "slope": 10.0, "limit": -0.9}},
}


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def whole_batch(raw: torch.Tensor, **changes) -> Batch:
    """A batch that has what any loss may need; D = 4."""
    count = len(raw)
    chunks, mix = unit(9, 4, seed=3), torch.randn(4, 4, generator=torch.Generator().manual_seed(4)).double()
    allowed = torch.ones(count, 9, dtype=torch.bool)
    allowed[:, 2:6] = False
    parts: dict[str, Any] = {
        **{"contexts": unit(count, 5, 4, seed=1), "targets": unit(count, 4, seed=2)},
        **{"future": unit(count, 2, 4, seed=5), "has_future": torch.tensor([[True, True], [True, False]])[:count]},
        **{"candidates": Candidates(chunks, allowed, torch.tensor([0, 7])[:count])},
        **{"predict": lambda contexts: torch.tanh(contexts.sum(1) @ mix), "samples": raw[:, None] * unit(1, 3, 4)},
        **{"scale": torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64)},
    }
    return Batch(raw, **parts | changes)


def planar(*degrees: float) -> torch.Tensor:
    """Unit vectors of the plane at these angles."""
    angles = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([angles.cos(), angles.sin()], dim=-1)


def cos(degrees: float) -> float:
    return math.cos(math.radians(degrees))


def one(y: float, target: float, *contexts: float, **parts) -> Batch:
    """One window of the plane, everything given as angles."""
    return Batch(2.0 * planar(y), planar(*(contexts or (0.0,) * 5))[None], planar(target), **parts)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_gradient_by_finite_differences(name):
    """Of the raw output, and for `rollout` through the model's further steps (`predict` has no weights here).

    For `smoothness` a constant model: what its further predictions change is left out of the gradient on purpose.
    """
    raw = torch.randn(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(9), requires_grad=True)
    constant = {"predict": lambda contexts: unit(len(contexts), 4, seed=6)} if name == "smoothness" else {}

    def loss(raw: torch.Tensor) -> torch.Tensor:
        return FUNCTIONS[name](whole_batch(raw, **constant), **OPTIONS[name])

    assert loss(raw).requires_grad
    assert torch.autograd.grad(loss(raw), raw)[0].abs().max() > 1e-3
    assert torch.autograd.gradcheck(loss, raw)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_reads_only_what_it_declares(name):
    """Everything undeclared may be missing, and what is declared may not."""
    parts = {"future": ("future", "has_future"), "raw": ("raw",)}
    raw, needs = torch.randn(2, 4, dtype=torch.float64), LOSSES[name].needs
    optional = ("future", "candidates", "predict", "samples", "scale")
    without = {part: None for need in optional if need not in needs for part in parts.get(need, (need,))}
    FUNCTIONS[name](whole_batch(raw, **without), **OPTIONS[name])
    for need in needs - {"raw"}:
        missing = {part: None for part in parts.get(need, (need,))}
        with pytest.raises(ValueError, match=f"needs {need}"):
            FUNCTIONS[name](whole_batch(raw, **missing), **OPTIONS[name])


def test_mse_by_hand():
    raw = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    targets = torch.tensor([[0.0, 1.0], [0.6, 0.8]])
    # (1 + 1)/2 = 1 and (0.36 + 0.64)/2 = 0.5, mean 0.75
    assert mse(Batch(raw, torch.zeros(2, 5, 2), targets)).item() == pytest.approx(0.75)


@pytest.mark.parametrize("dimension", [2, 384])
def test_mse_is_one_minus_cosine_for_unit_outputs_at_any_dimension(dimension):
    given = Batch(unit(7, dimension), unit(7, 5, dimension, seed=1), unit(7, dimension, seed=2))
    assert mse(given).item() == pytest.approx(cosine(given).item())


def test_mse_is_half_the_dimension_times_the_published_one():
    given = Batch(torch.randn(7, 768), torch.zeros(7, 5, 768), unit(7, 768).float())
    assert mse(given).item() == pytest.approx(384 * F.mse_loss(given.raw, given.targets).item(), rel=1e-5)


def test_mse_normalised_by_hand():
    raw, targets = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 1.0]])
    given = Batch(raw, torch.zeros(1, 5, 2), targets, scale=torch.tensor([0.5, 2.0]))
    assert mse_normalised(given).item() == pytest.approx(0.5 * (2.0**2 + 0.5**2) / 2)


def test_cosine_by_hand():
    assert cosine(one(60, 0)).item() == pytest.approx(0.5)


def test_guards_by_hand():
    given = one(60, 0, 180, 150, 120, 50, 90)  # the second-last context chunk lies at 50 degrees
    assert guard_previous(given, margin=0.1).item() == pytest.approx(0.1 - (cos(60) - cos(10)))
    assert guard_previous(one(60, 60, 0, 0, 0, 0, 60), margin=0.1).item() == 0.0
    hinges = [max(0.1 - (cos(60) - cos(60 - c)), 0.0) for c in (180, 150, 120, 50, 90)]
    assert 0.0 in hinges
    assert guard_context(given, margin=0.1).item() == pytest.approx(sum(hinges) / 5)


@pytest.mark.parametrize("guard", [guard_previous, guard_context])
@pytest.mark.parametrize(("last", "factor"), [(180.0, 1.0), (0.0, 2.0), (math.degrees(math.acos(0.6)), 1.5)])
def test_an_adaptive_guard_is_up_to_twice_as_strong(guard, last, factor):
    given = one(30, 0, 10, 20, 30, 40, last)
    expected = factor * guard(given, margin=0.5).item()
    assert guard(given, margin=0.5, adaptive=True).item() == pytest.approx(expected, rel=1e-3)


def test_micro_ranking_by_hand():
    given = one(60, 0, 0, 0, 0, 0, 90)
    expected = math.log(1 + math.exp(5 * (cos(30) - cos(60) + 0.02)))
    assert micro_ranking(given, gamma=5.0, margin=0.02).item() == pytest.approx(expected)


def test_losses_compare_with_the_true_context():
    """What was corrupted is what the model read, not what it is compared with."""
    clean, given = one(60, 0, 9, 9, 9, 50, 90), planar(9, 9, 9, 33, 44)[None]
    corrupted = Batch(clean.raw, given, clean.targets, clean=clean.contexts)
    for name in ("guard_previous", "guard_context", "micro_ranking"):
        function = FUNCTIONS[name]
        assert function(corrupted, **OPTIONS[name]) == function(clean, **OPTIONS[name])


def candidates(target: int, *degrees: float, barred: tuple[int, ...] = ()) -> Candidates:
    allowed = torch.ones(1, len(degrees), dtype=torch.bool)
    allowed[:, list(barred)] = False
    return Candidates(planar(*degrees), allowed, torch.tensor([target]))


def test_article_softmax_by_hand():
    given = one(0, 90, candidates=candidates(1, 0, 90, 180, barred=(0,)))
    # cosines with the allowed ones: 0 and -1
    assert article_softmax(given, temperature=0.5).item() == pytest.approx(math.log(1 + math.exp(-1 / 0.5)))


def test_a_perfect_prediction_has_almost_no_article_softmax_and_the_last_chunk_a_large_one():
    chunks = candidates(6, 0, 20, 40, 60, 80, 160, 250, 340, barred=(0, 1, 2, 3, 4))
    contexts = (0, 20, 40, 60, 80)
    assert article_softmax(one(250, 250, *contexts, candidates=chunks), temperature=0.05).item() < 1e-6
    assert article_softmax(one(80, 250, *contexts, candidates=chunks), temperature=0.05).item() > 1.0


def test_forward_candidates_by_hand():
    """The target is at 90 degrees, with a chunk at 180 after it; that at 0 before it is a masked candidate alone."""
    given = one(0, 90, candidates=candidates(1, 0, 90, 180))
    forward, masked = math.log(1 + math.exp(-2)), math.log(1 + math.exp(-2) + math.exp(2))
    for name, expected in (("forward", forward), ("masked", masked), ("both", (forward + masked) / 2)):
        assert article_softmax(given, temperature=0.5, candidates=name).item() == pytest.approx(expected)


def test_a_window_with_nothing_after_its_target_does_not_count_forward():
    chunks, allowed = planar(0, 90, 180), torch.ones(2, 3, dtype=torch.bool)
    both = Batch(
        planar(0, 0),
        planar(0, 0)[:, None],
        planar(90, 180),
        candidates=Candidates(chunks, allowed, torch.tensor([1, 2])),
    )
    first = one(0, 90, candidates=candidates(1, 0, 90, 180))
    assert article_softmax(both, temperature=0.5, candidates="forward") == article_softmax(
        first, temperature=0.5, candidates="forward"
    )
    last = one(0, 180, candidates=candidates(2, 0, 90, 180))
    assert article_softmax(last, temperature=0.5, candidates="forward") == 0.0


def test_centred_candidates_are_unit_vectors_off_the_mean():
    """Off a mean of length 3 in their direction of 45 degrees, the chunks at 0 and 90 point away from it."""
    found = candidates(0, 0, 90)
    given = one(0, 0, candidates=Candidates(found.chunks, found.allowed, found.target, 3 * planar(45)[0]))
    off = F.normalize(found.chunks - 3 * planar(45)[0], dim=1)[:, 0] / 0.5
    expected = -F.log_softmax(off, dim=0)[0].item()
    assert article_softmax(given, temperature=0.5, centred=True).item() == pytest.approx(expected)
    assert article_softmax(given, temperature=0.5) == article_softmax(one(0, 0, candidates=found), temperature=0.5)


def test_context_chunks_are_no_candidates():
    """Copying the last chunk costs the same however near to the prediction the context is."""
    far, near = (candidates(5, a, a, a, a, a, 30, 90, barred=(0, 1, 2, 3, 4)) for a in (200, 10))
    losses = [article_softmax(one(10, 30, candidates=chunks), temperature=0.1).item() for chunks in (far, near)]
    assert losses[0] == losses[1] > 0


def test_rollout_by_hand():
    """The model says: 10 degrees on from the last chunk; the truth moves by 30."""

    def predict(contexts: torch.Tensor) -> torch.Tensor:
        x, y = contexts[:, -1].unbind(dim=1)
        turned = [x * cos(10) - y * cos(80), x * cos(80) + y * cos(10)]
        return 3.0 * torch.stack(turned, dim=1)

    given = one(10, 30, future=planar(60, 90)[None], has_future=torch.tensor([[True, True]]), predict=predict)
    expected = ((1 - cos(20)) + (1 - cos(40)) + (1 - cos(60))) / 3
    assert rollout(given, steps=3).item() == pytest.approx(expected)


def test_rollout_feeds_the_prediction_into_the_last_slot():
    seen = []

    def predict(contexts: torch.Tensor) -> torch.Tensor:
        seen.append(contexts)
        return planar(20)

    future, has = planar(60, 90)[None], torch.tensor([[True, True]])
    rollout(one(10, 30, 1, 2, 3, 4, 5, future=future, has_future=has, predict=predict), steps=3)
    torch.testing.assert_close(seen[0], planar(2, 3, 4, 5, 10)[None])
    torch.testing.assert_close(seen[1], planar(3, 4, 5, 10, 20)[None])


def test_rollout_leaves_out_windows_without_a_future():
    raw = torch.randn(2, 4, dtype=torch.float64)
    given = whole_batch(raw)  # the second window has no second chunk after its target
    assert given.future is not None
    other = given.future.clone()
    other[1, 1] = unit(4, seed=8)
    assert rollout(whole_batch(raw, future=other), steps=3) == rollout(given, steps=3)
    other[1, 0] = unit(4, seed=8)
    assert rollout(whole_batch(raw, future=other), steps=3) != rollout(given, steps=3)
    none = whole_batch(raw, has_future=torch.zeros(2, 2, dtype=torch.bool))
    assert rollout(none, steps=3).item() == pytest.approx(cosine(given).item() / 3)


def test_smoothness_by_hand():
    given = one(10, 30, predict=lambda contexts: planar(20))
    expected = 10 * ((cos(10) - 0.95) + (cos(0) - 0.95)) / 3
    assert smoothness(given, steps=3, slope=10.0, limit=0.95).item() == pytest.approx(expected)
    assert smoothness(one(70, 30, predict=lambda c: planar(0)), steps=2, slope=10.0, limit=0.95).item() == 0.0


def test_smoothness_teaches_the_first_prediction_alone():
    weight = torch.ones((), dtype=torch.float64, requires_grad=True)
    raw = planar(10.0).requires_grad_()
    given = Batch(raw, planar(1, 2, 3, 4, 5)[None], planar(30), predict=lambda c: weight * planar(20))
    left, right = torch.autograd.grad(
        smoothness(given, steps=3, slope=10.0, limit=0.95), (raw, weight), allow_unused=True
    )
    assert left.abs().max() > 0
    assert right is None


def test_energy_by_hand():
    samples = torch.tensor([[[3.0, 4.0], [0.0, 0.0], [3.0, 0.0]]])  # distances to each other 5, 4, 3
    given = Batch(samples[:, 0], torch.zeros(1, 5, 2), torch.tensor([[0.0, 4.0]]), samples=samples)
    assert energy(given).item() == pytest.approx((3 + 4 + 5) / 3 - 0.5 * (5 + 4 + 3) / 3)


def test_energy_is_least_for_the_true_distribution():
    """Targets from a normal distribution: samples that are too narrow, too wide or shifted score worse."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.randn(4000, 3, generator=generator)

    def score(width: float, shift: float) -> float:
        samples = width * torch.randn(4000, 8, 3, generator=generator) + shift
        return energy(Batch(targets, targets[:, None], targets, samples=samples)).item()

    assert score(1.0, 0.0) < min(score(0.5, 0.0), score(1.5, 0.0), score(1.0, 0.5))


def recipe_with(**losses) -> Recipe:
    return small_recipe(losses=losses)


def test_total_loss_is_the_weighted_sum():
    given = whole_batch(torch.randn(2, 4, dtype=torch.float64))
    terms = recipe_with(mse=2.5, micro_ranking={"weight": 0.5, "gamma": 5.0, "margin": 0.02}).losses
    expected = 2.5 * mse(given) + 0.5 * micro_ranking(given, gamma=5.0, margin=0.02)
    torch.testing.assert_close(total_loss(given, terms, in_force(terms, 0.0)), expected)


@pytest.mark.parametrize(
    ("name", "options", "published"),
    [
        ("guard_previous", {"margin": 0.03}, 0.01),
        ("guard_previous", {"margin": 0.01}, 0.002),
        ("guard_context", {"margin": 1.0}, 0.05),
        ("micro_ranking", {"gamma": 5.0, "margin": 3.0}, 0.001),
    ],
)
def test_converted_weights_push_as_hard_as_the_published_ones(name, options, published):
    """Slope per unit of cosine against the main loss's: 3.84, 0.77, 19.2, and up to 1.92 (prior results, 3.0).

    The prediction moves along an axis that only the target has a part of, with D = 768, where the published MSE is a
    mean over dimensions.
    """
    target, contexts = torch.eye(768, dtype=torch.float64)[0], torch.eye(768, dtype=torch.float64)[1:6]
    start = torch.full((768,), 768**-0.5, dtype=torch.float64)
    cosine_of = torch.tensor(start[0].item(), dtype=torch.float64, requires_grad=True)
    rest = F.normalize(start - start[0] * target, dim=0)
    y = cosine_of * target + (1 - cosine_of**2).sqrt() * rest  # unit length at any cosine
    given = Batch(y[None], contexts[None], target[None])
    (mean_mse,) = torch.autograd.grad(F.mse_loss(y, target), cosine_of, retain_graph=True)
    (main,) = torch.autograd.grad(mse(given), cosine_of, retain_graph=True)
    (guard,) = torch.autograd.grad(FUNCTIONS[name](given, **options), cosine_of)
    assert main.item() == pytest.approx(-1.0)
    stated = {0.01: 3.84, 0.002: 0.768, 0.05: 19.2, 0.001: 1.92}[published]
    assert (384 * published * guard / main).item() == pytest.approx(stated, rel=0.02)
    assert (published * guard / mean_mse).item() == pytest.approx(stated, rel=0.02)


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        ({"msee": 1.0}, "unknown loss 'msee'; known are mse"),
        ({"mse": {"weight": 1.0, "gamma": 5.0}}, "unknown key 'gamma'; allowed are .*weight"),
        ({"mse": 1.0, "micro_ranking": 0.1}, r"micro_ranking\.gamma"),
        ({"mse": 1.0, "micro_ranking": {"weight": 1.0, "gamma": "5", "margin": 0.0}}, r"micro_ranking\.gamma"),
        ({"mse": -1.0}, r"mse\.weight"),
        ({"mse": {"weight": 1.0, "ramp": [4, 3]}}, "in this order"),
        ({"mse": {"weight": 1.0, "start": 0.5}}, "there is no ramp"),
        ({"mse": {"weight": 1.0, "first_epoch": 2}}, "at the start of epoch 1 no loss has a weight"),
        ({"article_softmax": {"weight": 1.0, "temperature": 0.1}}, "needs train.batches: articles"),
        ({"energy": 1.0}, "needs a model that draws samples"),
        ({"mse_normalised": 1.0}, r"needs model\.normaliser"),
        ({}, "at least 1"),
    ],
)
def test_mistakes_in_losses(losses, words):
    with pytest.raises(ValueError, match=words):
        recipe_with(**losses)
