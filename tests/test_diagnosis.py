from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from lvm_core.bank import lag_similarities, load_bank, warnings
from lvm_core.config.groups import CurriculumParams, DiagnosisParams, EvaluateParams, Rule
from lvm_core.curriculum.phases import EXCERPT, add_measures, curriculum_check, score_windows, select_phases
from lvm_core.fivecat.diagnosis import (
    defined_windows,
    diagnose,
    diagnosis_text,
    lag_curve,
    leaked_share,
    needs,
    position_profile,
    reversed_profile,
    sequence_order,
    split_rows,
)
from lvm_core.fivecat.evaluate import evaluate
from tests.synthetic import articles_in, bank_of, make_bank, published_articles, write_bank

PARAMS = DiagnosisParams(max_lag=8, near_duplicate=0.95)


def loop_profile(bank, rows_of_window):
    """s_0 .. s_4 by the definition, one window at a time."""
    sums = [[bank.vectors[row] @ bank.vectors[target] for row in context] for context, target in rows_of_window(bank)]
    return np.mean(sums, axis=0)


def forward(bank):
    return [(range(t - 5, t), t) for t in bank.targets("train")]


def backward(bank):
    return [(range(t, t - 5, -1), t - 5) for t in bank.targets("train")]


def test_profiles_are_their_definitions():
    bank = make_bank({"train": [20, 9, 6]})
    lags, targets = lag_similarities(bank.vectors), bank.targets("train")
    np.testing.assert_allclose(position_profile(lags, targets), loop_profile(bank, forward), atol=1e-6)
    np.testing.assert_allclose(reversed_profile(lags, targets), loop_profile(bank, backward), atol=1e-6)


def test_reversing_the_articles_swaps_the_two_profiles():
    bank = make_bank({"train": [20, 9, 6]})
    turned = bank_of([(name, split, vectors[::-1]) for name, split, vectors in articles_in(bank)])
    there, back = lag_similarities(bank.vectors), lag_similarities(turned.vectors)
    targets = bank.targets("train")
    np.testing.assert_allclose(position_profile(there, targets), reversed_profile(back, targets), atol=1e-6)


def test_published_lags_give_the_published_signal_in_both_directions():
    """The published +0.117 comes out of data with no direction at all: it cannot be evidence of one."""
    articles = published_articles(40, 60, 512, seed=0)
    bank = bank_of([(f"a{i}", "train", vectors) for i, vectors in enumerate(articles)])
    report, _ = diagnose(bank, PARAMS, EvaluateParams(), seed=0)
    assert report["train"]["temporal_signal"] == pytest.approx(0.4569 - 0.3399, abs=0.01)
    assert report["train"]["temporal_signal_reversed"] == pytest.approx(0.4569 - 0.3399, abs=0.01)
    assert report["train"]["coherence"] == pytest.approx(0.4569, abs=0.01)


def test_lag_curve_stays_within_articles():
    bank = make_bank({"train": [4, 3]})
    lags = lag_similarities(bank.vectors, 5)
    curve = lag_curve(lags, np.arange(7), bank.position_of_row)
    v = bank.vectors
    by_lag = [[v[i] @ v[i - lag] for i in range(7) if i >= lag and (i < 4 or i - lag >= 4)] for lag in range(1, 4)]
    np.testing.assert_allclose(curve[:3], [np.mean(values) for values in by_lag], atol=1e-6)
    assert np.isnan(curve[3:]).all()


@pytest.mark.parametrize(
    ("profile", "order"), [([1, 2, 3], "increasing"), ([3, 2, 1], "decreasing"), ([1, 3, 2], "non-monotonic")]
)
def test_sequence_order(profile, order):
    assert sequence_order(np.array(profile, dtype=float)) == order


def test_leaks_are_found():
    bank = make_bank({"train": [10, 10], "val": [10]})
    articles = articles_in(bank)
    leaked = np.array(articles[2][2])
    leaked[[2, 7]] = articles[0][2][[1, 4]]
    bank = bank_of([*articles[:2], (articles[2][0], "val", leaked)])
    assert leaked_share(bank, "val", 0.999, block=3) == pytest.approx(0.2)


