"""The ladder's parts: its form, the order, recipes of retries, gates on dev, the check of the score, the fallback."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lvm_core.config.figures import HEADLINE, MORE
from lvm_core.config.gates import GatesParams, rivals_of_sets
from lvm_core.config.groups import Rule
from lvm_core.config.ladder import LadderParams, raised_recipe
from lvm_core.config.params import load_group, read_params, validate
from lvm_core.config.resolve import resolve_recipes
from lvm_core.curriculum.phases import score_windows
from lvm_core.fivecat.statistics import Judgement
from lvm_core.report.ladder_text import metric_sentence
from lvm_core.runtime.errors import LvmError
from lvm_core.selection.choice import best_on_dev
from lvm_core.selection.dev_gates import counted_on_dev, dev_form, not_asked
from lvm_core.selection.judge import judge_gates
from lvm_core.selection.ladder import figures_at, plan_attempts
from lvm_core.selection.score_check import after_phase_a, check_metric, compare_scores
from tests.paths import ROOT
from tests.training import small_bank, small_recipe

SIZE = read_params(ROOT / "params.yaml")["model"]["d_model"]
RAISE = {"model.pos_scalar": 0.05, "model.last_slot_bias.beta_max": 0.2}
BIASED = {"pos_scalar": 0.1, "last_slot_bias": {"kind": "learnable", "beta_max": 0.6}}


def ladder(*rungs, **changes):
    return validate({"sample": 10, "criterion": "recall_at_5", "rungs": list(rungs)} | changes, LadderParams, "ladder")


def recipes_named(*names, **changes):
    return {name: small_recipe(name=name, **changes) for name in names}


# --- order and retries


def test_rungs_are_tried_in_order_with_their_retries_and_raised_numbers():
    recipes = recipes_named("one", "two", "three", model=BIASED)
    plan = plan_attempts(ladder({"recipe": "two", "retries": 2, "raise": RAISE}, {"recipe": "one"}), recipes)
    assert [attempt.name for attempt in plan] == ["two", "two-retry-1", "two-retry-2", "one"]
    assert [list(attempt.parameters.values()) for attempt in plan] == [[0.1, 0.6], [0.15, 0.8], [0.2, 1.0], [0.1, 0.6]]
    assert plan[0].recipe == recipes["two"]
    model = plan[2].recipe.model.model_dump()
    assert (model["pos_scalar"], model["last_slot_bias"]["beta_max"]) == (0.2, 1.0)
    assert plan[2].recipe.losses == recipes["two"].losses


def test_rungs_whose_recipe_is_not_trained_are_skipped():
    settings = ladder({"recipe": "gone", "step": "Option 2", "retries": 1, "raise": RAISE}, {"recipe": "one"})
    assert [attempt.name for attempt in plan_attempts(settings, recipes_named("one"))] == ["one"]
    assert plan_attempts(ladder(), recipes_named("one")) == []


def test_whole_numbers_stay_whole():
    raised = raised_recipe(small_recipe(), {"model.ffn": 32.0}, 2)
    assert raised.model.model_dump()["ffn"] == 128
    with pytest.raises(LvmError, match=r"retry 1: model\.transformer\.ffn = 64\.5: "):
        raised_recipe(small_recipe(), {"model.ffn": 0.5}, 1)


# --- mistakes in params.yaml


def resolved_with(**changes):
    params = read_params(ROOT / "params.yaml")
    params["ladder"] = params["ladder"] | changes
    return resolve_recipes(params)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rungs": [{"recipe": "p99"}]}, ["ladder.rungs.0.recipe = 'p99'", "no such recipe", "p6"]),
        ({"rungs": [{"recipe": "p6"}, {"recipe": "p6"}]}, ["ladder.rungs", "p6", "two rungs"]),
        ({"rungs": [{"recipe": "p6", "retries": 1}]}, ["p6", "without raise"]),
        ({"rungs": [{"recipe": "p6", "retries": -1}]}, ["ladder.rungs.0.retries = -1"]),
        ({"rungs": [{"recipe": "p1", "retries": 1, "raise": RAISE}]}, ["p1", "no number at 'model.pos_scalar'"]),
        ({"rungs": [{"recipe": "p1", "retries": 1, "raise": {"model.family": 1.0}}]}, ["no number at 'model.family'"]),
        ({"rungs": [{"recipe": "p1", "raises": {}}]}, ["ladder.rungs.0.raises", "unknown key"]),
        (
            {"rungs": [{"recipe": "p5_1", "retries": 2, "raise": {"model.last_slot_bias.beta_max": 600.0}}]},
            ["ladder.rungs.0.raise", "p5_1 in retry 2", "beta_max = 1200.6", "1000", "lower retries"],
        ),
        (
            {"rungs": [{"recipe": "p1", "retries": 1, "raise": {"model.d_model": 1, "train.lr": 0.5}}]},
            [
                f"ladder.rungs.0.raise: recipe p1 in retry 1: model.d_model = {SIZE + 1}, train.lr = 0.5",
                "multiple of heads",
            ],
        ),
        *(
            (
                {"rungs": [{"recipe": "p1", "raise": {key: 1.0}}]},
                ["ladder.rungs.0.raise", f"{key} is no number of model"],
            )
            for key in ("threads", "precision", "device", "name", "seed")
        ),
        ({"criterion": "margin"}, ["ladder.criterion = 'margin'", "recall_at_5"]),
        ({"sample": 0}, ["ladder.sample = 0"]),
        ({"criterion": "mrr"}, ["full_bank_recall_at_5"]),
    ],
)
def test_each_mistake_is_one_clear_line_before_anything_runs(changes, words):
    with pytest.raises(LvmError) as error:
        resolved_with(**changes)
    assert "\n" not in str(error.value)
    for word in ["params.yaml: ", *words]:
        assert word in str(error.value)


def test_the_shipped_ladder_is_the_summarys():
    settings: LadderParams = load_group(read_params(ROOT / "params.yaml"), "ladder", LadderParams)
    assert [(rung.recipe, rung.retries) for rung in settings.rungs] == [("p5_nuclear", 0), ("p5_1", 2), ("p6", 0)]
    assert settings.rungs[1].raised == RAISE
    resolved_with(rungs=[])


# --- gates on dev


def shipped_gates():
    return load_group(read_params(ROOT / "params.yaml"), "gates", GatesParams)


def test_on_dev_nothing_is_asked_of_ood_or_of_distances():
    params = shipped_gates()
    form = dev_form(params, "stage_a")
    assert set(form.sets) == {"stage_a", "published_5cat"}  # and what it counts
    for gates in form.sets.values():
        for gate in gates.values():
            assert gate.all_of
            assert all(one.set is not None or (one.split, one.distance_to) == ("val", None) for one in gate.all_of)
    assert not_asked(params, "stage_a") == ["margin_ood", "published_5cat.e_bins"]
    assert set(form.sets["stage_a"]) == set(params.sets["stage_a"]) - {"margin_ood"}
    both = params.sets["published_5cat"]["b_retrieval"].all_of
    assert form.sets["published_5cat"]["b_retrieval"].all_of == [one for one in both if one.split == "val"]


def test_rivals_wanted_on_dev_are_those_of_conditions_asked_there():
    params = shipped_gates()
    assert "copy_last" in rivals_of_sets(dev_form(params, "certified"), "certified")
    assert rivals_of_sets(dev_form(params, "stage_a"), "stage_a") == []
    assert not_asked(params, "certified") == ["transfers"]


def gates_with(**sets):
    gates = read_params(ROOT / "params.yaml")["gates"]
    return validate(gates | {"sets": gates["sets"] | sets}, GatesParams, "gates")


def gate(**condition):
    return {"all_of": [condition]}


def test_a_count_that_the_remaining_gates_cannot_reach_is_not_asked():
    few = {
        "near": gate(split="val", figure="cosine", at_least=0.5),
        "far": gate(split="ood", figure="cosine", at_least=0.5),
    }
    params = gates_with(few=few, both={"few": gate(set="few", at_least=2)}, one={"few": gate(set="few", at_least=1)})
    assert dev_form(params, "both").sets["both"] == {}
    assert not_asked(params, "both") == ["few", "few.far"]
    assert list(dev_form(params, "one").sets["one"]) == ["few"]


def test_what_is_left_of_a_counted_set_is_said():
    assert counted_on_dev(shipped_gates(), "certified") == {}
    near, far = ({"split": split, "figure": "cosine", "at_least": 0.5} for split in ("val", "ood"))
    few = {"whole": {"all_of": [near]}, "half": {"all_of": [near, far]}, "none": {"all_of": [far]}}
    params = gates_with(few=few, both={"few": gate(set="few", at_least=2)})
    assert counted_on_dev(params, "both") == {"few": {"of": 3, "asked": 2, "in_part": 1}}


def test_nothing_passes_a_set_of_which_nothing_can_be_asked():
    params = gates_with(away={"only": gate(split="ood", figure="cosine", at_least=-1.0)})
    keys = [f"{split}_{figure}" for split in ("val", "ood") for figure in (*HEADLINE, *MORE)]
    judgement = Judgement(dict.fromkeys(keys, 1.0), {key: np.ones(10) for key in keys})
    assert not judge_gates(dev_form(params, "away"), {"x": judgement})["away"].corrected["x"].outcome.whole


# --- the check of the score


@pytest.fixture(scope="module")
def scored():
    bank = small_bank()
    return bank, score_windows(bank.vectors, bank.targets("train"), bank.article_of_row)


def test_the_score_is_that_of_the_vectors_and_phase_a_keeps_to_its_cut(scored):
    bank, scores = scored
    cut = float(scores["distinctness"].quantile(0.7))
    rows = scores.loc[scores["distinctness"] >= cut, "row"].to_numpy()
    found = check_metric(scores, bank, "p", rows, {"distinctness": cut}, 20, 0)
    assert (found["sample"], found["above_cut"]) == (20, 1.0)
    assert found["largest_difference"] < 1e-6
    assert found["cosines"]["sample"]["sim_prev"] < found["cosines"]["all"]["sim_prev"]
    assert check_metric(scores, bank, "p", rows, {"distinctness": cut}, 20, 0) == found
    low = scores["row"].to_numpy()
    assert check_metric(scores, bank, "p", low, {"distinctness": cut}, 50, 0)["above_cut"] < 1.0


@pytest.mark.parametrize("column", ["distinctness", "forward_gain"])
def test_scores_of_other_vectors_are_an_error(scored, column):
    bank, scores = scored
    stale = scores.assign(**{column: scores[column].to_numpy()[::-1]})
    with pytest.raises(LvmError, match=r"data/scores\.parquet.*run `dvc repro score`"):
        check_metric(stale, bank, None, scores["row"].to_numpy(), {}, 50, 0)


def test_two_scores_compared_by_hand():
    scores = pd.DataFrame({"row": range(5), "distinctness": [5, 4, 3, 2, 1.0], "forward_gain": [5, 1, 4, 2, np.nan]})
    # ranks of the four windows with both: 4 3 2 1 and 4 1 3 2: rho = 1 - 6 * (0 + 4 + 1 + 1) / (4 * 15) = 0.4
    found = compare_scores(scores, 2)
    assert found["rank_correlation"] == pytest.approx(0.4)
    assert (found["share"], found["overlap"]) == (0.5, 0.5)  # {0, 1} and {0, 2}
    assert compare_scores(scores.assign(forward_gain=np.nan), 2)["overlap"] is None


def test_recipes_that_differ_in_the_score_alone_are_compared():
    recipes = recipes_named("old", "new") | {"other": small_recipe(name="other", seed=5)}
    scores = {"old": "distinctness", "new": "forward_gain", "other": "forward_gain"}
    rules = {name: Rule.model_validate({"rule": "top", "score": score}) for name, score in scores.items()}
    figures = {
        name: {"recall_at_5": value, "cosine": None} for name, value in zip(scores, (0.25, 0.5, 0.75), strict=True)
    }
    found = after_phase_a(recipes, rules, figures)
    assert found["pairs"] == {
        "new-old": {"forward_gain": "new", "distinctness": "old", "gain": {"recall_at_5": 0.25, "cosine": None}}
    }
    assert list(found["by_score"]["forward_gain"]) == ["new", "other"]


@pytest.mark.parametrize(
    ("gains", "words"),
    [
        ([0.02, 0.011], "better on dev in this run by 0.01 or more"),
        ([0.009], "no gain of 0.01 or more"),
        ([-0.2], "no gain of 0.01 or more"),
        ([0.02, 0.001], "for one recipe, not for another"),
    ],
)
def test_better_is_a_gain_worth_having_and_said_to_be_of_one_training(gains, words):
    pairs = {str(place): {"gain": {"recall_at_5": gain, "cosine": 0.0}} for place, gain in enumerate(gains)}
    sentence = metric_sentence({"after_phase_a": {"pairs": pairs}})
    assert words in sentence
    assert "one training each, no interval" in sentence


# --- the fallback


def figures(**recalls):
    return {
        name: {"full_bank_recall_at_5": None, "recall_at_5": recall, "cosine": 0.5 - (recall or 0.0)}
        for name, recall in recalls.items()
    }


def test_the_fallback_is_the_best_on_dev_the_first_of_equals():
    assert best_on_dev(figures(a=0.1, b=0.3, c=0.3), "recall_at_5") == ("b", "recall_at_5")
    assert best_on_dev(figures(a=0.1, b=0.3), "cosine") == ("a", "cosine")
    assert best_on_dev(figures(a=None, b=0.1), "recall_at_5") == ("b", "recall_at_5")
    assert best_on_dev(figures(a=0.1, b=0.3), "full_bank_recall_at_5") == ("b", "recall_at_5")  # not measured


def test_there_is_always_a_model():
    unranked: dict[str, float | None] = {"full_bank_recall_at_5": None, "recall_at_5": None}
    both: dict[str, dict[str, float | None]] = {"a": {**unranked, "cosine": 0.1}, "b": {**unranked, "cosine": 0.2}}
    assert best_on_dev(both, "recall_at_5") == ("b", "cosine")
    assert best_on_dev({name: {**unranked, "cosine": None} for name in "ab"}, "cosine")[0] == "a"


def test_curves_without_the_epoch_kept_are_an_error():
    curves = pd.DataFrame({"dev_recall_at_5": [0.5, np.nan], "dev_cosine": [0.25, 0.5]}, index=[1, 2])
    assert figures_at(curves, 2, "x.csv") == {"recall_at_5": None, "cosine": 0.5}
    with pytest.raises(LvmError, match=r"x\.csv: has no figures on dev of epoch 3"):
        figures_at(curves, 3, "x.csv")
