from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvm_core.bank import lag_similarities
from lvm_core.config.groups import SCORES, CurriculumParams, Rule, TopShares
from lvm_core.curriculum.phases import score_windows, select_phases
from lvm_core.runtime.errors import LvmError
from tests.synthetic import make_bank

PARAMS = {
    "top": {"a": 0.3, "b": 0.7},
    "thresholds": {"sim_a": 0.3, "adv_a": 0.0, "sim_b": 0.1, "adv_b": 0.0},
    "min_windows": 1,
    "near_duplicate": None,
}


def curriculum_params(**changes):
    return CurriculumParams.model_validate(PARAMS | changes)


def scored(seed=0, lengths=(9, 30, 12)):
    bank = make_bank({"train": list(lengths)}, seed=seed)
    return bank, score_windows(bank.vectors, bank.targets("train"), bank.article_of_row)


@pytest.mark.parametrize("block", [1, 4, 7, 1000])
def test_lag_similarities_are_the_dot_products_whatever_the_block(block):
    bank, _ = scored()
    lags = lag_similarities(bank.vectors, 3, block=block)
    for row in range(len(bank.vectors)):
        for lag in (1, 2, 3):
            if row < lag:
                assert np.isnan(lags[row, lag - 1])
            else:
                expected = bank.vectors[row] @ bank.vectors[row - lag]
                assert lags[row, lag - 1] == pytest.approx(expected, abs=1e-5)


def test_scores_are_their_definitions():
    bank, scores = scored()
    assert scores["row"].tolist() == bank.targets("train").tolist()
    for _, window in scores.iterrows():
        row = int(window["row"])
        v = bank.vectors.astype(np.float64)
        context = v[row - 5 : row] @ v[row]
        assert window["distinctness"] == pytest.approx(1 - context[4], abs=1e-5)
        assert window["similarity"] == window["sim_prev"] == pytest.approx(context[4], abs=1e-5)
        assert window["sim_prev2"] == pytest.approx(context[3], abs=1e-5)
        assert window["sim_other_max"] == pytest.approx(context[:4].max(), abs=1e-5)
        assert window["adv_prev"] == pytest.approx(context[4] - context[:4].max(), abs=1e-5)
        assert window["delta_prev2"] == pytest.approx(context[4] - context[3], abs=1e-5)
        ends = row + 1 == len(v) or bank.article_of_row[row + 1] != bank.article_of_row[row]
        if ends:
            assert np.isnan(window["forward_gain"])
        else:
            assert window["forward_gain"] == pytest.approx(v[row] @ v[row + 1] - context[4], abs=1e-5)


def test_forward_gain_telescopes_over_an_article():
    bank, scores = scored(lengths=(40,))
    pairs = (bank.vectors[1:] * bank.vectors[:-1]).sum(1)
    assert scores["forward_gain"].sum() == pytest.approx(pairs[-1] - pairs[4], abs=1e-4)


@given(st.integers(0, 1000), st.sampled_from(SCORES))
def test_phases_are_nested_and_hold_the_highest_scores(seed, name):
    _, scores = scored(seed)
    phases = select_phases(scores, Rule(rule="top", score=name), curriculum_params())
    a, b, c = (set(phases[phase].rows.tolist()) for phase in "abc")
    assert a <= b <= c == set(scores["row"])
    known = scores[scores[name].notna()]
    assert len(a) == round(0.3 * len(known))
    assert len(b) == round(0.7 * len(known))
    inside, outside = known[known["row"].isin(a)][name], known[~known["row"].isin(a)][name]
    assert inside.min() >= outside.max()
    assert phases["a"].in_force[name] == pytest.approx(inside.min())


def test_threshold_rule_is_and_for_a_or_for_b():
    _, scores = scored(3, (60, 60))
    phases = select_phases(scores, Rule(rule="thresholds"), curriculum_params())
    expected_a = scores[(scores["sim_prev"] >= 0.3) & (scores["adv_prev"] >= 0.0)]["row"]
    expected_b = scores[(scores["sim_prev"] >= 0.1) | (scores["adv_prev"] >= 0.0)]["row"]
    assert phases["a"].rows.tolist() == expected_a.tolist()
    assert phases["b"].rows.tolist() == expected_b.tolist()


def test_rule_all_gives_every_window_to_every_phase():
    _, scores = scored()
    phases = select_phases(scores, Rule(rule="all"), curriculum_params())
    assert all(phases[phase].rows.tolist() == scores["row"].tolist() for phase in "abc")


def test_an_empty_phase_is_a_clear_error():
    _, scores = scored()
    limits = {"sim_a": 2.0, "adv_a": 0.0, "sim_b": 0.1, "adv_b": 0.0}
    with pytest.raises(LvmError, match=r"phase A.*0 of \d+ windows.*curriculum.thresholds"):
        select_phases(scores, Rule(rule="thresholds"), curriculum_params(thresholds=limits))


def test_a_phase_below_the_minimum_is_a_clear_error():
    _, scores = scored()
    with pytest.raises(LvmError, match=r"phase A.*curriculum.min_windows = 1000"):
        select_phases(scores, Rule(rule="top", score="distinctness"), curriculum_params(min_windows=1000))


def test_equal_scores_have_no_top_share():
    scores = pd.DataFrame({"row": range(10), "distinctness": 0.5})
    with pytest.raises(LvmError, match=r"all 10 windows have distinctness = 0\.5"):
        select_phases(scores, Rule(rule="top", score="distinctness"), curriculum_params())


def test_shares_must_be_nested():
    with pytest.raises(ValueError, match="phase B contains phase A"):
        TopShares(a=0.7, b=0.3)


def test_score_goes_with_the_rule_that_uses_it():
    with pytest.raises(ValueError, match="score"):
        Rule(rule="top")
    with pytest.raises(ValueError, match="score"):
        Rule(rule="all", score="similarity")
