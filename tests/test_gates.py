"""What rows reach at gates: what a condition compares, no answer where there is none, and laws."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvm_core.config.figures import FIGURES, MORE
from lvm_core.config.gates import GatesParams, frames_of
from lvm_core.config.params import load_group, read_params, validate
from lvm_core.config.references import REFERENCES
from lvm_core.fivecat.statistics import Judgement
from lvm_core.report.gate_tables import gate_tables
from lvm_core.report.tables import markdown
from lvm_core.selection import SetResult, to_json
from lvm_core.selection.gates_text import gate_text
from lvm_core.selection.judge import all_true, judge_gates, passed_of, status_of
from tests.paths import ROOT

KEYS = [f"{split}_{figure}" for split in ("val", "ood") for figure in FIGURES]
ALWAYS = {"all_of": [{"split": "val", "figure": "cosine", "at_least": -1.0}]}


def judgement(values, spread=0.0, seed=0):
    """All figures 0.5 but those given (None: undefined), with draws around them."""
    value = {key: 0.5 for key in KEYS} | values
    noise = np.random.default_rng(seed).standard_normal(200) * spread
    return Judgement(value, {key: np.full(200, np.nan) if x is None else x + noise for key, x in value.items()})


def one_gate(*conditions, **others) -> GatesParams:
    """Sets of which `certified` has the one gate `g` with these conditions."""
    sets = {"certified": {"g": {"all_of": list(conditions)}}, "stage_a": {"a": ALWAYS}, "published_5cat": {"a": ALWAYS}}
    params: GatesParams = validate({"sets": sets | others}, GatesParams, "gates")
    return params


def answer(params, judgements, row="m", frame="corrected"):
    """The first condition's result of gate `g`."""
    return judge_gates(params, judgements)["certified"].in_frame(frame)[row].gates["g"].conditions[0]


# ---- what a condition compares ----


def test_limits_are_met_or_passed_as_their_names_say():
    for relation, at_limit in [("at_least", True), ("above", False), ("at_most", True), ("below", False)]:
        params = one_gate({"split": "val", "figure": "margin", relation: 0.25})
        upwards = relation in ("at_least", "above")
        for value, expected in [(0.25, at_limit), (0.26, upwards), (0.24, not upwards)]:
            assert answer(params, {"m": judgement({"val_margin": value})}).passed is expected


def test_rivals_are_subtracted_times_a_factor():
    minus: dict[str, object] = {"best_of": ["copy_last", "random"]}
    condition = {"split": "val", "figure": "margin", "above": 0.0, "minus": minus}
    rows = {
        "m": judgement({"val_margin": 0.3}),
        "copy_last": judgement({"val_margin": 0.1}),
        "random": judgement({"val_margin": 0.4, "ood_margin": 9.0}),
    }
    assert answer(one_gate(condition), rows).value == pytest.approx(-0.1)
    minus["times"] = 0.5
    for bound in ("point", "lo"):  # without spread they are the same
        assert answer(one_gate(condition | {"bound": bound}), rows).value == pytest.approx(0.1)
        assert answer(one_gate(condition | {"bound": bound}), rows).passed is True
    del rows["random"]
    assert answer(one_gate(condition), rows).passed is None  # beating those that are there would prove nothing


def test_the_best_rival_is_taken_anew_in_every_draw():
    """Two rivals that are strong in 2 % of the draws each, but not the same ones: only together do they matter."""
    draws = {name: np.zeros(200) for name in ("m", "copy_last", "random")}
    draws["m"] += 0.8
    draws["copy_last"][:4] = draws["random"][4:8] = 1.0
    rows = {name: Judgement({"val_margin": float(x.mean())}, {"val_margin": x}) for name, x in draws.items()}

    def lower_end(*names):
        minus = {"best_of": list(names)}
        return answer(one_gate({"split": "val", "figure": "margin", "above": 0.0, "bound": "lo", "minus": minus}), rows)

    assert lower_end("copy_last").passed is lower_end("random").passed is True
    both = lower_end("copy_last", "random")
    assert (both.value, both.passed) == (pytest.approx(-0.2), False)


