"""What holds for every model family and head."""

from __future__ import annotations

import itertools
import json

import pytest
import torch
from torch.nn import functional as F

from lvm_core.config.models import ModelParams, draws_samples
from lvm_core.config.params import validate
from lvm_core.models import FAMILIES, build_model, count_parameters
from lvm_core.models.checkpoint import ModelInfo, load_model, save_model
from lvm_core.runtime.errors import LvmError

TRANSFORMER = {"family": "transformer", "d_model": 16, "layers": 2, "heads": 4, "ffn": 32, "dropout": 0.1}
NEXT = TRANSFORMER | {"family": "next_token"}
PLAIN = TRANSFORMER | {"pos_scalar": None}
LEARNABLE = {"kind": "learnable", "beta_max": 0.6, "ramp": [1, 4]}
CASES = {
    "plain": PLAIN,
    "p5_1": TRANSFORMER | {"pos_scalar": 0.1, "pos_ramp": [1, 3], "last_slot_bias": LEARNABLE},
    "fixed_bias": PLAIN | {"last_slot_bias": {"kind": "fixed", "beta_max": 0.6}},
    "residual_unit": PLAIN | {"head": "residual_unit"},
    "residual_free": PLAIN | {"head": "residual_free"},
    "mixture_last": PLAIN | {"head": "mixture", "mixture_start": "last"},
    "mixture_mean": PLAIN | {"head": "mixture", "mixture_start": "mean"},
    "energy": PLAIN | {"head": "energy", "noise": 6},
    "normalised": PLAIN | {"normaliser": "robust"},
    "next_token": NEXT | {"last_slot_bias": None},
    "next_token_learnable": NEXT | {"last_slot_bias": LEARNABLE},
    "next_token_barred": NEXT | {"last_slot_bias": {"kind": "barred"}},
    "lstm": {"family": "lstm", "d_model": 16, "layers": 2, "dropout": 0.2},
    "gru": {"family": "gru", "d_model": 16, "layers": 3, "dropout": 0.1},
    "amn": {"family": "amn", "d_model": 16, "ffn": 32},
    "memory": PLAIN | {"memory": "read"},
    "memory_mixture": PLAIN | {"memory": "document", "head": "mixture", "mixture_start": "last"},
    "memory_energy": PLAIN | {"memory": "read", "head": "energy", "noise": 6},
    "base": PLAIN | {"head": "formula", "base": "decay_centred"},
    "base_memory": PLAIN | {"head": "formula", "base": "decay_memory", "memory": "read"},
    "base_trained": PLAIN | {"head": "formula", "base": "decay_whitened", "memory": "document", "train_base": "all"},
    "base_frozen": PLAIN | {"head": "formula", "base": "decay_whitened", "train_base": "none"},
    "storylines": {"family": "storylines", "width": 16, "blocks": 2, "dropout": 0.1},
    "storylines_memory": {"family": "storylines", "width": 16, "blocks": 2, "dropout": 0.1, "memory": "read"},
    "formula": {"family": "formula", "turned": False},
    "formula_memory": {"family": "formula", "turned": True, "memory": "read"},
}
START_AT_ZERO = ("residual_free", "mixture_last", "mixture_mean")
BASES = ("base", "base_memory", "base_trained", "base_frozen")
every_case = pytest.mark.parametrize("case", CASES)


def params_of(case, **changes):
    return validate(CASES[case] | changes, ModelParams, "model")


def unit(*shape, seed=0):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def model_of(case, dimension=8, epoch=2.5):
    """A small model in the middle of its ramps, its normaliser fitted."""
    torch.manual_seed(0)
    model = build_model(params_of(case), dimension)
    if model.normaliser is not None:
        model.normaliser.fit(unit(200, dimension, seed=9))
    if model.centre is not None:
        model.centre.copy_(unit(200, dimension, seed=9).mean(0))
    model.set_ramps(epoch)
    return model


def test_every_family_is_tested():
    assert {case["family"] for case in CASES.values()} == set(FAMILIES)


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("dimension", [8, 48, 768])
@every_case
def test_prediction_has_its_shape_and_every_weight_a_finite_gradient(case, dimension, bf16):
    model, contexts = model_of(case, dimension).train(), unit(6, 5, dimension)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        raw = model(contexts)
        drawn = model.samples(contexts, 3) if draws_samples(params_of(case)) else raw
    assert raw.shape == (6, dimension)
    assert raw.isfinite().all()
    (raw.float().square().sum() + (drawn.float() - 1.0).square().sum()).backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
        if not parameter.requires_grad:
            continue
        assert parameter.grad.isfinite().all(), name


@every_case
def test_evaluation_is_deterministic_draws_nothing_and_sees_windows_one_by_one(case):
    model, contexts = model_of(case).eval(), unit(6, 5, 8)
    state = torch.get_rng_state()
    raw = model(contexts)
    assert torch.equal(model(contexts), raw)
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(torch.cat([model(contexts[i : i + 1]) for i in range(6)]), raw, atol=1e-5, rtol=1e-5)


