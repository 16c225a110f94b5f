"""Verdicts on the summary's claims, at and around the borders of their rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from lvm_core.comparison.claim_rules import ATTENTION_BIASED, COLLAPSE, EPOCHS, PENALISED, RULES, SCALARS
from lvm_core.comparison.claims import measure_claims, statements
from lvm_core.fivecat.statistics import WORTH_HAVING as WORTH
from tests import report_data as made


def against_p1(value: float, half_width: float = 0.01, **figures: float) -> dict[str, float]:
    """Figures of a row whose R@5 differs from p1's."""
    interval = {"val_r5_vs_p1_lo": value - half_width, "val_r5_vs_p1_hi": value + half_width}
    return {"val_r5_vs_p1": value, **interval, "val_cosine": 0.5, **figures}


def claim(key, *, training=None, diagnosis=None, stopped=(), comparison=None, **rows):
    """One claim's verdict on these rows, some of them stopped, and these further parts of the comparison."""
    val: dict[str, Any] = next((figures.pop("val") for figures in map(dict, rows.values()) if "val" in figures), {})
    whole = {
        "splits": {"val": val},
        "rows": [{"name": name, **figures} for name, figures in rows.items()],
        "after_phases": {name: {"stopped_after": "a" if name in stopped else None} for name in rows},
        **(comparison or {}),
    }
    found = measure_claims(
        whole,
        made.training() if training is None else training,
        made.diagnosis() if diagnosis is None else diagnosis,
    )
    return next(one for one in found if one.key == key)


def curve(recall, beyond, epochs=10):
    """Training of p1 in which R@5 and the closeness to the last chunk go these ways (+1, 0 or -1 an epoch)."""
    done = np.arange(1, epochs + 1)
    level = np.where(done % 2, 0.01, -0.01)  # no trend where the slope is 0
    columns = {"dev_recall_at_5": 0.3 + 0.02 * recall * done + (0 if recall else level), "dev_cosine": 0.4 + 0 * done}
    columns["dev_cosine_last"] = 0.5 + 0.02 * beyond * done + (0 if beyond else level)
    return pd.DataFrame({"name": "p1", "phase": "a", "epoch": done, **columns})


MSE = ("mse-closer", "mse-worse")


@pytest.mark.parametrize("recall", [1, 0, -1])
@pytest.mark.parametrize("beyond", [1, 0, -1])
def test_more_mse_is_two_claims_that_do_not_hang_together(recall, beyond):
    closer, worse = (claim(key, training=curve(recall, beyond), p1={}) for key in MSE)
    assert closer.verdict == {1: "confirmed", 0: "undecided", -1: "refuted"}[beyond]
    assert worse.verdict == {1: "refuted", 0: "undecided", -1: "confirmed"}[recall]
    for found in (closer, worse):
        assert "One training run" in found.sentence
        assert "no interval" in found.sentence
        assert "no interval" in found.rule
    assert "-0.149" in worse.sentence
    assert "22.1 %" in worse.sentence
    assert "-0.149" not in closer.sentence
    assert all("its cosine with the last chunk went from" in one.sentence for one in (closer, worse))


@pytest.mark.parametrize(
    ("last", "target", "verdict"),
    [(1, 0, "confirmed"), (1, 2, "refuted"), (-1, -2, "refuted"), (0, -1, "undecided"), (1, 1, "undecided")],
)
def test_closer_is_the_cosine_with_the_last_chunk_and_beyond_that_with_the_target(last, target, verdict):
    """A prediction that gets better at everything comes no closer to the last chunk in particular."""
    done = np.arange(1, 11)
    given = curve(1, 0).assign(dev_cosine_last=0.5 + 0.02 * last * done, dev_cosine=0.4 + 0.02 * target * done)
    found = claim("mse-closer", training=given.round(6), p1={})
    assert found.verdict == verdict
    assert f"last chunk went from {0.5 + 0.02 * last:.3f} to {0.5 + 0.2 * last:.3f}" in found.sentence