def test_a_row_is_not_its_own_rival_unless_there_is_no_other():
    """Else a listed reference could never pass, and the check that none does could never fail."""
    minus: dict[str, object] = {"best_of": ["random"]}
    condition = {"split": "val", "figure": "mrr", "at_least": 0.0, "bound": "lo", "minus": minus}
    rows = {"random": judgement({"val_mrr": 0.3}, spread=0.1), "copy_last": judgement({"val_mrr": 0.2}, spread=0.1)}
    assert answer(one_gate(condition), rows, row="random").value == 0
    minus["best_of"] = ["random", "copy_last"]
    assert answer(one_gate(condition), rows, row="random").value == pytest.approx(0.1)
    assert answer(one_gate(condition), rows, row="copy_last").value == pytest.approx(-0.1)


@pytest.mark.parametrize(("sees", "best"), [("context", 0.6), ("memory", 0.7), ("document", 0.8), ("answer", 0.8)])
def test_rivals_are_all_references_that_see_no_more(sees, best):
    condition = {"split": "val", "figure": "mrr", "above": 0.0, "minus": {"best_of": "rivals"}}
    assert gate_text(one_gate(condition).sets["certified"]["g"]) == "val mrr - best of rivals > 0"
    high = {"oracle": 1.0, "ridge": 0.6, "decay_memory": 0.7, "decay_document": 0.8}
    rows = {name: replace(judgement({"val_mrr": high.get(name, 0.1)}), sees=saw) for name, saw in REFERENCES.items()}
    assert answer(one_gate(condition), rows | {"m": replace(judgement({}), sees=sees)}).value == pytest.approx(
        0.5 - best
    )
    assert answer(one_gate(condition), rows, row="ridge").value == pytest.approx(0.5)
    del rows["ridge"]
    assert answer(one_gate(condition), rows | {"m": replace(judgement({}), sees=sees)}).passed is None


def test_the_distance_between_splits_has_no_sign():
    params = one_gate({"split": "val", "distance_to": "ood", "figure": "coherence_normal", "at_most": 0.05})
    for ood, expected in [(0.46, True), (0.54, True), (0.44, False), (0.56, False), (None, None)]:
        assert answer(params, {"m": judgement({"ood_coherence_normal": ood})}).passed is expected
    spread = Judgement(dict.fromkeys(KEYS, 0.0), {key: np.linspace(-1, 1, 200) * (key[0] == "v") for key in KEYS})
    surely = {"split": "val", "distance_to": "ood", "figure": "mrr", "bound": "lo", "at_least": 0.0}
    assert answer(one_gate(surely), {"m": spread}).value >= 0


def test_the_published_frame_takes_the_counterpart_and_its_rivals_counterpart():
    condition = {"split": "val", "figure": "margin", "published": "published_margin", "at_least": 0.0}
    rows = {
        "m": judgement({"val_margin": 0.2, "val_published_margin": -0.6}),
        "random": judgement({"val_margin": 0.3, "val_published_margin": -0.7}),
    }
    ours, theirs = (answer(one_gate(condition), rows, frame=frame) for frame in ("corrected", "published"))
    assert (ours.value, theirs.value) == (0.2, -0.6)
    condition["minus"] = {"best_of": ["random"]}
    ours, theirs = (answer(one_gate(condition), rows, frame=frame).value for frame in ("corrected", "published"))
    assert (ours, theirs) == (pytest.approx(-0.1), pytest.approx(0.1))


# ---- no answer ----


