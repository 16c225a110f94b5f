"""Every figure of the five tests, in both frames, against a per-window loop written from the definitions alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.compare import differences
from benchmarks.naive_fivecat import naive_summary
from lvm_core.bank import Bank
from lvm_core.config.groups import EvaluateParams
from lvm_core.config.models import TransformerParams
from lvm_core.fivecat.evaluate import evaluate
from lvm_core.fivecat.measures import Predictor, from_callable
from lvm_core.fivecat.references import (
    copy_last,
    fit_linear5,
    oracle,
    random_directions,
)
from lvm_core.models import build_model
from lvm_core.models.checkpoint import LoadedModel
from tests.synthetic import articles_in, bank_of, make_bank, unit

TOLERANCE = 1e-5
"""Stated in the issue; single precision leaves about 1e-7."""
SEED = 3


def with_duplicates() -> Bank:
    """Articles of every odd length, and one of 26 chunks in which eight are copies of others, near and far."""
    plain = make_bank({"train": [20] * 3, "val": [6, 7, 8, 9, 10, 14, 15, 40], "ood": [12, 21]}, 12, seed=4)
    once = unit(np.random.default_rng(1).standard_normal((18, 12)))
    copies = np.concatenate([once, once[[17, 3, 3, 16, 17, 0, 9, 9]]])
    return bank_of([*articles_in(plain), ("copies", "val", copies)])


def small_model(dimension: int) -> Predictor:
    torch.manual_seed(0)
    params = TransformerParams(
        family="transformer", d_model=16, layers=2, heads=2, ffn=32, dropout=0.1, pos_scalar=0.03
    )
    module = build_model(params, dimension)
    return from_callable(LoadedModel(module, info=None).predict_raw, "transformer")  # type: ignore[arg-type]


def less_mean(contexts: torch.Tensor, rows: np.ndarray, memory: torch.Tensor | None) -> torch.Tensor:
    assert memory is not None
    return contexts[:, -1] + 0.4 * contexts[:, -2] - 0.6 * memory


BANK = with_duplicates()
PREDICTORS = {
    predictor.name: predictor
    for predictor in (
        oracle(BANK),
        copy_last(),
        fit_linear5(BANK),
        random_directions(BANK, 0),
        small_model(12),
        from_callable(lambda contexts: torch.zeros_like(contexts[:, 0]), "nothing"),
        *(Predictor(sees, less_mean, sees) for sees in ("memory", "document")),
    )
}


def assert_agree(bank: Bank, split: str, predictor: Predictor, params: EvaluateParams) -> dict[str, Any]:
    naive = naive_summary(bank, split, predictor, params, SEED)
    ours = evaluate(bank, split, predictor, params, seed=SEED).summary
    apart = differences(naive, ours)
    assert {key: value for key, value in apart.items() if value > TOLERANCE} == {}
    return naive


@pytest.mark.parametrize("split", ["val", "ood"])
@pytest.mark.parametrize("name", PREDICTORS)
def test_all_figures_equal_the_per_window_loop(name: str, split: str) -> None:
    naive = assert_agree(BANK, split, PREDICTORS[name], EvaluateParams(batch_size=16, coherence_cuts=[0.4, 0.6]))
    assert naive["windows"]["all"] == {"val": 1 + 2 + 3 + 4 + 5 + 9 + 10 + 35 + 21, "ood": 7 + 16}[split]


@pytest.mark.parametrize("steps", [1, 3, 8])
def test_other_parameters(steps: int) -> None:
    params = EvaluateParams(rollout_steps=steps, min_candidates=4, coherence_cuts=[-0.1, 0.9])
    assert_agree(BANK, "val", PREDICTORS["linear5"], params)


def test_a_float16_bank() -> None:
    half = bank_of(articles_in(BANK), np.float16)
    for predictor in (oracle(half), PREDICTORS["linear5"], PREDICTORS["memory"]):
        assert_agree(half, "val", predictor, EvaluateParams())


def test_nothing_to_measure() -> None:
    """No window, one window, one article: the same figures are undefined in both."""
    lonely = make_bank({"val": [6], "ood": [3, 5]}, 8)
    for split in ("val", "ood", "dev"):
        assert_agree(lonely, split, copy_last(), EvaluateParams())


def test_the_comparison_sees_a_difference() -> None:
    """Another seed moves the shuffled order and the foreign chunk, and nothing else."""
    params, predictor = EvaluateParams(), PREDICTORS["linear5"]
    naive = naive_summary(BANK, "val", predictor, params, SEED + 1)
    apart = differences(naive, evaluate(BANK, "val", predictor, params, seed=SEED).summary)
    assert {key for key, value in apart.items() if value > TOLERANCE} == {"order_shuffle", "order_foreign_last"}
    assert differences({"a": None, "b": {"c": 1.0}}, {"a": 0.0, "b": {"c": 1.5}}) == {"a": float("inf"), "b.c": 0.5}
