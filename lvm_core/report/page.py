"""The report as one HTML page and as Markdown: pictures, tables and words put into the templates."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

from lvm_core.config.params import LONGEST
from lvm_core.fivecat.statistics import RESAMPLES
from lvm_core.report import pictures, render, tables, words
from lvm_core.report.drawing import STYLESHEET, Picture
from lvm_core.report.gains import gains
from lvm_core.report.gate_tables import (
    confidence,
    gate_tables,
    phase_tables,
    phases_table,
    row_gates,
    selection,
)
from lvm_core.report.numbers import LEGEND, MARK, UNDEFINED, count, is_defined, marks, number, with_minus
from lvm_core.report.ranking import ranking_picture
from lvm_core.report.verdict import few_articles, reach, verdict
from lvm_core.selection import AfterPhases
from lvm_core.selection.gates_text import POLICIES

SCRIPT = files("lvm_core.report").joinpath("report.js").read_text(encoding="utf-8")
"""Of the page, which works without it."""

CURVES = {
    "dev_recall_at_5": ("R@5 on dev by epoch", "R@5"),
    "dev_cosine": ("Cosine with the next chunk on dev by epoch", "cosine"),
    "dev_cosine_last": ("Cosine with the last context chunk on dev by epoch", "cosine"),
}
"""Training curves that are drawn: title, and name of the axis."""


@dataclass(frozen=True)
class Run:
    """What was run."""

    facts: list[tuple[str, str]]
    """What it is, and its value."""
    changed: list[tuple[str, str, str]]
    """Parameters that differ from the defaults: key, default, value; an en dash where one does not have it."""
    not_shown: list[str]
    """Sentences on what the figures do not say."""


HASHED = {
    "code": ("resolve", "deps", "data/sources"),
    "parameters": ("resolve", "deps", "params.yaml"),
    "vectors": ("embed", "outs", "data/bank/vectors.npy"),
    "chunks": ("embed", "deps", "data/bank/chunks.parquet"),
}
"""What is named by its hash in dvc.lock: stage, side and path."""


def what_was_run(
    params: Mapping[str, Any], defaults: Mapping[str, Any], lock: Mapping[str, Any], seeds: Mapping[str, Any]
) -> Run:
    """What was run, from what was set and what DVC wrote down.

    Args:
        params: params.yaml with the profile's values in place (`read_params`).
        defaults: the shipped ones, as of `flat`.
        lock: dvc.lock; empty where there is none.
        seeds: of the comparison: the recipes that were trained with several.
    """
    data, now = params["data"], flat(params)
    texts = data["kind"] == "text"
    encoder = (params["encoder"]["model"] if texts else data["encoder"]) or "not named"
    sources = f"{data['train']}; ood: {data['ood'] or 'none'}"
    facts = [("profile", str(params["profile"])), ("seed", str(params["seed"]))]
    facts += [("data", sources), ("encoder", str(encoder))]
    hashes = {title: _hash(lock, *place) for title, place in HASHED.items()}
    facts += [(title, f"{found} ({HASHED[title][2]})") for title, found in hashes.items() if found]
    if not all(hashes.values()):
        facts.append(("hashes", "not run by DVC"))
    keys = [key for key in {**defaults, **now} if defaults.get(key, UNDEFINED) != now.get(key, UNDEFINED)]
    changed = [(key, _shown(defaults, key), _shown(now, key)) for key in keys]
    several = [f"{name} with {', '.join(map(str, found['seeds']))}" for name, found in seeds.items()]
    but = f" (but {'; '.join(several)})" if several else ""
    not_shown = [
        f"One choice of data ({sources}), one encoder and one size of model were run: whether another would give the "
        "same order of recipes, or another lead over the formulas, is not shown.",
        f"Each recipe was trained with one seed{but}: the intervals are about which articles were drawn, not about "
        "chance in training.",
        "The best recipe and its best rival are picked on val from all that were measured; the interval of the "
        "difference between them does not allow for the picking.",
    ]
    return Run(facts, changed, not_shown)


def _hash(lock: Mapping[str, Any], stage: str, side: str, path: str) -> str | None:
    entries = ((lock.get("stages") or {}).get(stage) or {}).get(side) or ()
    return next((str(entry["md5"]) for entry in entries if entry["path"] == path and "md5" in entry), None)


def flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Parameters by dotted key, without the profiles; lists stay whole."""
    found: dict[str, Any] = {}
    for key, value in params.items():
        if isinstance(value, Mapping) and value:
            if prefix or key != "profiles":
                found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _shown(params: Mapping[str, Any], key: str) -> str:
    if key not in params:
        return UNDEFINED
    text = json.dumps(params[key], ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def report_html(
    comparison: Mapping[str, Any],
    frontier: Mapping[str, Any] | None,
    diagnosis: Mapping[str, Any],
    training: pd.DataFrame,
    lags: pd.DataFrame,
    ladder: Mapping[str, Any] | None = None,
    calibration: Mapping[str, Any] | None = None,
    reliability: pd.DataFrame | None = None,
    *,
    run: Run,
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
        run: what was run.
    """
    rows: Sequence[Mapping[str, Any]] = comparison["rows"]
    chance = comparison["splits"]["val"]["chance"]["recall_at_5"]
    ranked = any(is_defined(row["val_recall_at_5"]) for row in rows)
    found = _tables(comparison, frontier)
    reached, gates = found["reach"], found["gates"]
    return render(
        "report.html.j2",
        {"minus": with_minus, "soft": soft_breaks},
        **found,
        style=Markup(STYLESHEET),
        script=Markup(SCRIPT),
        script_hash=base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode(),
        run=run,
        verdict=verdict(rows, reached, comparison.get("best_two"), comparison.get("formulas_forward") or ()),
        every_row=tables.every_row(rows),
        columns=3 + len(tables.SHOWN) + len(tables.SETS),
        blocks=[
            (row, tables.row_figures(row), tables.rollout_steps(row), _curve(training, str(row["name"])))
            for row in rows
        ],
        row_gates=row_gates(gates),
        verdicts=", ".join(
            f"{number} {word}" for word, number in Counter(c["verdict"] for c in comparison["claims"]).items()
        ),
        views=gates + phase_tables(comparison.get("gates") or {}, found["judged"]),
        selected=selection(ladder),
        confidence=confidence(calibration, reliability),
        ranking_picture=ranking_picture(rows, chance=chance) if ranked else None,
        frontier_pictures=_frontier_pictures(rows, reached.curves, reached.limits),
        frontier_table=tables.frontier_table(reached.marked),
        profile=pictures.profile_picture(rows),
        curves=_curves(training, marks(found["recipes"])),
        data=tables.data_table(diagnosis),
        lags=pictures.lag_picture(lags, {split: found["between_articles"] for split, found in diagnosis.items()}),
    )


def comparison_text(comparison: Mapping[str, Any], frontier: Mapping[str, Any]) -> str:
    """metrics/comparison.md: the tables of the report and the words around them; arguments as of `report_html`."""
    rows = comparison["rows"]
    return render(
        "comparison.md.j2",
        {"md": partial(tables.markdown, marked=marks(rows)), "cell": tables.escaped},
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
        "marked": marks(rows),
        "mark": MARK,
        "seers": [name for name, mark in marks(rows).items() if mark],
        "legend": LEGEND,
        "chance": tables.chance(comparison["splits"]),
        "few": few_articles(comparison["splits"]),
        "windows": {
            split: (count(found["windows"]["all"]), count(found["articles"]))
            for split, found in comparison["splits"].items()
        },
        "recipes": [row for row in rows if row["kind"] == "recipe"],
        "references": [row for row in rows if row["kind"] == "reference"],
        "ranking": {kind: tables.ranking(rows, kind) for kind in ("recipe", "reference")},
        "reach": reach(frontier, comparison["can_be_reached"]),
        "gates": gate_tables(comparison.get("gates") or {}, rows),
        "policy": POLICIES.get(comparison.get("gates_policy") or ""),
        "judged": phases,
        "phases": phases_table(phases, rows),
        "relatives": tables.relatives(comparison.get("relatives") or {}),
        "gains": gains(rows),
        "direction": tables.time_direction(comparison.get("time_direction") or {}),
        "seeds": tables.seeds(comparison.get("seeds") or {}),
        "each_seed": tables.each_seed(comparison.get("seeds") or {}),
        "left_out": {key: _left_out(left_out.get(key) or ()) for key in ("time_direction", "seeds")},
        "claims": comparison["claims"],
        "published": published,
        "published_table": tables.published((published or {}).get("rows") or []),
        "all_figures": [tables.all_figures(rows, split) for split in ("val", "ood")],
        "words": words,
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


def _curves(training: pd.DataFrame, marked: Mapping[str, str]) -> list[Picture]:
    return [
        pictures.training_picture(training, marked, column, title, axis)
        for column, (title, axis) in CURVES.items()
        if column in training and training[column].notna().any()
    ]


def _curve(training: pd.DataFrame, name: str) -> Markup:
    """R@5 on dev by epoch as a small line with its words; empty where there is none."""
    curve = training[training["name"].astype(str) == name].dropna(subset=["dev_recall_at_5"])
    values = curve["dev_recall_at_5"].tolist()
    if not values:
        return Markup("")
    low, high = min(values), max(values)
    best = curve["epoch"].tolist()[values.index(high)]
    step, scale = 300 / max(len(values) - 1, 1), 50 / ((high - low) or 1)
    points = " ".join(f"{place * step:.0f},{55 - (value - low) * scale:.0f}" for place, value in enumerate(values))
    words = (
        f"R@5 on dev by epoch: first {number(values[0])}, best {number(high)} (epoch {best}), last {number(values[-1])}"
    )
    line = Markup('<svg class="curve" viewBox="-2 0 304 60" role="img" aria-label="{0}"><polyline points="{1}"/></svg>')
    return (line + Markup('<p class="small">{0}</p>')).format(words, points)


def soft_breaks(name: str) -> Markup:
    """A name that may be broken after its underscores."""
    return Markup("_<wbr>").join(escape(part) for part in name.split("_"))