def test_missing_rivals_and_undefined_figures_have_no_answer():
    params = load_group(read_params(ROOT / "params.yaml"), "gates", GatesParams)
    nothing = Judgement(dict.fromkeys(KEYS), {key: np.full(200, np.nan) for key in KEYS})
    for rows in ({"m": nothing}, {"m": Judgement({}, {})}, {}):
        results = judge_gates(params, rows)
        for result in results.values():
            for row in (*result.corrected.values(), *result.published.values()):
                assert (row.outcome.passed, row.outcome.of, row.outcome.whole) == (0, 0, False)
                assert {gate.passed for gate in row.gates.values()} == {None}
        if rows:
            assert status_of("m", rows, results) == "weak"
            assert passed_of("m", results)["gates_certified_of"] == 0
    alone = judge_gates(params, {"m": judgement({})})["certified"].corrected["m"].gates
    assert [alone[name].passed for name in ("ranks_next", "goes_forward", "specific", "transfers")] == [None] * 4
    assert alone["uses_order"].passed is False


def test_a_condition_that_fails_decides_whatever_the_rest():
    assert all_true([True, None, False]) is False
    assert all_true([True, None]) is None
    assert all_true([True, True]) is True


def test_gates_of_another_set_are_counted_while_open_ones_leave_it_open():
    def gate(figure):
        return {"all_of": [{"split": "val", "figure": figure, "at_least": 0.4}]}

    figures = ("cosine", "margin", "mrr", "rollout")
    counted = {"split_" + figure: gate(figure) for figure in figures}
    params = one_gate({"set": "published_5cat", "at_least": 3}, published_5cat=counted)
    for values, count, expected in [
        ((1, 1, 1, 0), 3, True),
        ((1, 1, 0, 0), 2, False),
        ((1, 1, 1, None), 3, True),
        ((1, 1, None, 0), 2, None),
        ((1, None, 0, 0), 1, False),
    ]:
        given = {f"val_{figure}": value for figure, value in zip(figures, values, strict=True)}
        result = answer(params, {"m": judgement(given)})
        assert (result.value, result.passed) == (count, expected)


# ---- laws ----

numbers = st.floats(-1.0, 1.0)
spreads = st.floats(0.0, 0.5)


@given(numbers, st.floats(0.0, 2.0), numbers, spreads, st.sampled_from(["point", "lo"]), st.booleans())
def test_raising_a_figure_never_takes_a_pass_away(value, rise, limit, spread, bound, rival):
    condition = {"split": "val", "figure": "mrr", "at_least": limit, "bound": bound}
    params = one_gate(condition | ({"minus": {"best_of": ["random"], "times": 0.75}} if rival else {}))
    other = judgement({}, spread, seed=1)
    before, after = (
        answer(params, {"m": judgement({"val_mrr": x}, spread), "random": other}) for x in (value, value + rise)
    )
    assert after.passed or not before.passed


@given(numbers, st.floats(0.0, 2.0), numbers, spreads, st.sampled_from(["point", "lo"]))
def test_a_stronger_rival_never_gives_a_pass(value, rise, limit, spread, bound):
    minus = {"best_of": ["random", "copy_last"], "times": 0.75}
    params = one_gate({"split": "val", "figure": "mrr", "above": limit, "bound": bound, "minus": minus})
    rest = {"m": judgement({}, spread), "copy_last": judgement({"val_mrr": 0.2}, spread, seed=2)}
    before, after = (
        answer(params, rest | {"random": judgement({"val_mrr": x}, spread, seed=1)}) for x in (value, value + rise)
    )
    assert before.passed or not after.passed


@given(numbers, numbers, spreads)
def test_the_lower_end_is_the_harder_one_to_pass_with(value, rival, spread):
    rows = {"m": judgement({"val_mrr": value}, spread), "random": judgement({"val_mrr": rival}, spread, seed=1)}
    condition = {"split": "val", "figure": "mrr", "minus": {"best_of": ["random"]}}
    low = answer(one_gate(condition | {"bound": "lo", "above": 0.0}), rows)
    high = answer(one_gate(condition | {"bound": "hi", "below": 0.0}), rows)
    assert low.value <= high.value
    assert low.value <= value - rival + 1e-9
    assert high.value >= value - rival - 1e-9
    assert not (low.passed and high.passed)  # surely above and surely below at once


