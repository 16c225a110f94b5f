"""Dropout with masks from a pool: the distribution of plain dropout."""

from __future__ import annotations

import pytest
import torch

from lvm_core.models.layers import POOL, Attention, Dropout, MaskPool, draw_masks


def layer(probability: float = 0.2, seed: int | None = 0) -> torch.nn.Module:
    module = torch.nn.Sequential(torch.nn.Linear(4, 4), Dropout(probability))
    if seed is not None:
        draw_masks(module, seed)
    return module[1]


@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_the_share_dropped_and_the_mean_kept(probability):
    torch.manual_seed(0)
    out = layer(probability)(torch.ones(1000, 1000))
    dropped = (out == 0).float().mean().item()
    assert dropped == pytest.approx(probability, abs=5 * (probability * (1 - probability) / 1e6) ** 0.5)
    assert out.mean().item() == pytest.approx(1.0, abs=0.01)
    assert out.unique().tolist() == [0.0, pytest.approx(1 / (1 - probability))]


def test_rows_columns_and_calls_are_independent():
    torch.manual_seed(0)
    dropout = layer()
    one, other = (dropout(torch.ones(1000, 1000)) == 0 for _ in range(2))
    both = (one & other).float().mean().item()
    assert both == pytest.approx(0.04, abs=0.002)
    for axis in (0, 1):
        neighbours = (one & one.roll(1, axis)).float().mean().item()
        assert neighbours == pytest.approx(0.04, abs=0.002)


def test_outside_training_nothing_is_dropped():
    x = torch.ones(3, 4)
    assert layer().eval()(x) is x
    assert layer(0.0)(x) is x


def test_the_same_seeds_give_the_same_masks_and_others_do_not():
    def mask(pool_seed: int, offset_seed: int) -> torch.Tensor:
        torch.manual_seed(offset_seed)
        return layer(seed=pool_seed)(torch.ones(100, 100))

    assert torch.equal(mask(1, 1), mask(1, 1))
    assert not torch.equal(mask(1, 1), mask(2, 1))
    assert not torch.equal(mask(1, 1), mask(1, 2))


def test_without_a_pool_or_beyond_it_masks_are_drawn():
    for dropout, shape in ((layer(seed=None), (1000, 1000)), (layer(), (POOL + 1,))):
        assert (dropout(torch.ones(shape)) == 0).float().mean().item() == pytest.approx(0.2, abs=0.01)


def test_the_mask_has_the_type_of_what_it_masks():
    assert MaskPool(0.5, 0).mask_for(torch.ones(3, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_layers_of_one_probability_share_a_pool():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), Dropout(0.1), Dropout(0.1), Dropout(0.2), Dropout(0.0))
    draw_masks(model, 0)
    assert model[1].pool is model[2].pool
    assert model[3].pool is not model[1].pool
    assert model[4].pool is None


@pytest.mark.parametrize("bias", [None, torch.tensor([0.0, 0.0, -1.0])])
@pytest.mark.parametrize("last_only", [False, True])
def test_attention_written_out_is_the_fused_one(bias, last_only):
    """With a pool, training writes attention out; where nothing is dropped it must agree with the fused kernel."""
    torch.manual_seed(0)
    attention = Attention(8, 2, 0.5)
    x = torch.randn(4, 3, 8)
    query = x[:, -1:] if last_only else x
    fused = attention.eval()(query, x, bias)
    draw_masks(attention, 0)
    pool = attention.dropout.pool
    assert pool is not None
    pool.values[torch.float32] = torch.ones(POOL)
    torch.testing.assert_close(attention.train()(query, x, bias), fused)