@every_case
def test_model_directory_rebuilds_the_model_with_the_values_in_force(case, tmp_path):
    model, contexts = model_of(case, epoch=1.7).eval(), unit(6, 5, 8)
    architecture = json.loads(json.dumps(params_of(case).model_dump()))
    info = ModelInfo({}, "a", 2, 8, "", "", "", "fp32", [], count_parameters(model), architecture)
    save_model(tmp_path, model.state_dict(), info)
    loaded = load_model(tmp_path)
    with torch.inference_mode():
        assert torch.equal(loaded.predict_raw(contexts), model(contexts))


def changed_by(model, contexts, order):
    return (model(contexts[:, order]) - model(contexts)).abs().max().item()


def test_amn_cannot_see_the_order_of_its_context():
    model, contexts = model_of("amn", 48).eval(), unit(32, 5, 48)
    for order in itertools.permutations(range(5)):
        assert changed_by(model, contexts, list(order)) < 1e-6
    assert (model(contexts.roll(1, dims=0)) - model(contexts)).abs().max() > 1e-2  # it does see the context


BLIND_AT_FIRST = (*START_AT_ZERO, *("memory_mixture", "formula", "formula_memory"), *BASES)
"""To the order of all but the last chunk."""


@pytest.mark.parametrize("case", [case for case in CASES if case not in ("amn", *BLIND_AT_FIRST)])
def test_all_others_see_the_order(case):
    model, contexts = model_of(case, 48).eval(), unit(32, 5, 48)
    assert changed_by(model, contexts, [4, 3, 2, 1, 0]) > 1e-3
    assert changed_by(model, contexts, [1, 0, 2, 3, 4]) > 1e-4  # also where the last chunk stays


@pytest.mark.parametrize(
    ("sizes", "published"),
    [
        ({"family": "lstm", "d_model": 512, "layers": 2, "dropout": 0.2}, 5_120_768),
        ({"family": "gru", "d_model": 512, "layers": 4, "dropout": 0.0}, 7_095_552),
        ({"family": "amn", "d_model": 256, "ffn": 512}, 1_510_912),
    ],
)
def test_paper_sizes_have_the_published_number_of_parameters(sizes, published):
    assert count_parameters(build_model(validate(sizes, ModelParams, "model"), 768)) == published


def test_buffers_are_no_parameters():
    plain = count_parameters(model_of("plain"))
    assert count_parameters(model_of("normalised")) == plain
    assert count_parameters(model_of("fixed_bias")) == plain
    assert count_parameters(model_of("p5_1")) == plain + 16 + 1  # the position channel's column, theta
    assert count_parameters(model_of("memory")) == plain + 1  # how much of the memory is taken off
    bases = {case: count_parameters(model_of(case)) - plain for case in BASES}
    assert bases == {"base": 5 + 1, "base_memory": 5 + 1 + 1, "base_trained": 5 + 1 + 8 * 8 + 1, "base_frozen": 0}


@pytest.mark.parametrize(
    ("case", "changes", "told"),
    [
        ("plain", {"family": "mamba"}, "mamba"),
        ("plain", {"head": "mixture"}, "mixture_start"),
        ("plain", {"mixture_start": "last"}, "mixture_start"),
        ("plain", {"head": "energy"}, "noise"),
        ("plain", {"noise": 4}, "noise"),
        ("plain", {"head": "residual_unit", "normaliser": "robust"}, "normaliser"),
        ("plain", {"normaliser": "mean"}, "normaliser"),
        ("plain", {"pos_ramp": [1, 3]}, "pos_scalar is null"),
        ("p5_1", {"pos_ramp": [3, 1]}, "pos_ramp"),
        ("p5_1", {"pos_ramp": [0, 1]}, "pos_ramp"),
        ("p5_1", {"pos_ramp": [1]}, "pos_ramp"),
        ("plain", {"last_slot_bias": {"kind": "barred"}}, "last_slot_bias"),  # its residual stream would carry the slot
        ("plain", {"last_slot_bias": {"kind": "fixed"}}, "beta_max"),
        ("next_token", {"last_slot_bias": {"kind": "barred", "beta_max": 1.0}}, "beta_max"),
        ("next_token", {"heads": 3}, "heads"),
        ("next_token", {"head": "mixture"}, "head"),
        ("lstm", {"heads": 3}, "heads"),
        ("gru", {"dropout": 1.0}, "dropout"),
        ("amn", {"ffn": 0}, "ffn"),
        ("plain", {"memory": "all"}, "memory"),
        ("plain", {"head": "formula"}, "head 'formula' needs base"),
        ("plain", {"train_base": "all"}, "only head 'formula' has a base"),
        ("base", {"base": "copy_last"}, "base"),
        ("base", {"base": "decay_memory"}, "base = 'decay_memory' needs memory: read, and memory is None"),
        ("base_memory", {"memory": "document"}, "base = 'decay_memory' needs memory: read, and memory is 'document'"),
        ("base", {"normaliser": "robust"}, "a normaliser does not go with"),
        ("storylines", {"heads": 3}, "heads"),
        ("gru", {"memory": "read"}, "model.gru.memory = 'read': this family cannot take .*transformer, storylines and"),
        ("normalised", {"memory": "document"}, "a normaliser does not go with a memory"),
        ("formula", {"normaliser": "robust"}, "a normaliser does not go with a memory or a formula"),
    ],
)
def test_impossible_parameters_are_refused_in_one_line(case, changes, told):
    with pytest.raises(LvmError, match=told) as error:
        params_of(case, **changes)
    assert "\n" not in str(error.value)