@pytest.mark.parametrize(("key", "verdict"), [("mse-closer", "confirmed"), ("mse-worse", "refuted")])
def test_more_mse_needs_epochs_and_dev_figures(key, verdict):
    assert claim(key, training=curve(1, 1, EPOCHS), p1={}).verdict == verdict
    assert claim(key, training=curve(1, 1, EPOCHS - 1), p1={}).verdict == "undecided"
    empty = curve(1, 1)
    empty["dev_recall_at_5"] = np.nan
    assert claim(key, training=empty, p1={}).verdict == "undecided"
    assert claim(key, training=curve(1, 1).iloc[::-1], p1={}).verdict == verdict  # in any order of lines
    assert claim(key, p5={}).verdict == "not measured"


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.06, -0.04, "confirmed"),
        (-0.02, WORTH, "confirmed"),
        (-0.02, WORTH + 1e-9, "undecided"),
        (0.0, 0.05, "undecided"),
        (1e-9, 0.05, "refuted"),
        (0.001, 0.005, "refuted"),
    ],
)
def test_curriculum_alone(low, high, verdict):
    p5 = {"val_r5_vs_p1": (low + high) / 2, "val_r5_vs_p1_lo": low, "val_r5_vs_p1_hi": high}
    assert claim("curriculum", p1={}, p5=p5).verdict == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(0.0501, 0.5, "confirmed"), (0.05, 0.06, "undecided"), (0.01, 0.05, "refuted")]
)
def test_data_inform(low, high, verdict):
    figures = {"val_recall_at_5": (low + high) / 2, "val_recall_at_5_lo": low, "val_recall_at_5_hi": high}
    chance = {"chance": {"recall_at_5": 0.05}}
    assert claim("data", copy_last={**figures, "val": chance}).verdict == verdict
    without = claim("data", copy_last=figures)
    assert without.verdict == "undecided"
    assert "chance" in without.sentence


@pytest.mark.parametrize(
    ("backwards", "verdict"),
    [
        (0.1, "refuted"),
        (0.0901, "refuted"),
        (0.0899, "undecided"),
        (0.0501, "undecided"),
        (0.05, "confirmed"),
        (-0.1, "refuted"),
    ],
)
def test_signal(backwards, verdict):
    diagnosis = {"train": {"temporal_signal": 0.1, "temporal_signal_reversed": backwards}}
    found = claim("signal", diagnosis=diagnosis)
    assert found.verdict == verdict
    assert "has not been measured" in found.sentence


def direction(difference, says=None, beyond=(0.02, 0.03), seeds=2):
    """A recipe's cell of the time direction: its R@5 differs by this, and by these beyond two controls' own."""
    ends = {"difference": difference, "lo": difference - 0.01, "hi": difference + 0.01}
    controls = {name: {"difference": one, "lo": one - 0.01, "hi": one + 0.01} for name, one in zip("cd", beyond)}  # noqa: B905
    cell = {"forward": 0.33, "reversed": 0.33 - difference, **ends, "by_seed": [difference] * seeds}
    return {"val_recall_at_5": {**cell, "beyond": controls, "direction": says}}


@pytest.mark.parametrize(
    ("cell", "articles", "says"),
    [
        (direction(0.03, "forward"), 50, "+0.020 [+0.010, +0.030]; by seed +0.030, +0.030; forward is easier"),
        (direction(-0.03, "backward", (-0.03, -0.02)), 50, "beyond d's own difference, the nearest of 2, -0.020 ["),
        (direction(-0.03, "backward", (-0.03, -0.02)), 50, "backward is easier"),
        (direction(0.03, "forward", seeds=1), 50, "; one seed; forward is easier"),
        (direction(0.03), 50, "; this shows no direction"),
        (direction(0.03, "forward"), 19, "; 19 article(s) are too few to show a direction"),
        (direction(0.03, beyond=()), 50, ": not compared with what knows no direction, so this shows none"),
    ],
)
def test_a_direction_is_told_as_the_comparison_found_it(cell, articles, says):
    measured = {
        "time_direction": {"copy_last": direction(-0.02), "p1": cell},
        "splits": {"val": {"articles": articles}},
    }
    text = claim("signal", comparison=measured).sentence
    difference = cell["val_recall_at_5"]["difference"]
    assert f"p1 0.330 forward, {0.33 - difference:.3f} reversed, {difference:+.3f}" in text
    assert says in text
    assert ("is easier" in text) == ("is easier" in says or "nearest of 2" in says)
    assert "What knows no direction differs too: copy_last -0.020 [-0.030, -0.010]." in text


def test_signal_with_undefined_figures_and_without_a_split():
    undefined = {"p1": {"val_recall_at_5": dict.fromkeys(direction(0.0)["val_recall_at_5"])}}
    assert "has not been measured" in claim("signal", comparison={"time_direction": undefined}).sentence
    copying = {"copy_last": direction(0.03)}
    assert "has not been measured" in claim("signal", comparison={"time_direction": copying}).sentence
    assert claim("signal", diagnosis={}).verdict == "undecided"


def penalties(v3, p3, p4_published, v1=None, **others):
    rows = {"v1": v1 or p3, "v3": v3, "p3": p3, "p4_published": p4_published}
    return claim("penalties", p1={}, context_mean={"val_cosine": 0.4}, **rows, **others)


