"""Small and odd data: every figure is defined, or null, never NaN."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvm_core.config.figures import HEADLINE, headline
from lvm_core.config.groups import EvaluateParams
from lvm_core.config.params import validate
from lvm_core.fivecat.evaluate import evaluate, write_evaluations
from lvm_core.fivecat.references import article_centroid, context_mean, copy_last, oracle
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.readers import read_json, read_parquet
from tests.synthetic import bank_of, make_bank


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    return [value]


def assert_no_nan(summary: dict[str, Any]) -> None:
    json.dumps(summary, allow_nan=False)
    assert all(leaf is None or math.isfinite(leaf) for leaf in leaves(summary))


@pytest.mark.parametrize(
    ("length", "margin", "unseen", "rollout"),
    [
        (6, False, False, False),
        (7, False, False, False),
        (8, True, False, False),
        (9, True, True, False),
        (10, True, True, True),
    ],
)
def test_short_articles(length: int, margin: bool, unseen: bool, rollout: bool) -> None:
    """6 chunks have one window; k=+3 needs 8, k=+4 needs 9, five rollout steps and ten candidates 10 (masked 15)."""
    summary = evaluate(make_bank({"val": [length] * 3}), "val", copy_last()).summary
    assert_no_nan(summary)
    assert summary["windows"]["all"] == 3 * (length - 5)
    assert summary["cosine"] is not None
    assert (summary["margin"] is not None) == (summary["margin_last"] is not None) == margin
    assert (summary["margin_unseen"] is not None) == unseen
    assert (summary["rollout"] is not None) == rollout
    assert summary["recall_at_5"] is None
    assert summary["windows"]["retrieval"] == 0
    assert (summary["mrr_unmasked"] is not None) == (length >= 10)


def test_empty_split(tmp_path: Path) -> None:
    evaluation = evaluate(make_bank({"val": [12]}), "ood", copy_last())
    assert_no_nan(evaluation.summary)
    assert set(headline(evaluation.summary)) == set(HEADLINE)
    assert set(headline(evaluation.summary).values()) == {None}
    full = evaluate(make_bank({"ood": [12]}), "ood", copy_last())
    write_evaluations(tmp_path / "out", {"val": full, "ood": evaluation}, {"strength": 1.0})
    empty, filled = (read_parquet(tmp_path / "out" / f"{split}.parquet") for split in ("ood", "val"))
    assert len(empty) == 0
    numeric = [name for name in filled.columns if name != "article"]
    assert list(empty.columns) == list(filled.columns)
    assert (empty.dtypes[numeric] == filled.dtypes[numeric]).all()
    assert set(read_json(tmp_path / "out" / "summary.json")) == {"val", "ood", "sees", "fit"}


def test_articles_too_short_for_a_window() -> None:
    """They have no window, but their chunks may serve as foreign ones."""
    bank = make_bank({"val": [3, 12, 5]})
    summary = evaluate(bank, "val", copy_last()).summary
    assert summary["articles"] == 1
    assert summary["order_foreign_last"] is not None
    assert evaluate(make_bank({"val": [3, 5]}), "val", copy_last()).summary["cosine"] is None


def test_single_article_has_no_foreign_chunk() -> None:
    summary = evaluate(make_bank({"val": [20]}), "val", context_mean()).summary
    assert_no_nan(summary)
    assert summary["order_foreign_last"] is None
    assert summary["order_shuffle"] is not None


def test_duplicates_of_the_target_share_the_rank() -> None:
    """Each chunk twice in the article: the oracle's target ties with its copy, and R@1 is the toss of a coin."""
    once = np.random.default_rng(0).standard_normal((20, 16))
    summary = evaluate(bank := bank_of([("a", "val", np.concatenate([once, once]))]), "val", oracle(bank)).summary
    found = [summary[f"{figure}_unmasked"] for figure in ("recall_at_1", "recall_at_5", "mrr")]
    assert found == [0.5, 1.0, 0.75]
    assert summary["recall_at_1"] == 0.5  # the copy is 20 chunks away, never masked


def test_article_of_equal_chunks() -> None:
    """All candidates tie: every predictor is at chance, masked and unmasked."""
    bank = bank_of([("a", "val", np.ones((30, 8))), ("b", "val", np.ones((17, 8)))])
    for predictor in (oracle(bank), copy_last(), article_centroid(bank)):
        summary = evaluate(bank, "val", predictor).summary
        assert summary["cosine"] == pytest.approx(1.0, abs=1e-6)
        assert summary["margin"] == pytest.approx(0.0, abs=1e-6)
        for figure in summary["chance"]:  # R@1 and R@5 in every reading
            assert summary[figure] == pytest.approx(summary["chance"][figure], abs=1e-6)


@settings(deadline=None, max_examples=25)
@given(
    lengths=st.lists(st.integers(1, 18), min_size=1, max_size=6),
    batch_size=st.integers(1, 20),
    steps=st.integers(1, 7),
    minimum=st.integers(1, 12),
)
def test_any_lengths(lengths: list[int], batch_size: int, steps: int, minimum: int) -> None:
    bank = make_bank({"val": lengths}, 6, seed=sum(lengths))
    params = EvaluateParams(batch_size=batch_size, rollout_steps=steps, min_candidates=minimum)
    evaluation = evaluate(bank, "val", oracle(bank), params)
    assert_no_nan(evaluation.summary)
    assert len(evaluation.windows) == sum(max(n - 5, 0) for n in lengths)
    mrr = evaluation.summary["mrr"]
    assert mrr is None or mrr == 1.0


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"rollout_steps": 0}, "rollout_steps"),
        ({"coherence_cuts": [0.6, 0.5]}, "coherence_cuts"),
        ({"coherence_cuts": [0.5]}, "coherence_cuts"),
        ({"coherence_cuts": [0.5, 1.5]}, "coherence_cuts"),
        ({"min_candidates": 0}, "min_candidates"),
        ({"ridge_strengths": []}, "ridge_strengths"),
        ({"ridge_strengths": [0.0]}, "ridge_strengths"),
        ({"ridge_strengths": [0.1, 0.1]}, "ridge_strengths"),
        ({"ridge_strengths": ["1e-3"]}, "ridge_strengths"),
        ({"batchsize": 3}, "batchsize"),
    ],
)
def test_impossible_parameters_are_one_line(value: dict[str, Any], key: str) -> None:
    with pytest.raises(LvmError, match=rf"evaluate\.{key}") as error:
        validate(value, EvaluateParams, "evaluate")
    assert "\n" not in str(error.value)
