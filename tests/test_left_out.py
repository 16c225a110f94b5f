"""What is not measured after phases A and B, because nothing reads it, and that all else stays the same."""

from __future__ import annotations

import numpy as np
import pytest

from lvm_core.config.figures import COSTLY_TESTS, FIGURES, headlines, measured_headlines
from lvm_core.config.gates import GatesParams
from lvm_core.config.gates import unread_tests as not_read
from lvm_core.config.groups import EvaluateParams
from lvm_core.config.params import load_group, read_params, validate
from lvm_core.config.resolve import settings_of
from lvm_core.fivecat.evaluate import Evaluation, evaluate
from lvm_core.fivecat.measures import from_callable
from lvm_core.fivecat.statistics import judge
from tests.paths import ROOT
from tests.synthetic import make_bank
from tests.test_gates import ALWAYS, one_gate

SHIPPED = read_params(ROOT / "params.yaml")
BANK = make_bank({"train": [20], "val": [16, 22, 9, 30], "ood": [12]})
PARAMS = EvaluateParams(batch_size=16, contrastive_targets=20)


class Counted:
    """A predictor that depends on the order of its context, and counts the contexts it is shown."""

    def __init__(self) -> None:
        self.contexts = 0

    def __call__(self, contexts):
        self.contexts += len(contexts)
        return contexts[:, -1] + 0.5 * contexts[:, 0] - 0.3 * contexts[:, 2]


def evaluated(*leave_out: str) -> tuple[Evaluation, int]:
    """An evaluation without these tests, and for how many contexts it asked."""
    counted = Counted()
    done = evaluate(BANK, "val", from_callable(counted), PARAMS, seed=3, leave_out=leave_out)
    return done, counted.contexts


@pytest.fixture(scope="module")
def whole():
    return evaluated()


@pytest.fixture(scope="module")
def without():
    """An evaluation without each of the tests, by the test that is left out."""
    return {test: evaluated(test) for test in COSTLY_TESTS}


# ---- which ----


def test_the_shipped_sets_need_no_contrastive_accuracy_and_no_full_bank():
    gates: GatesParams = load_group(SHIPPED, "gates", GatesParams)
    assert {"contrastive", "full_bank"} <= set(not_read(gates, gates.sets))


@pytest.mark.parametrize("place", ["figure", "published"])
def test_a_test_is_made_where_a_condition_reads_a_figure_of_it_in_any_frame(whole, without, place):
    """Those that are not made leave the figure as it is; it is undefined without any of the others."""
    figures = {test: figures_of(done) for test, (done, _) in without.items()}
    for figure, value in figures_of(whole[0]).items():
        assert value is not None, figure
        condition = {"split": "val", "figure": "cosine", "at_least": 0.0} | {place: figure}
        left = not_read(one_gate(condition), ["certified"])
        assert {test: figures[test][figure] for test in COSTLY_TESTS} == {
            test: value if test in left else None for test in COSTLY_TESTS
        }, figure


def figures_of(done):
    """Everything that a condition can read."""
    found = judge({"val": done.windows}, 1, 0, coherence_cuts=(-1, 1)).value
    return {figure: found[f"val_{figure}"] for figure in FIGURES}


def test_figures_of_a_counted_set_count_and_those_of_sets_that_nobody_asks_for_do_not():
    reads = {"g": {"all_of": [{"split": "ood", "figure": "full_bank_recall_at_5", "at_least": 0.1}]}}
    counting = one_gate({"set": "deep", "at_least": 1}, deep=reads)
    assert "full_bank" not in not_read(counting, ["certified"])
    assert not_read(counting, ["stage_a"]) == list(COSTLY_TESTS)
    assert "full_bank" not in not_read(counting, ["stage_a", "deep"])


def left_out(stage="evaluate", **changes):
    """What the settings of a stage say, `p1` and `p5_1` being the recipes that are run."""
    recipes = SHIPPED["recipes"] | {"p5_1": SHIPPED["recipes"]["p5_1"] | {"gates": changes.pop("own", "plain")}}
    sets = {
        "plain": {"a": ALWAYS},
        "rolls": {"a": {"all_of": [{"split": "val", "figure": "rollout", "at_least": 9}]}},
        "deep": {"a": {"all_of": [{"split": "val", "figure": "full_bank_recall_at_1", "at_least": 9}]}},
    }
    gates = SHIPPED["gates"] | {"sets": SHIPPED["gates"]["sets"] | sets, "in_force": "plain"} | changes
    params = SHIPPED | {"names": ["p1", "p5_1"], "recipes": recipes, "gates": gates}
    validate(gates, GatesParams, "gates")
    return settings_of(params, stage, "p1" if stage == "gate" else None)["left_out_after_phases"]


@pytest.mark.parametrize("policy", ["report", "enforce"])
def test_the_settings_leave_out_what_neither_the_set_in_force_nor_a_recipes_own_reads(policy):
    """The same for every recipe, so that after each phase all have the same figures."""
    assert left_out(policy=policy) == list(COSTLY_TESTS)
    for found in (
        left_out(policy=policy, own="deep", in_force="rolls"),
        left_out("gate", own="deep", in_force="rolls"),
    ):
        assert found == ["order", "contrastive"]


# ---- and nothing else ----


@pytest.mark.parametrize("left", [*([test] for test in COSTLY_TESTS), ["contrastive", "full_bank"], list(COSTLY_TESTS)])
def test_all_other_figures_are_those_of_a_whole_evaluation_bit_by_bit(whole, left):
    done, _ = evaluated(*left)
    assert list(done.windows) == list(whole[0].windows)
    changed = set()
    for name in done.windows:
        now, before = done.windows[name].to_numpy(), whole[0].windows[name].to_numpy()
        if now.dtype != before.dtype or not np.array_equal(now, before, equal_nan=now.dtype.kind == "f"):
            assert np.isnan(now).all(), name
            changed.add(name)
    assert changed
    found, expected = (headlines({"val": one.summary})["val"] for one in (done, whole[0]))
    own = {name for name in found if any(name.startswith(COSTLY_TESTS[test]) for test in left)}
    assert found == expected | dict.fromkeys(own)
    assert measured_headlines({"val": done.summary})["val"] == {
        name: value for name, value in expected.items() if name not in own
    }


def test_what_is_left_out_costs_no_call_of_the_predictor(whole, without):
    windows = len(BANK.targets("val"))
    assert evaluated("order", "rollout")[1] == windows
    for test, calls in {"order": True, "rollout": True, "contrastive": False, "full_bank": False}.items():
        assert (without[test][1] < whole[1]) is calls


def test_the_parameter_that_leaves_out_the_full_bank_does_the_same(without):
    params = PARAMS.model_copy(update={"full_bank": False})
    by_parameter = evaluate(BANK, "val", from_callable(Counted()), params, seed=3)
    assert by_parameter.windows.equals(without["full_bank"][0].windows)
