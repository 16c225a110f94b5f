"""The bias against the last slot, ramps, and what [NEXT] can see."""

from __future__ import annotations

import math

import pytest
import torch

from lvm_core.models.families import DecoderLayer
from lvm_core.models.layers import Attention
from tests.test_models_families import model_of, unit


def attention_weights(attention, query, memory, bias=None):
    """[B, heads, Q, T] softmax weights, written out, and the output that they give."""
    width = query.shape[-1]
    weight, offset = attention.in_weight.chunk(3), attention.in_bias.chunk(3)
    sources = (query, memory, memory)
    q, k, v = (
        (x @ w.T + b).unflatten(-1, (attention.heads, -1)).transpose(1, 2)
        for x, w, b in zip(sources, weight, offset, strict=True)
    )
    logits = q @ k.transpose(2, 3) / math.sqrt(width / attention.heads)
    if query.shape[1] > 1:
        logits = logits.masked_fill(torch.ones(logits.shape[2:], dtype=torch.bool).triu(1), -math.inf)
    if bias is not None:
        logits = torch.cat([logits[:, :, :-1], logits[:, :, -1:] + bias], dim=2)
    weights = logits.softmax(dim=3)
    return weights, attention.out((weights @ v).transpose(1, 2).flatten(2))


def calls_of(model, contexts):
    """(attention, its arguments, its output) of every attention in one forward pass."""
    calls = []
    hooks = [
        module.register_forward_hook(lambda attention, given, out: calls.append((attention, given, out)))
        for module in model.modules()
        if isinstance(module, Attention)
    ]
    model(contexts)
    for hook in hooks:
        hook.remove()
    return calls


@pytest.mark.parametrize(("case", "attentions"), [("fixed_bias", 4), ("p5_1", 4), ("next_token_learnable", 2)])
def test_bias_takes_beta_off_the_last_slot_in_every_attention(case, attentions):
    model, contexts = model_of(case, epoch=4.0).eval(), unit(6, 5, 8)
    beta = 0.6 if case == "fixed_bias" else 0.3  # 0.6 x sigmoid(0)
    calls = calls_of(model, contexts)
    assert len(calls) == attentions
    for attention, (query, memory, bias), out in calls:
        weights, expected = attention_weights(attention, query, memory, bias)
        torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)  # these are the weights that were used
        plain, _ = attention_weights(attention, query, memory)
        assert torch.equal(weights[:, :, :-1], plain[:, :, :-1])  # causality: only the last position sees that slot
        odds, before = (w[:, :, -1, -1] / (1.0 - w[:, :, -1, -1]) for w in (weights, plain))
        torch.testing.assert_close(odds / before, torch.full_like(odds, math.exp(-beta)), atol=1e-4, rtol=1e-4)


def test_barred_gives_the_last_slot_a_weight_of_exactly_zero():
    for attention, (query, memory, bias), out in calls_of(model_of("next_token_barred").eval(), unit(6, 5, 8)):
        weights, expected = attention_weights(attention, query, memory, bias)
        torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
        assert (weights[..., -1] == 0.0).all()
        torch.testing.assert_close(weights[..., :-1].sum(dim=-1), torch.ones(weights.shape[:-1]))


@pytest.mark.parametrize("case", ["p5_1", "next_token_learnable"])
def test_learnable_bias_learns(case):
    model, contexts, epsilon = model_of(case, epoch=4.0).double().eval(), unit(6, 5, 8).double(), 1e-5
    model(contexts).pow(3).sum().backward()

    @torch.no_grad()
    def loss_at(theta):
        model.last_slot.theta.fill_(theta)
        return model(contexts).pow(3).sum().item()

    slope = (loss_at(epsilon) - loss_at(-epsilon)) / (2 * epsilon)
    assert abs(slope) > 1e-4
    assert model.last_slot.theta.grad.item() == pytest.approx(slope, rel=1e-4)


def test_bias_at_the_start_of_its_ramp_is_none_at_all():
    model, contexts = model_of("next_token_learnable", epoch=0.0).eval(), unit(6, 5, 8)
    before = model(contexts)
    model.last_slot = None
    torch.testing.assert_close(model(contexts), before, atol=1e-6, rtol=1e-6)


def test_ramps_are_linear_per_step_between_their_ends():
    model = model_of("p5_1")  # pos_scalar 0.1 over epochs 1-3, beta_max 0.6 over epochs 1-4
    for epoch, scalar, strength in [
        (0.0, 0.0, 0.0),
        (1.5, 0.05, 0.225),
        (3.0, 0.1, 0.45),
        (4.0, 0.1, 0.6),
        (9.0, 0.1, 0.6),
    ]:
        model.set_ramps(epoch)
        assert model.pos_ramped.in_force.item() == pytest.approx(scalar)
        assert model.last_slot.strength.in_force.item() == pytest.approx(strength)
        assert model.last_slot()[-1].item() == pytest.approx(-strength / 2)


def test_positional_ramp_reaches_the_output_and_ends_at_the_unramped_model():
    ramped, contexts = model_of("p5_1", epoch=1.0).eval(), unit(6, 5, 8)
    early = ramped(contexts)
    ramped.set_ramps(3.0)
    assert (ramped(contexts) - early).abs().max() > 1e-4
    ramped.last_slot.strength.in_force.zero_()
    full = ramped(contexts)
    ramped.pos_ramped = None  # reads pos_scalar itself
    torch.testing.assert_close(ramped(contexts), full)


@torch.no_grad()
def blind(attention):
    """Take the query out of the logits: what the query still changes, it changes through keys or values."""
    attention.in_weight[: attention.out.in_features].zero_()
    return attention


def reach(attention, query, memory):
    """Largest derivative of the attention's output with respect to the query's input."""
    return (
        torch.autograd.functional.jacobian(lambda x: attention(x, x if memory is None else memory), query).abs().max()
    )


def test_next_cannot_see_itself():
    model, contexts = model_of("next_token").eval(), unit(1, 5, 8)
    for attention, (query, memory, _), _ in calls_of(model, contexts):
        weights, _ = attention_weights(attention, query, memory)
        assert weights.shape == (1, 4, 1, 5)  # five slots, and [NEXT] is none of them
        assert torch.autograd.grad(memory.sum(), model.next, allow_unused=True, retain_graph=True) == (None,)
        query, memory = query.detach(), memory.detach()
        assert reach(attention, query, memory) > 1e-4  # it asks,
        assert reach(blind(attention), query, memory) == 0.0  # but is neither key nor value
    seeing = blind(DecoderLayer(16, 4, 32, 0.0).self_attention)
    assert reach(seeing, torch.randn(1, 5, 16), None) > 1e-4  # the same check on an attention that does see itself


def test_barred_next_gets_nothing_from_the_last_chunk():
    contexts = unit(3, 5, 8)
    for case, barred in [("next_token_barred", True), ("next_token", False), ("plain", False)]:
        slopes = torch.autograd.functional.jacobian(model_of(case).eval(), contexts).abs().amax(dim=(0, 1, 2, 4))
        assert (slopes[-1] == 0.0) == barred
        assert (slopes[:-1] > 1e-4).all()


def test_strong_fixed_bias_bars():
    model, contexts = model_of("next_token_learnable", epoch=4.0).eval(), unit(6, 5, 8)
    model.last_slot.strength.in_force.fill_(1000.0)
    other = contexts.clone()
    other[:, -1] = unit(6, 8, seed=5)
    assert torch.equal(model(contexts), model(other))