def test_the_report_covers_every_split_and_says_what_it_means(tmp_path):
    write_bank(make_bank({"train": [30, 20], "dev": [10], "val": [12], "ood": [9, 9]}), tmp_path)
    bank = load_bank(tmp_path)
    report, curve = diagnose(bank, PARAMS, EvaluateParams(), seed=0)
    assert list(report) == ["train", "val", "ood"]
    assert report["val"]["windows"] == 7
    assert report["val"]["between_articles"] is None
    assert report["ood"]["between_articles"] is not None
    assert report["train"]["norm_max"] == pytest.approx(1.0, abs=1e-5)
    assert set(curve["name"]) == {"train", "val", "ood"}
    text = diagnosis_text(report, PARAMS.near_duplicate, EvaluateParams(), bank.info)
    assert "vectors were imported" in text
    for words in ("Temporal signal", "cannot show a direction of time", "Coherence", "Near-duplicates", "| windows |"):
        assert words in text
    assert "single window" not in text
    alone, _ = diagnose(make_bank({"train": [6, 6], "val": [6, 9], "ood": [6]}), PARAMS, EvaluateParams(), seed=0)
    told = diagnosis_text(alone, PARAMS.near_duplicate, EvaluateParams(), bank.info)
    assert "- **Memory** (`train`, `ood`): every article is a single window" in told
    assert "the memory is the mean of the five" in told
    # articles of 12 and 9 chunks: val has one rank in no window (12 - 5 candidates), ood no rollout of 5 steps either
    assert report["val"]["windows_of"] == {
        **{"cosine": 7, "margin": 5, "margin_unseen": 4, "retrieval": 0, "rollout": 3}
    }
    assert "- `val`, `ood`: retrieval in the article (R@1, R@5, MRR), because no article has the 15 chunks" in text
    assert "- `ood`: rollout, because no article has the 10 chunks that it takes." in text


def test_texts_that_the_encoder_did_not_read_are_warned_of():
    bank = make_bank({"train": [30], "val": [12]})
    info = replace(bank.info, encoder_sha256="abc", prompt="passage: ", cut_chunks=2, longest_chunk=291)
    assert warnings(replace(info, cut_chunks=0)) == []
    report, _ = diagnose(replace(bank, info=info), PARAMS, EvaluateParams(), seed=0)
    assert report["val"]["bank_cut_chunks"] == 2
    text = diagnosis_text(report, PARAMS.near_duplicate, EvaluateParams(), info)
    assert "It put 'passage: ' before every text. **Warning:** 2 of 42 chunks are longer than the encoder" in text
    assert "(up to 291 tokens)" in text
    assert "set corpus.max_pieces: auto" in text
    (line,) = warnings(replace(info, cut_chunks=0, unknown_chunks=40, unknown_share=0.9))
    assert line.startswith("90.0% of all characters, and more than half of 40 of 42 chunks")


def test_the_counts_of_defined_windows_are_those_of_the_evaluation():
    bank = make_bank({"val": [6, 7, 9, 10, 14, 15, 30]})
    params = EvaluateParams()
    windows = evaluate(bank, "val", lambda contexts: contexts[:, -1], params).summary
    assert defined_windows(bank, "val", params) == {
        "cosine": windows["windows"]["all"],
        "margin": windows["windows"]["margin"],
        "margin_unseen": windows["windows"]["margin_unseen"],
        "retrieval": windows["windows"]["retrieval"],
        "rollout": windows["windows"]["rollout"],
    }
    for length, figure in [(8, "margin"), (9, "margin_unseen"), (10, "rollout"), (15, "retrieval")]:
        assert f"the {length} chunks" in needs(figure, params)
        assert defined_windows(make_bank({"val": [length]}), "val", params)[figure] > 0
        assert defined_windows(make_bank({"val": [length - 1]}), "val", params)[figure] == 0


def test_split_rows():
    bank = make_bank({"train": [3, 2], "val": [4]})
    assert split_rows(bank.articles_of("val")).tolist() == [5, 6, 7, 8]


def test_the_curriculum_check_answers_option_1():
    bank = make_bank({"train": [60] * 4})
    scores = add_measures(score_windows(bank.vectors, bank.targets("train"), bank.article_of_row), bank.vectors)
    row = int(scores["row"].iloc[10])
    mean = bank.vectors[row - 5 : row].mean(0)
    expected = mean @ bank.vectors[row] / np.linalg.norm(mean)
    assert scores["context_mean"].iloc[10] == pytest.approx(expected, abs=1e-5)
    params = CurriculumParams.model_validate(
        {
            "top": {"a": 0.3, "b": 0.7},
            "thresholds": {"sim_a": 2.0, "adv_a": 2.0, "sim_b": 0.0, "adv_b": 0.0},
            "min_windows": 10,
            "near_duplicate": None,
        }
    )
    rules = {"p1": Rule(rule="all"), "p5": Rule(rule="top", score="distinctness")}
    recipes = {name: (rule, select_phases(scores, rule, params)) for name, rule in rules.items()}
    texts = [f"paragraph {row} | " + "words " * 40 for row in range(len(bank.vectors))]
    text = curriculum_check(scores, recipes, params, texts, seed=0)
    for words in ("top by distinctness", "top by forward_gain", "top by similarity", "P5.1", "fewer than"):
        assert words in text
    assert "`p5` (top by distinctness): A 66 windows (distinctness >= " in text
    assert "66 windows of phase A of `p5`" in text
    assert "Is this the right metric?" in text
    assert "**Answer: no score of this kind is a measure of forward predictability.**" in text
    shown = [line for line in text.splitlines() if re.match(r"\| \d", line)]
    assert len(shown) == 3
    assert all(len(line.split("|")) == 6 and max(map(len, line.split("|"))) <= EXCERPT + 2 for line in shown)