def test_penalties():
    fine, low = against_p1(0.0), against_p1(COLLAPSE - 0.011)
    blurred = against_p1(0.0, val_cosine=0.399)
    assert penalties(low, low, blurred).verdict == "confirmed"
    some = penalties(low, fine, blurred)
    assert some.verdict == "undecided"
    assert some.sentence.endswith("Collapsed: v3, p4_published. Not collapsed: v1, p3.")
    assert penalties(low, low, blurred, v1=fine).verdict == "undecided"
    assert penalties(fine, fine, against_p1(0.0, val_cosine=0.4)).verdict == "refuted"  # context_mean's own cosine
    found = claim("penalties", p1={}, v1=low, v3=low, p3=low, p4_published=low)
    assert (found.verdict, found.sentence) == ("not measured", "The comparison has no row context_mean.")


def test_the_rollout_as_it_was_meant_is_no_penalty():
    low, fine = against_p1(COLLAPSE - 0.011), against_p1(0.0)
    found = penalties(low, low, low, p4=fine)
    assert found.verdict == "confirmed"
    assert "p4 has" not in found.sentence


def test_a_small_loss_is_no_collapse():
    small = {"val_r5_vs_p1": -0.002, "val_r5_vs_p1_lo": -0.0035, "val_r5_vs_p1_hi": -0.0005, "val_cosine": 0.5}
    found = penalties(small, small, small)
    assert found.verdict == "refuted"
    assert "Collapsed: none. Not collapsed: v1, v3, p3, p4_published." in found.sentence
    assert str(COLLAPSE) in found.rule


def test_a_collapse_that_is_not_ruled_out_refutes_nothing():
    wide = {"val_r5_vs_p1": 0.0, "val_r5_vs_p1_lo": COLLAPSE - 1e-9, "val_r5_vs_p1_hi": 0.1, "val_cosine": 0.5}
    fine = wide | {"val_r5_vs_p1_lo": COLLAPSE}
    found = penalties(wide, fine, fine)
    assert found.verdict == "undecided"
    assert found.sentence.endswith("Collapsed: none. Not collapsed: v1, p3, p4_published. Not ruled out: v3.")
    touching = wide | {"val_r5_vs_p1_lo": -0.1, "val_r5_vs_p1_hi": COLLAPSE}  # not wholly below
    assert penalties(touching, touching, touching).verdict == "undecided"
    assert penalties(fine, fine, fine).verdict == "refuted"


OF_THE_CLAIM = {"p5": 0.03, "p5_1": 0.10, "p5_nuclear": 0.20}


def scalar(p5, p5_1, p5_nuclear, scalars=OF_THE_CLAIM):
    return claim("scalar", comparison={"pos_scalars": scalars}, p1={}, p5=p5, p5_1=p5_1, p5_nuclear=p5_nuclear)


def test_positional_scalar():
    weak = against_p1(0.0, 0.002)
    assert scalar(weak, weak, against_p1(0.005, 0.0029)).verdict == "confirmed"
    assert scalar(weak, weak, against_p1(0.005, 0.0031)).verdict == "undecided"  # the intervals overlap, 0.010 apart
    assert scalar(weak, weak, against_p1(0.004, 0.0039)).verdict == "refuted"
    assert scalar(weak, against_p1(0.004, 0.0041), weak).verdict == "undecided"  # one of them may gain
    assert claim("scalar", p1={}, p5=weak).sentence == "The comparison has no rows p5_1, p5_nuclear."


def test_wide_intervals_say_nothing_of_the_scalar():
    """Point estimates as near as these would do for a refutation, were they known."""
    wide = against_p1(0.0, 0.2)
    found = scalar(wide, against_p1(0.009, 0.2), wide)
    assert found.verdict == "undecided"
    assert "not paired" in found.rule
    assert "cautious" in found.rule


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"p5": 0.2}, "This run has p5 with 0.2; the claim is about p5 with 0.03."),
        (
            {"p5_1": 0.2, "p5_nuclear": None},
            "This run has p5_1 with 0.2, p5_nuclear with no scalar; the claim is about ",
        ),
    ],
)
def test_the_claim_about_the_scalar_is_not_measured_on_other_scalars(changed, says):
    strong = against_p1(0.1, 0.001)
    few = {**strong, "val": {"articles": 3}}
    for weak in (against_p1(0.0, 0.001), few):  # with a few articles too it is not measured, instead of undecided
        found = scalar(weak, strong, strong, OF_THE_CLAIM | changed)
        assert found.verdict == "not measured"
        assert found.sentence.startswith(says)
    assert "p5 with an unknown scalar" in scalar(strong, strong, strong, {}).sentence
    usual = scalar(against_p1(0.0, 0.001), strong, strong)
    assert usual.verdict == "confirmed"
    assert "ramp" in usual.sentence


