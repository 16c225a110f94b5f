"""Verdicts on the summary's claims, at and around the borders of their rules."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from lvm_core.claims import claims_text, measure_claims
from lvm_core.claims.evidence import rank_correlation
from lvm_core.claims.rules import EPOCHS, HELP
from lvm_core.claims.table import STATEMENTS
from tests import report_data as made


def against_p1(value: float, half_width: float = 0.01, **figures: float) -> dict[str, float]:
    """Figures of a row whose R@5 differs from p1's."""
    interval = {"val_r5_vs_p1_lo": value - half_width, "val_r5_vs_p1_hi": value + half_width}
    return {"val_r5_vs_p1": value, **interval, "val_cosine": 0.5, **figures}


def claim(key, *, training=None, diagnosis=None, time_direction=None, **rows):
    """One claim's verdict on these rows."""
    found = measure_claims(
        [{"name": name, **figures} for name, figures in rows.items()],
        made.training() if training is None else training,
        made.diagnosis() if diagnosis is None else diagnosis,
        time_direction,
    )
    return next(one for one in found if one.key == key)


def curve(recall, beyond, epochs=10):
    """Training of p1 in which R@5 and the closeness to the last chunk go these ways (+1, 0 or -1 an epoch)."""
    done = np.arange(1, epochs + 1)
    level = np.where(done % 2, 0.01, -0.01)  # no trend where the slope is 0
    columns = {"dev_recall_at_5": 0.3 + 0.02 * recall * done + (0 if recall else level), "dev_cosine": 0.4 + 0 * done}
    columns["dev_cosine_last"] = 0.5 + 0.02 * beyond * done + (0 if beyond else level)
    return pd.DataFrame({"name": "p1", "phase": "a", "epoch": done, **columns})


@pytest.mark.parametrize(
    ("recall", "beyond", "verdict"),
    [
        (-1, 1, "confirmed"),
        (1, 1, "refuted"),
        (1, 0, "refuted"),
        (1, -1, "refuted"),
        (-1, -1, "refuted"),
        (0, 1, "undecided"),
        (-1, 0, "undecided"),
        (0, 0, "undecided"),
    ],
)
def test_more_mse(recall, beyond, verdict):
    found = claim("more-mse", training=curve(recall, beyond), p1={})
    assert found.verdict == verdict
    assert "-0.149" in found.sentence
    assert "22.1 %" in found.sentence


def test_more_mse_needs_epochs_and_dev_figures():
    assert claim("more-mse", training=curve(1, 1, EPOCHS), p1={}).verdict == "refuted"
    assert claim("more-mse", training=curve(1, 1, EPOCHS - 1), p1={}).verdict == "undecided"
    empty = curve(1, 1)
    empty["dev_recall_at_5"] = np.nan
    assert claim("more-mse", training=empty, p1={}).verdict == "undecided"
    assert claim("more-mse", training=curve(1, 1).iloc[::-1], p1={}).verdict == "refuted"  # in any order of lines
    assert claim("more-mse", p5={}).verdict == "not measured"


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.06, -0.04, "confirmed"),
        (-0.02, HELP, "confirmed"),
        (-0.02, HELP + 1e-9, "undecided"),
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
    retrieval = {"retrieval": {"chance": {"recall_at_5": 0.05}}}
    assert claim("data", copy_last={**figures, "val": retrieval}).verdict == verdict
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


def test_signal_with_the_time_direction_and_without_a_split():
    forward = {"forward": 0.33, "reversed": 0.30, "difference": 0.03, "lo": 0.01, "hi": 0.05}
    found = claim("signal", time_direction={"p1": {"val_recall_at_5": forward}})
    assert "p1 0.330 forward, 0.300 reversed, +0.030 [+0.010, +0.050]: forward is easier" in found.sentence
    undefined = {"p1": {"val_recall_at_5": dict.fromkeys(forward), "ood_recall_at_5": forward}}
    assert "has not been measured" in claim("signal", time_direction=undefined).sentence
    assert claim("signal", diagnosis={}).verdict == "undecided"


def test_penalties():
    mean, fine, low = {"val_cosine": 0.4}, against_p1(0.0), against_p1(-0.02)
    blurred = against_p1(0.0, val_cosine=0.399)
    assert claim("penalties", p1={}, context_mean=mean, v3=low, p3=low, p4=blurred).verdict == "confirmed"
    assert claim("penalties", p1={}, context_mean=mean, v3=low, p3=fine, p4=fine).verdict == "undecided"
    on_the_border = against_p1(-0.01, val_cosine=0.4)  # the interval ends at 0, the cosine is context_mean's
    assert claim("penalties", p1={}, context_mean=mean, v3=on_the_border, p3=fine, p4=fine).verdict == "refuted"
    found = claim("penalties", p1={}, v3=low, p3=low, p4=low)
    assert (found.verdict, found.sentence) == ("not measured", "The comparison has no row context_mean.")


def test_positional_scalar():
    weak = against_p1(0.0)
    assert claim("scalar", p1={}, p5=weak, p5_1=weak, p5_nuclear=against_p1(0.05)).verdict == "confirmed"
    assert claim("scalar", p1={}, p5=weak, p5_1=weak, p5_nuclear=against_p1(0.02)).verdict == "undecided"
    assert claim("scalar", p1={}, p5=weak, p5_1=weak, p5_nuclear=against_p1(HELP)).verdict == "refuted"
    assert claim("scalar", p1={}, p5=weak).sentence == "The comparison has no rows p5_1, p5_nuclear."


def test_attention_bias():
    assert claim("attention", p1={}, p5_1=against_p1(0.0), p6=against_p1(0.02)).verdict == "confirmed"
    assert claim("attention", p1={}, p5_1=against_p1(0.0), p6=against_p1(-0.1)).verdict == "refuted"
    assert claim("attention", p1={}, p5_1=against_p1(0.005), p6=against_p1(-0.1)).verdict == "undecided"


def test_an_undefined_figure_is_named():
    p5 = {"val_r5_vs_p1": None, "val_r5_vs_p1_lo": None, "val_r5_vs_p1_hi": None}
    found = claim("curriculum", p1={}, p5=p5)
    assert (found.verdict, found.sentence) == ("undecided", "On these data val_r5_vs_p1 of p5 is undefined.")


def test_on_a_whole_comparison_and_as_markdown():
    claims = measure_claims(made.comparison()["rows"], made.training(), made.diagnosis())
    verdicts = {one.key: one.verdict for one in claims}
    assert verdicts["more-mse"] == verdicts["signal"] == "refuted"
    assert verdicts["curriculum"] == verdicts["data"] == "confirmed"
    assert {verdicts[key] for key in ("penalties", "scalar", "attention")} == {"not measured"}
    lines = claims_text(claims)
    assert lines[0] == "## The summary's claims, measured"
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + len(STATEMENTS)
    assert {line.replace("\\|", "").count("|") for line in table} == {4}
    assert len({one.key for one in STATEMENTS}) == len(STATEMENTS)
    assert all(one.rule in "\n".join(lines) for one in claims)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12))
def test_the_rank_correlation_is_spearmans(pairs):
    first, second = (pd.Series(values, dtype=float) for values in zip(*pairs, strict=True))
    found = rank_correlation(first, second)
    if first.nunique() == 1 or second.nunique() == 1:
        assert found is None
    else:
        assert found == pytest.approx(spearmanr(first, second).statistic, abs=1e-12)
