"""The report as one HTML page and as Markdown: pictures, tables and words put into the templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

from lvm_core.fivecat.statistics import RESAMPLES
from lvm_core.report import pictures, render, tables
from lvm_core.report.drawing import STYLESHEET, Picture
from lvm_core.report.gate_tables import confidence, gate_tables, phases_table, selection
from lvm_core.report.numbers import count, is_defined, with_minus
from lvm_core.report.verdict import few_articles, reach, verdict
from lvm_core.selection import AfterPhases
from lvm_core.selection.gates_text import POLICIES

CURVES = {
    "dev_recall_at_5": ("R@5 on dev by epoch", "R@5"),
    "dev_cosine": ("Cosine with the next chunk on dev by epoch", "cosine"),
    "dev_cosine_last": ("Cosine with the last context chunk on dev by epoch", "cosine"),
}
"""Training curves that are drawn: title, and name of the axis."""


def report_html(
    comparison: Mapping[str, Any],
    frontier: Mapping[str, Any] | None,
    diagnosis: Mapping[str, Any],
    training: pd.DataFrame,
    lags: pd.DataFrame,
    ladder: Mapping[str, Any] | None = None,
    calibration: Mapping[str, Any] | None = None,
    reliability: pd.DataFrame | None = None,
) -> str:
    """The whole report as one self-contained page; the same text for the same figures.

    Args:
        comparison: metrics/comparison.json, claims and the frontier's answer in it.
        frontier: metrics/frontier.json; None where there is none.
        diagnosis: metrics/diagnosis.json.
        training: plots/training.csv: columns name, phase, epoch, dev_recall_at_5, dev_cosine, dev_cosine_last.
        lags: plots/lag_similarity.csv: columns name, lag, similarity.
        ladder: metrics/ladder.json; None where there is none.
        calibration: metrics/calibration/selected.json; None where there is none.
        reliability: plots/reliability/selected.csv: columns confidence, observed, low, high, windows; None likewise.
    """
    rows: Sequence[Mapping[str, Any]] = comparison["rows"]
    recipes = [str(row["name"]) for row in rows if row["kind"] == "recipe"]
    ranked = any(is_defined(row["val_recall_at_5"]) for row in rows)
    found = _tables(comparison, frontier)
    reached = found["reach"]
    return render(
        "report.html.j2",
        {"minus": with_minus, "soft": soft_breaks},
        **found,
        style=Markup(STYLESHEET),
        verdict=verdict(rows, reached, comparison.get("best_two")),
        selected=selection(ladder),
        confidence=confidence(calibration, reliability),
        references=[row for row in rows if row["kind"] == "reference"],
        ranking_picture=pictures.ranking_picture(rows) if ranked else None,
        frontier_pictures=_frontier_pictures(rows, reached.curves, reached.limits),
        frontier_table=tables.frontier_table(rows, reached.marked),
        profile=pictures.profile_picture(rows),
        curves=_curves(training, recipes),
        data=tables.data_table(diagnosis),
        lags=pictures.lag_picture(lags, {split: found["between_articles"] for split, found in diagnosis.items()}),
    )


def comparison_text(comparison: Mapping[str, Any], frontier: Mapping[str, Any]) -> str:
    """metrics/comparison.md: the tables of the report and the words around them; arguments as of `report_html`."""
    rows = comparison["rows"]
    return render(
        "comparison.md.j2",
        {"md": tables.markdown, "cell": tables.escaped},
        **_tables(comparison, frontier),
        in_force=comparison["gates_in_force"],
        stopped={name: one["why"] for name, one in comparison["after_phases"].items() if one["stopped_after"]},
        tape=tables.tape(rows),
        resamples=RESAMPLES,
    )


def _tables(comparison: Mapping[str, Any], frontier: Mapping[str, Any] | None) -> dict[str, Any]:
    """What both pages show."""
    rows: Sequence[Mapping[str, Any]] = comparison["rows"]
    left_out = comparison.get("left_out") or {}
    phases = {name: AfterPhases.model_validate(one) for name, one in (comparison.get("after_phases") or {}).items()}
    published = comparison.get("as_published")
    return {
        "few": few_articles(comparison["splits"]),
        "windows": {
            split: (count(found["windows"]["all"]), count(found["articles"]))
            for split, found in comparison["splits"].items()
        },
        "recipes": [row for row in rows if row["kind"] == "recipe"],
        "ranking": {kind: tables.ranking(rows, kind) for kind in ("recipe", "reference")},
        "reach": reach(frontier, comparison["can_be_reached"]),
        "gates": gate_tables(comparison.get("gates") or {}, rows),
        "policy": POLICIES.get(comparison.get("gates_policy") or ""),
        "phases": phases_table(phases, rows),
        "direction": tables.time_direction(comparison.get("time_direction") or {}),
        "seeds": tables.seeds(comparison.get("seeds") or {}),
        "each_seed": tables.each_seed(comparison.get("seeds") or {}),
        "left_out": {key: _left_out(left_out.get(key) or ()) for key in ("time_direction", "seeds")},
        "claims": comparison["claims"],
        "published": published,
        "published_table": tables.published((published or {}).get("rows") or []),
        "all_figures": [tables.all_figures(rows, split) for split in ("val", "ood")],
        "words": tables,
    }


def _left_out(names: Sequence[str]) -> str:
    """Why recipes that were stopped do not stand beside their variants, in one line; nothing without names."""
    if not names:
        return ""
    return (
        f"Left out: {', '.join(names)}, stopped after phase A, whereas a variant (reversed articles, another seed) is "
        "trained through all phases."
    )


def _frontier_pictures(
    rows: Sequence[Mapping[str, Any]], curves: Mapping[str, Sequence[Mapping[str, Any]]], limits: Mapping[str, float]
) -> list[Picture]:
    drawn = [pictures.frontier_picture(rows, curves, figure, limits) for figure in ("cosine", "recall_at_5")]
    return [picture for picture in drawn if picture is not None]


def _curves(training: pd.DataFrame, recipes: Sequence[str]) -> list[Picture]:
    return [
        pictures.training_picture(training, recipes, column, title, axis)
        for column, (title, axis) in CURVES.items()
        if column in training and training[column].notna().any()
    ]


def soft_breaks(name: str) -> Markup:
    """A name that may be broken after its underscores."""
    return Markup("_<wbr>").join(escape(part) for part in name.split("_"))
