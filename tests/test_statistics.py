"""Intervals by bootstrap over articles, and the headline figures computed from means."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvm_core.config.figures import FIGURES, READINGS, figure_names
from lvm_core.config.groups import EvaluateParams
from lvm_core.fivecat.evaluate import evaluate, evaluate_splits, judgement_of, write_evaluations
from lvm_core.fivecat.references import copy_last, oracle
from lvm_core.fivecat.statistics import (
    RESAMPLES,
    article_totals,
    draw_articles,
    interval,
    judge,
    read_judgements,
    weighted_means,
)
from lvm_core.runtime.errors import LvmError
from tests.synthetic import make_bank


@given(st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_a_draw_has_as_many_articles_as_there_are(articles, seed):
    drawn = draw_articles(articles, 20, seed)
    assert (drawn.sum(axis=1) == articles).all()
    assert (drawn >= 0).all()
    np.testing.assert_array_equal(drawn, draw_articles(articles, 20, seed))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(0, 2**32 - 1))
def test_weights_of_one_give_the_plain_means(lengths, seed):
    rng = np.random.default_rng(seed)
    article = rng.permutation(np.repeat(np.arange(len(lengths)), lengths))
    values = rng.standard_normal((len(article), 3))
    values[rng.random(values.shape) < 0.3] = np.nan
    values[:, 2] = np.nan
    sums, counts = article_totals(article, values)
    means = weighted_means(np.ones((1, len(sums))), sums, counts)[0]
    for column in range(2):
        there = values[~np.isnan(values[:, column]), column]
        assert means[column] == pytest.approx(there.mean()) if len(there) else np.isnan(means[column])
    assert np.isnan(means[2])


def test_an_article_drawn_twice_counts_twice():
    sums, counts = article_totals(np.array([0, 0, 1]), np.array([[1.0], [3.0], [8.0]]))
    weights = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
    assert weighted_means(weights, sums, counts)[:, 0].tolist() == [2.0, 4.0, 8.0]


def test_the_interval_of_a_mean_is_as_wide_as_theory_says():
    """100 articles of 20 equal windows each: the standard error is that of 100 values, not of 2,000."""
    rng = np.random.default_rng(0)
    level = rng.standard_normal(100)
    article = np.repeat(np.arange(100), 20)
    sums, counts = article_totals(article, level[article][:, None])
    low, high = interval(weighted_means(draw_articles(100, 4000, 1), sums, counts)[:, 0])
    assert low is not None
    assert high is not None
    assert high - low == pytest.approx(2 * 1.96 * level.std() / 10, rel=0.06)
    assert low < level.mean() < high


def test_95_of_100_intervals_hold_the_truth():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(300):
        values = rng.standard_normal((60, 1)) + 0.5
        sums, counts = article_totals(np.arange(60), values)
        low, high = interval(weighted_means(draw_articles(60, 500, int(rng.integers(2**32))), sums, counts)[:, 0])
        assert low is not None
        assert high is not None
        held += low <= 0.5 <= high
    assert 0.90 < held / 300 < 0.98  # percentile intervals of 60 values hold it a little less often than 95 %


def test_what_is_undefined_has_no_interval():
    assert interval(np.full(10, np.nan)) == (None, None)
    assert interval(np.array([])) == (None, None)
    assert interval(np.array([1.0] + [np.nan] * 9)) == (None, None)
    assert interval(np.arange(101.0)) == pytest.approx((2.5, 97.5))


@pytest.mark.parametrize("lengths", [[6, 7, 8, 40], [30, 30], [6], []])
def test_the_judged_figures_are_those_of_the_evaluation(lengths):
    bank = make_bank({"train": [20], "val": lengths})
    for predictor in (copy_last(), oracle(bank)):
        evaluation = evaluate(bank, "val", predictor, EvaluateParams(rollout_steps=3))
        summary = evaluation.summary
        judged = judge({"val": evaluation.windows}, 10, 0)
        expected = {
            **{name: summary[name] for name in FIGURES},
            **{
                f"rollout_recall_at_5_{step}{reading}": found[f"recall_at_5{reading}"]
                for step, found in summary["rollout_by_step"].items()
                for reading in READINGS
            },
            "published_cosine": summary["published_profile"]["+1"],
            "coherence_normal": summary["coherence"]["normal"]["cosine"],
        }
        assert list(judged.value) == [f"val_{name}" for name in figure_names(3)] == list(judged.draws)
        assert judged.value == judgement_of({"val": evaluation}).value
        for name, value in expected.items():
            found = judged.value[f"val_{name}"]
            assert found == (None if value is None else pytest.approx(value, abs=1e-6)), name
        above = judged.value["val_recall_at_5_above_chance"]
        if above is not None:
            assert above == pytest.approx(summary["recall_at_5"] - summary["chance"]["recall_at_5"], abs=1e-6)


def test_what_an_evaluation_leaves_is_what_its_windows_say(tmp_path):
    """Values and draws are made once, by the evaluation, and read from its folder by gates, comparison and ladder."""
    bank = make_bank({"train": [20], "val": [30, 12, 9], "ood": [20] * 3})
    done = evaluate_splits(bank, copy_last(), EvaluateParams(), seed=5)
    write_evaluations(tmp_path / "m", done)
    read = read_judgements(tmp_path, ["m"])["m"]
    again = judge({split: one.windows for split, one in done.items()}, RESAMPLES, 5)
    assert read.value == again.value == judgement_of(done).value
    for key, draws in again.draws.items():
        np.testing.assert_array_equal(read.draws[key], draws)
        np.testing.assert_array_equal(judgement_of(done).draws[key], draws)
    for step, found in read.summary["val"]["rollout_by_step"].items():
        for reading in READINGS:
            key = f"recall_at_5{reading}"
            assert (found[f"{key}_lo"], found[f"{key}_hi"]) == read.interval(f"val_rollout_{key[:11]}_{step}{reading}")


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("val.npy", lambda path: np.save(path, np.zeros((3, 5)))),
        ("val.npy", lambda path: np.save(path, np.load(path)[:-1])),
        ("val.npy", lambda path: path.write_bytes(b"no array")),
        ("ood.npy", lambda path: path.unlink()),
        ("summary.json", lambda path: path.write_text("[]")),
        ("summary.json", lambda path: path.write_text('{"val": {"cosine": 1}, "ood": {}}')),
    ],
)
def test_a_damaged_evaluation_is_one_line(tmp_path, file, damage):
    bank = make_bank({"train": [20], "val": [30], "ood": [20]})
    write_evaluations(tmp_path / "m", evaluate_splits(bank, copy_last(), EvaluateParams(rollout_steps=1)))
    assert read_judgements(tmp_path, ["m"])["m"].value["val_rollout_recall_at_5_2"] is None
    damage(tmp_path / "m" / file)
    with pytest.raises(LvmError, match=file):
        read_judgements(tmp_path, ["m"])


def test_draws_are_paired():
    """The difference of two predictors from the same draws is far less uncertain than that of independent ones."""
    bank = make_bank({"train": [20], "val": [30] * 20})
    last = {"val": evaluate(bank, "val", copy_last()).windows}
    blurred = {"val": evaluate(bank, "val", lambda contexts: contexts[:, -1] + 0.1 * contexts[:, -2]).windows}
    one, other, again = (judge(tables, 1000, 3).draws["val_cosine"] for tables in (last, blurred, last))
    np.testing.assert_array_equal(one, again)
    assert (one - other).std() < 0.5 * np.hypot(one.std(), other.std())


def test_neither_a_figure_without_windows_nor_a_single_article_has_an_interval():
    bank = make_bank({"train": [20], "val": [6]})
    judged = judge({"val": evaluate(bank, "val", copy_last()).windows}, 50, 0)
    assert judged.value["val_margin"] is None
    assert judged.value["val_cosine"] is not None
    assert judged.interval("val_margin") == judged.interval("val_cosine") == (None, None)


def test_a_figure_that_a_single_article_has_gets_no_interval():
    """Eleven articles are too short for retrieval: what the twelfth scores says nothing about others."""
    bank = make_bank({"train": [20], "val": [30, *[8] * 11]})
    judged = judge({"val": evaluate(bank, "val", copy_last()).windows}, 200, 0)
    assert judged.value["val_recall_at_5"] is not None
    assert judged.interval("val_recall_at_5") == (None, None)
    low, high = judged.interval("val_margin")
    assert low is not None
    assert high is not None
    assert low < high


def test_the_draws_of_two_splits_are_independent():
    bank = make_bank({"train": [20], "val": [20] * 10, "ood": [20] * 10})
    same = evaluate(bank, "val", copy_last()).windows
    judged = judge({"val": same, "ood": same}, 500, 0)
    assert not np.array_equal(judged.draws["val_cosine"], judged.draws["ood_cosine"])
    assert abs(np.corrcoef(judged.draws["val_cosine"], judged.draws["ood_cosine"])[0, 1]) < 0.2
