"""The block about confidence: what the service states, against what is observed on val, and how contexts are filled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lvm_core.report.drawing import BASELINE, RECIPE, Picture, drawing
from lvm_core.report.numbers import count, number
from lvm_core.report.tables import Cell, Line, Table


@dataclass(frozen=True)
class Confidence:
    """What the block shows: sentences, the reliability picture (None without windows on val), and the filling table."""

    sentences: list[str]
    picture: Picture | None
    fills: Table


def confidence(calibration: Mapping[str, Any] | None, reliability: pd.DataFrame | None) -> Confidence | None:
    """The block from metrics/calibration/selected.json and plots/reliability/selected.csv; None where there is none."""
    if calibration is None or reliability is None:
        return None
    val = calibration["val"]
    sentences = [_fit(val)] if val else ["– val has no windows, so the confidence was not held against others."]
    return Confidence(sentences, _picture(reliability) if len(reliability) else None, _fills(calibration["dev"]))


def _fit(val: Mapping[str, Any]) -> str:
    better = "less" if val["brier"] < val["brier_constant"] else "no less"
    return (
        f"On {count(val['windows'])} windows of val the true chunk is among the five nearest of the whole bank in "
        f"{number(val['found'])} of cases; the confidence stated is {number(val['confidence'])} on average, and "
        f"{number(val['calibration_error'])} away from the observed rate in the mean over ten groups. Its squared "
        f"error is {number(val['brier'], 4)}, {better} than the {number(val['brier_constant'], 4)} of always stating "
        "the mean."
    )


def _picture(groups: pd.DataFrame) -> Picture:
    title = "Confidence against the observed rate (val)"
    with drawing("reliability", f"{title}: {len(groups)} groups of windows.") as done:
        top = float(max(groups["high"].max(), groups["confidence"].max())) * 1.05
        done.axes.plot([0, top], [0, top], color=BASELINE, linestyle="--", linewidth=1)
        errors = [groups["observed"] - groups["low"], groups["high"] - groups["observed"]]
        done.axes.errorbar(
            groups["confidence"], groups["observed"], yerr=errors, fmt="o", color=RECIPE, markersize=4, linewidth=1
        )
        done.axes.set(
            xlabel="confidence stated (fitted on dev)", ylabel="observed on val", xlim=(0, top), ylim=(0, top)
        )
    caption = (
        "Each point is a tenth of the windows, with the 95 % Wilson interval of its rate (windows of one article are "
        "not independent: the true interval is wider). On the dashed line stated and observed agree."
    )
    return Picture("reliability", done.svg, title, caption, f"{title}: {len(groups)} groups of windows.")


def _fills(dev: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Table:
    given = dev["given"]["5_given"]
    columns = ["filling", *(f"{chunks} given" for chunks in range(1, 5)), "5 given", "mean of 1-4"]
    lines = []
    for fill in ("repeat", "neighbours"):
        found = [dev[fill][f"{chunks}_given"]["found"] for chunks in range(1, 5)]
        cells = [Cell(number(value)) for value in [*found, given["found"], sum(found) / len(found)]]
        lines.append(Line(fill, "recipe", None, cells))
    return Table("Share of dev windows with the true chunk among five of the whole bank, by filling", columns, lines)