@cache
def params_in_force():
    return load_group(read_params(ROOT / "params.yaml"), "gates", GatesParams)


@settings(max_examples=15)
@given(st.permutations(["m", "copy_last", "context_mean", "linear5", "corpus_mean", "random"]))
def test_the_order_of_the_rows_does_not_matter(order):
    params = params_in_force()
    values = {name: {key: len(name) / 20 for key in KEYS} for name in order}
    rows = {name: judgement(values[name], 0.05, seed=len(name)) for name in order}
    results, sorted_results = (
        judge_gates(params, rows),
        judge_gates(params, {name: rows[name] for name in sorted(order)}),
    )
    assert results == sorted_results
    assert list(results["certified"].corrected) == order


# ---- status, json and text ----


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"val_cosine": 0.98, "val_cosine_last": 0.97, "val_recall_at_5": 0.1}, "forward"),  # neighbours are alike
        ({"val_cosine": 0.9, "val_cosine_last": 0.97, "val_recall_at_5": 0.1}, "copies"),
        ({"val_cosine": 0.1, "val_cosine_last": 0.95, "val_recall_at_5": 0.1}, "copies"),
        ({"val_cosine": 0.1, "val_recall_at_5": 0.4, "val_cosine_mean": 0.51}, "blurs"),
        ({"val_cosine": 0.1, "val_recall_at_5": 0.4}, "lost"),  # nearer to a chunk, or all of it zero
        ({"val_cosine": 0.1, "val_recall_at_5": 0.4, "val_cosine_mean": None}, "lost"),
        ({"val_cosine": 0.1, "val_cosine_last": 0.94, "val_recall_at_5": 0.5}, "weak"),
        ({"val_cosine": None, "val_cosine_last": None, "val_recall_at_5": None}, "weak"),
    ],
)
def test_status_words_and_which_comes_first(values, word):
    params = one_gate({"split": "val", "figure": "cosine", "at_least": 0.8})
    rows = {"m": judgement(values), "context_mean": judgement({})}
    assert status_of("m", rows, judge_gates(params, rows)) == word


def test_nothing_is_forward_while_a_gate_that_applies_is_undefined():
    condition = {"split": "val", "figure": "cosine", "at_least": 0.8}
    others = {name: {"all_of": [condition | {"figure": name}]} for name in ("recall_at_5", "margin")}
    sets = {"certified": {"own": {"all_of": [condition]}} | others}
    rest = {"stage_a": {"g": {"all_of": [condition]}}, "published_5cat": {"g": {"all_of": [condition]}}}
    params = GatesParams.model_validate({"sets": sets | rest})
    good = {"val_cosine": 0.9, "val_cosine_last": 0.5, "val_recall_at_5": 0.9, "val_margin": 0.9}
    for lacking, word in (({"val_margin": None}, "weak"), ({"val_recall_at_5": None}, "weak"), ({}, "forward")):
        rows = {"m": judgement(good | lacking), "context_mean": judgement({})}
        results = judge_gates(params, rows)
        row = results["certified"].corrected["m"]
        assert status_of("m", rows, results) == word
        assert row.outcome.whole == (word == "forward") == (not row.outcome.undefined)


