"""Laws of the evaluation: what the oracle, copy-last and friends must score, and what must change nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from lvm_core.bank import Bank
from lvm_core.config.figures import ABLATIONS, READINGS
from lvm_core.config.groups import EvaluateParams
from lvm_core.fivecat.evaluate import Evaluation, evaluate
from lvm_core.fivecat.measures import Predictor, from_callable
from lvm_core.fivecat.references import (
    context_mean,
    copy_last,
    fit_linear5,
    fit_references,
    oracle,
    random_directions,
)
from lvm_core.fivecat.windows import canonical_windows, foreign_rows, shuffled_orders
from lvm_core.runtime.errors import LvmError
from tests.synthetic import articles_in, bank_of, make_bank, permuted, published_articles

LENGTHS = {"train": [30] * 8, "dev": [16, 20], "val": [6, 7, 8, 9, 15, 24, 40, 11], "ood": [12, 30]}


@pytest.fixture(scope="module")
def bank() -> Bank:
    return make_bank(LENGTHS)


def assert_same(one: Evaluation, other: Evaluation, tolerance: float, ignore: tuple[str, ...] = ()) -> None:
    pd.testing.assert_frame_equal(
        one.windows.drop(columns=list(ignore)), other.windows.drop(columns=list(ignore)), rtol=0, atol=tolerance
    )
    flat, other_flat = (pd.json_normalize(e.summary).iloc[0] for e in (one, other))
    assert list(flat.index) == list(other_flat.index)
    for key in flat.index:
        assert (flat[key] is None) == (other_flat[key] is None), key
        assert flat[key] is None or flat[key] == pytest.approx(other_flat[key], abs=tolerance), key


def test_the_frame_is_the_corrected_one(bank: Bank) -> None:
    """Offset k is bank row t - 1 + k: the target is k=+1, the last context chunk k=0. (The published frame stored the
    target's index as k=0, so that every offset was one late and no good predictor could pass.)
    """
    for predictor, offset in ((oracle(bank), "+1"), (copy_last(), "0"), (from_callable(lambda c: c[:, -2]), "-1")):
        profile = evaluate(bank, "val", predictor).summary["profile"]
        assert profile[offset] == pytest.approx(1.0, abs=1e-6)
        assert all(value < 0.99 for k, value in profile.items() if k != offset)


def test_oracle_scores_perfectly(bank: Bank) -> None:
    summary = evaluate(bank, "val", oracle(bank)).summary
    assert summary["cosine"] == pytest.approx(1.0, abs=1e-6)
    for which in (*READINGS, "_unmasked"):
        assert {summary[f"{figure}{which}"] for figure in ("recall_at_1", "recall_at_5", "mrr")} == {1.0}
    assert all(step["cosine"] == pytest.approx(1.0, abs=1e-6) for step in summary["rollout_by_step"].values())
    for step in summary["rollout_by_step"].values():
        assert {step[f"recall_at_5{which}"] for which in READINGS} == {1.0}
    best_other = max(value for k, value in summary["profile"].items() if k not in ("+1", "-4", "+4"))
    assert summary["margin"] == pytest.approx(1.0 - best_other, abs=1e-6)
    assert {summary[f"order_{name}"] for name in ABLATIONS} == {None}  # it does not read the context


def test_copy_last_never_ranks_the_target_first_unmasked(bank: Bank) -> None:
    """Its prediction IS a candidate, with cosine 1, so the target comes second at best; masked, it is gone."""
    summary = evaluate(bank, "val", copy_last()).summary
    assert summary["recall_at_1_unmasked"] == 0.0
    assert summary["recall_at_1"] > 0.0
    assert summary["margin"] == summary["margin_last"] < 0
    assert summary["order_repeat_last"] == pytest.approx(0.0, abs=1e-6)
    assert summary["order_leave_one_out"] == pytest.approx(0.0, abs=1e-6)
    assert summary["order_foreign_last"] < -0.1


def test_order_blind_predictor_has_no_order(bank: Bank) -> None:
    summary = evaluate(bank, "val", context_mean()).summary
    assert summary["order_shuffle"] == pytest.approx(0.0, abs=1e-6)
    assert summary["order_reverse"] == pytest.approx(0.0, abs=1e-6)
    assert summary["order_repeat_last"] != pytest.approx(0.0, abs=1e-3)


def test_random_is_at_chance() -> None:
    wide = make_bank({"val": [80] * 12}, 64)
    summary = evaluate(wide, "val", random_directions(wide, 3)).summary
    assert abs(summary["cosine"]) < 0.02
    assert summary["recall_at_5"] == pytest.approx(summary["chance"]["recall_at_5"], abs=0.03)
    assert summary["chance"]["recall_at_5"] == pytest.approx(5 / 75)


def test_article_order_changes_nothing(bank: Bank) -> None:
    """Seeded draws are keyed by article id and position, never by bank row."""
    params, other = EvaluateParams(batch_size=64), permuted(bank, 5)
    for one, two in zip(fit_references(bank, params, 7), fit_references(other, params, 7), strict=True):
        first, second = (evaluate(b, "val", p, params, seed=7) for b, p in ((bank, one), (other, two)))
        assert_same(first, second, 1e-6, ignore=("row",))


def test_float16_bank_is_within_tolerance() -> None:
    """Stated tolerance: 1e-3 for the cosine of a window, 1e-4 for mean cosines, 0.01 for mean ranks."""
    single, half = (make_bank(LENGTHS, 64, dtype=dtype) for dtype in (np.float32, np.float16))
    params = EvaluateParams()
    for one, two in zip(fit_references(single, params, 0), fit_references(half, params, 0), strict=True):
        first, second = evaluate(single, "val", one, params), evaluate(half, "val", two, params)
        np.testing.assert_allclose(first.windows["cos_k+1"], second.windows["cos_k+1"], atol=1e-3)
        assert first.summary["cosine"] == pytest.approx(second.summary["cosine"], abs=1e-4)
        assert first.summary["mrr"] == pytest.approx(second.summary["mrr"], abs=0.01)
    assert evaluate(half, "val", oracle(half), params).summary["cosine"] == pytest.approx(1.0, abs=1e-6)


def test_published_lag_profile_gives_the_known_figures() -> None:
    """Prior-results 4.3 (probe) and 4.4, read in the corrected frame, and its closed form of the order ablations."""
    articles = published_articles(24, 60, 768, seed=1)
    splits = ["train"] * 12 + ["val"] * 12
    bank = bank_of([(f"a{i}", split, v) for i, (split, v) in enumerate(zip(splits, articles, strict=True))])
    truth, last, mean, linear = (
        evaluate(bank, "val", p).summary for p in (oracle(bank), copy_last(), context_mean(), fit_linear5(bank))
    )
    assert truth["margin"] == pytest.approx(1 - 0.457, abs=0.01)
    assert [last["profile"][k] for k in ("0", "+1", "+2")] == pytest.approx([1.0, 0.457, 0.386], abs=0.01)
    assert [mean["profile"][k] for k in ("0", "+1", "+2")] == pytest.approx([0.705, 0.523, 0.489], abs=0.01)
    assert [linear["profile"][k] for k in ("0", "+1", "+2")] == pytest.approx([0.848, 0.538, 0.489], abs=0.01)
    assert last["recall_at_5_unmasked"] > 0.97
    assert mean["recall_at_5_unmasked"] == 0.0
    names = ("shuffle", "reverse", "leave_one_out")
    assert [linear[f"order_{name}"] for name in names] == pytest.approx([-0.027, -0.041, -0.011], abs=0.004)


def test_any_callable_can_be_evaluated(bank: Bank) -> None:
    as_function = evaluate(bank, "val", lambda contexts: contexts[:, -1])
    assert_same(as_function, evaluate(bank, "val", copy_last()), 0.0)


def test_raw_norm_is_of_the_raw_prediction_and_changes_nothing_else(bank: Bank) -> None:
    one, three = evaluate(bank, "val", lambda c: c[:, -1]), evaluate(bank, "val", lambda c: 3.0 * c[:, -1])
    assert one.summary["raw_norm"] == pytest.approx(1.0, abs=1e-6)
    assert three.summary["raw_norm"] == pytest.approx(3.0, abs=1e-5)
    assert one.summary["rollout"] == pytest.approx(three.summary["rollout"], abs=1e-6)


def test_zero_prediction_is_at_chance(bank: Bank) -> None:
    summary = evaluate(bank, "val", from_callable(lambda c: torch.zeros_like(c[:, 0]))).summary
    assert summary["cosine"] == 0.0
    for k in summary["chance"]:
        assert summary[k] == pytest.approx(summary["chance"][k])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda c: c[:, 0] * float("nan"), "not finite"),
        (lambda c: c, r"shape \(\d+, 5, 16\)"),
    ],
)
def test_bad_predictions_are_refused(bank: Bank, function: object, message: str) -> None:
    with pytest.raises(LvmError, match=message):
        evaluate(bank, "val", from_callable(function, "broken"))  # type: ignore[arg-type]


def test_predictor_is_asked_for_the_chunk_due(bank: Bank) -> None:
    """At step h of the rollout, `rows` is the row of k=+h."""
    asked: list[np.ndarray] = []

    def predict(contexts: torch.Tensor, rows: np.ndarray, memory: object) -> torch.Tensor:
        asked.append(rows)
        return contexts[:, -1]

    params = EvaluateParams(rollout_steps=3)
    table = evaluate(bank, "ood", Predictor("spy", predict, reads_context=False), params).windows
    whole = table.loc[table["rollout_cosine_1"].notna(), "row"].to_numpy()
    assert [rows.tolist() for rows in asked] == [table["row"].tolist(), (whole + 1).tolist(), (whole + 2).tolist()]


def test_seeded_draws(bank: Bank) -> None:
    windows = canonical_windows(bank, "val")
    orders, foreign = shuffled_orders(windows, 0), foreign_rows(windows, 0)
    assert (np.sort(orders, axis=1) == np.arange(5)).all()
    assert foreign is not None
    split_rows = np.isin(bank.article_of_row[foreign], bank.articles_of("val").index)
    assert split_rows.all()
    assert (bank.article_of_row[foreign] != bank.article_of_row[windows.rows]).all()
    assert (shuffled_orders(windows, 1) != orders).any()


def test_draws_are_uniform() -> None:
    many = canonical_windows(make_bank({"val": [205] * 12}, 4), "val")
    orders, foreign = shuffled_orders(many, 0), foreign_rows(many, 0)
    assert np.abs(np.stack([np.bincount(s, minlength=5) for s in orders.T]) / len(many) - 0.2).max() < 0.03
    assert foreign is not None
    assert np.abs(np.bincount(foreign // 205) / len(many) - 1 / 12).max() < 0.02
    assert np.abs(np.bincount(foreign % 205 // 41) / len(many) - 0.2).max() < 0.03


def test_foreign_chunk_does_not_depend_on_the_bank_order(bank: Bank) -> None:
    other = permuted(bank, 2)
    one, two = (foreign_rows(canonical_windows(b, "val"), 0) for b in (bank, other))
    assert one is not None
    assert two is not None
    np.testing.assert_array_equal(bank.vectors[one], other.vectors[two])


def test_articles_of_other_splits_do_not_matter(bank: Bank) -> None:
    """But for retrieval among all chunks of the bank."""
    only = bank_of([article for article in articles_in(bank) if article[1] == "val"])
    one, other = (evaluate(b, "val", context_mean(), EvaluateParams(full_bank=False)) for b in (bank, only))
    assert_same(one, other, 1e-6, ignore=("row",))