def test_a_claim_that_needs_a_stopped_recipe_is_not_measured():
    rows = {"p1": {}, "p5": against_p1(-0.05)}
    assert claim("curriculum", stopped=["v3"], **rows).verdict == "confirmed"
    found = claim("curriculum", stopped=["p5"], **rows)
    assert (found.verdict, found.sentence) == ("not measured", "p5 was stopped after phase A.")
    both = claim("curriculum", stopped=["p5", "p1"], **rows)
    assert both.sentence == "p1 was stopped after phase A. p5 was stopped after phase A."
    assert claim("mse-closer", training=curve(1, 1), stopped=["p1"], **rows).verdict == "not measured"
    assert claim("signal", stopped=["p1", "p5"], **rows).verdict == "refuted"  # of the data alone
    missing = claim("scalar", stopped=["p5"], **rows)
    assert "The comparison has no rows" in missing.sentence


def test_attention_bias():
    poor = against_p1(-0.1)
    assert claim("attention", p1={}, p5_1=against_p1(0.0), p6=against_p1(0.02)).verdict == "confirmed"
    assert claim("attention", p1={}, p5_1=against_p1(0.0), p6=poor).verdict == "refuted"
    assert claim("attention", p1={}, p5_1=against_p1(0.005), p6=poor).verdict == "undecided"
    assert claim("attention", p1={}, p5_1=against_p1(WORTH, WORTH), p6=poor).verdict == "undecided"  # touches 0
    assert claim("attention", p1={}, p5_1=against_p1(WORTH, 0.9 * WORTH), p6=poor).verdict == "confirmed"


def test_a_gain_that_is_sure_but_tiny_is_not_promising():
    poor = against_p1(-0.1)
    assert claim("attention", p1={}, p5_1=against_p1(0.0005, 0.0004), p6=poor).verdict == "refuted"
    assert claim("attention", p1={}, p5_1=against_p1(0.9 * WORTH, 0.8 * WORTH), p6=poor).verdict == "undecided"


def test_an_undefined_figure_is_named():
    p5 = {"val_r5_vs_p1": None, "val_r5_vs_p1_lo": None, "val_r5_vs_p1_hi": None}
    found = claim("curriculum", p1={}, p5=p5)
    assert (found.verdict, found.sentence) == ("undecided", "On these data val_r5_vs_p1 of p5 is undefined.")


def test_on_a_whole_comparison_and_as_markdown():
    claims = measure_claims(made.comparison(), made.training(), made.diagnosis())
    verdicts = {one.key: one.verdict for one in claims}
    assert verdicts["mse-worse"] == verdicts["signal"] == "refuted"
    assert verdicts["mse-closer"] == verdicts["curriculum"] == verdicts["data"] == "confirmed"
    assert {verdicts[key] for key in ("penalties", "scalar", "attention")} == {"not measured"}
    page = made.text()
    lines = page[page.index("## The summary's claims, measured") : page.index("## As published")].splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + len(RULES)
    assert {line.replace("\\|", "").count("|") for line in table} == {4}
    assert all(one.rule in "\n".join(lines) for one in claims)


def test_every_statement_has_a_rule_and_names_the_recipes_that_it_judges():
    found = {one.key: one for one in statements()}
    assert list(found) == list(RULES)
    judged = {"penalties": PENALISED, "scalar": SCALARS, "attention": ATTENTION_BIASED}
    for key, names in judged.items():
        assert set(names) == set(found[key].rows) - {"p1", "context_mean"}
    for key in ("penalties", "attention"):
        assert all(name in found[key].rule for name in judged[key])
    assert "both are at least +0.7. Refuted: one is at most -0.7" in found["mse-closer"].rule
    assert not any("{" in one.rule for one in found.values())


def test_a_curve_at_the_border_of_steady_counts_and_one_that_never_moves_is_undecided():
    flat = curve(1, 1, 5)
    places = {"confirmed": (0, 1, 4, 2, 3), "undecided": (1, 1, 1, 1, 1)}  # rank correlations of 0.7 exactly, and none
    for verdict, order in places.items():
        beyond = flat.assign(dev_cosine_last=flat["dev_cosine"] + 0.01 * np.array(order))
        found = claim("mse-closer", training=beyond, p1={})
        assert found.verdict == verdict
        assert f"{0.7 if verdict == 'confirmed' else 0:+.2f}" in found.sentence


@pytest.mark.parametrize(("articles", "verdict"), [(20, "confirmed"), (19, "undecided")])
def test_few_articles_decide_nothing_that_rests_on_intervals(articles, verdict):
    val = {"val": {"articles": articles}}
    found = claim("curriculum", p1=val, p5={**against_p1(-0.05), **val})
    assert found.verdict == verdict
    assert ("19 article(s) of val decide nothing" in found.sentence) == (articles == 19)
    assert claim("mse-closer", training=curve(1, 1), p1=val).verdict == "confirmed"  # of a curve, not of an interval