def test_a_split_without_windows_and_an_unread_context_are_not_applicable():
    params = load_group(read_params(ROOT / "params.yaml"), "gates", GatesParams)
    unread = {f"{split}_{name}": None for split in ("val", "ood") for name in MORE if name.startswith("order_")}
    no_ood = {key: None for key in KEYS if key.startswith("ood_")}
    rows = {name: judgement({key: 0.1 for key in KEYS} | no_ood) for name in REFERENCES}
    rows["m"] = judgement({key: 0.9 for key in KEYS} | no_ood | unread)
    row = judge_gates(params, rows)["certified"].corrected["m"]
    assert {name for name, gate in row.gates.items() if not gate.applies} == {
        *("goes_forward", "transfers", "uses_order"),
    }
    assert row.outcome.whole
    rows["m"] = judgement({key: 0.9 for key in KEYS} | unread | {"ood_recall_at_5": None})
    row = judge_gates(params, rows)["certified"].corrected["m"]
    assert row.outcome.undefined == [
        "goes_forward",
        "transfers",
    ]  # there is another source, but its articles are too short
    assert not row.outcome.whole


def test_answers_survive_json():
    params = load_group(read_params(ROOT / "params.yaml"), "gates", GatesParams)
    results = judge_gates(params, {"m": judgement({}), "copy_last": judgement({"ood_mrr": None})})
    stored = json.loads(json.dumps(to_json(results), allow_nan=False))
    assert {name: validate(value, SetResult, name) for name, value in stored.items()} == results
    assert list(stored["certified"]) == ["definition", "corrected", "published"]
    row = stored["stage_a"]["published"]["m"]
    assert set(row) == {"gates"}
    assert passed_of("m", results)["gates_stage_a_of"] == results["stage_a"].corrected["m"].outcome.of


def test_a_gate_in_words():
    params = load_group(read_params(ROOT / "params.yaml"), "gates", GatesParams)
    words = {f"{name}.{key}": gate for name, gates in params.sets.items() for key, gate in gates.items()}
    assert gate_text(words["certified.transfers"]) == (
        "lo[ood recall_at_5 - copy_last] > 0, lo[ood recall_at_5_above_chance] > 0"
    )
    assert gate_text(words["certified.specific"]) == (
        "lo[val margin_unseen - 0.5 x copy_last] > 0, lo[val margin_unseen] > 0"
    )
    assert gate_text(words["certified.ranks_next"]) == "lo[val recall_at_5 - best of rivals] > 0"
    assert gate_text(words["published_5cat.e_bins"]) == "|val - ood| of coherence_normal <= 0.05"
    assert gate_text(words["stage_a.five_cat"]) == "gates of published_5cat passed >= 3"
    assert gate_text(words["stage_a.margin_val"], "published") == "val published_margin >= 0.02"


def chapters(results, kinds):
    """What the report shows of each set and frame."""
    return gate_tables(to_json(results), [{"name": name, "kind": kind} for name, kind in kinds.items()])


def test_the_page_without_an_answer():
    params = load_group(read_params(ROOT / "params.yaml"), "gates", GatesParams)
    shown = chapters(judge_gates(params, {"m": Judgement({}, {})}), {"m": "recipe"})
    assert "| `m` | 0 of 0 | - | - | - | - | - | - |" in markdown(shown[0].table)
    assert len(shown) == sum(len(frames_of(params, name)) for name in params.sets)
    for one in shown:
        (remark,) = one.remarks
        assert remark.text.startswith("No trained recipe passes")
        assert remark.warns


def test_nothing_is_said_of_gates_that_nobody_has_an_answer_to():
    params = load_group(read_params(ROOT / "params.yaml"), "gates", GatesParams)
    results = judge_gates(params, {name: Judgement({}, {}) for name in ("m", "oracle", "copy_last")})
    kinds = {"m": "recipe", "oracle": "reference", "copy_last": "reference"}
    assert not any("all 0 gates" in remark.text for one in chapters(results, kinds) for remark in one.remarks)
    for gate in results["certified"].corrected["oracle"].gates.values():
        gate.__dict__["applies"] = True  # but undefined
    said = " ".join(remark.text for remark in chapters(results, kinds)[0].remarks)
    assert "cannot be told on these data, so nothing can pass the set." in said
    assert "No trivial predictor passes" not in said
