"""Pictures of the page and of plots/."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from lvm_core.report.drawing import (
    INK,
    MUTED,
    RECIPE,
    REFERENCE,
    REST,
    SERIES,
    SHADE,
    Drawing,
    Picture,
    drawing,
    label_ends,
    place_labels,
)
from lvm_core.report.numbers import LEGEND, MINUS, is_defined, marks, number

Row = Mapping[str, Any]

WORDS = {
    "recall_at_5": "R@5: share of windows whose true next\nchunk is among the five nearest",
    "cosine": "mean cosine of the prediction\nwith the true next chunk",
    "cosine_last": "mean cosine of the prediction\nwith the last context chunk",
    "margin": "margin: cosine with the next chunk\nminus the best at another offset",
}
"""What the axis of a figure says."""

TITLES = {"cosine": "cosine", "recall_at_5": "R@5"}

MOST = len(SERIES)
"""Lines of a picture that have a colour of their own; the others are grey and thin."""

ORACLE = "oracle"

MARKERS = "osD^vPX*"
"""Of the lines with a colour, for those who cannot tell the colours apart."""


def rival_rows(rows: Sequence[Row]) -> list[Row]:
    """The reference predictors that do not see the whole document or the answer, in the order of the rows."""
    return [row for row in rows if row["kind"] == "reference" and row["sees"] in ("context", "memory")]


def label_of(row: Row) -> str:
    """A row's name with its mark."""
    return str(row["name"]) + marks([row])[row["name"]]


def explained(caption: str, marked: Iterable[str]) -> str:
    """A caption, with the legend where one of the marks is there."""
    return f"{caption} {LEGEND}." if any(marked) else caption


@cache
def shipped() -> frozenset[str]:
    """Names of the recipes that the project has; others are the user's own."""
    defaults = json.loads(files("lvm_core.report").joinpath("default_params.json").read_text(encoding="utf-8"))
    return frozenset(key.split(".")[1] for key in defaults if key.startswith("recipes."))


def highlighted(rows: Sequence[Row], most: int = MOST) -> list[Row]:
    """The rows to be told apart: recipes of the user's own, the best others by R@5 on val, then the best rivals.

    At least three are rivals.
    """
    recall = {row["name"]: row["val_recall_at_5"] for row in rows}
    ranked = sorted(rows, key=lambda row: -recall[row["name"]] if is_defined(recall[row["name"]]) else 1.0)
    rivals = rival_rows(ranked)
    recipes = [row for row in ranked if row["kind"] == "recipe"]
    recipes.sort(key=lambda row: row["name"] in shipped())  # keeps the order among each
    recipes = recipes[: most - min(3, len(rivals))]
    return [*recipes, *rivals[: most - len(recipes)]]


def frontier_picture(
    rows: Sequence[Row], curves: Mapping[str, Sequence[Mapping[str, Any]]], figure: str, limits: Mapping[str, float]
) -> Picture | None:
    """The margin of every row against its cosine or R@5 on val, with the curves of the traced linear predictors.

    The oracle is outside: its figures stand in the corner. None where no row has both figures.
    """
    title = f"Margin against {TITLES[figure]} (val)"
    label = f"{title}: {len(rows)} predictors and the curves of traced linear predictors; the table has the values."
    both = [row for row in rows if is_defined(row[f"val_{figure}"]) and is_defined(row["val_margin"])]
    if not both:
        return None
    inside = [row for row in both if row["name"] != ORACLE] or both
    shown = highlighted(inside)
    with drawing(f"frontier-{figure.replace('_', '-')}", label, height=3.6) as done:
        axes, around, named = done.axes, [], []
        for dashes, (family, curve) in zip(("-", (0, (5, 2)), ":"), curves.items(), strict=False):
            line = [(p[figure], p["margin"]) for p in curve if is_defined(p[figure]) and is_defined(p["margin"])]
            if line:
                done.tell(axes.plot(*zip(*line, strict=True), linestyle=dashes, color=INK, linewidth=1.2)[0], family)
                around += line
                named.append((*max(line, key=lambda point: point[1]), family, INK))
        for row in sorted(inside, key=lambda row: row in shown):
            recipe, name = row["kind"] == "recipe", str(row["name"])
            point = float(row[f"val_{figure}"]), float(row["val_margin"])
            colour = (RECIPE if recipe else REFERENCE) if row in shown else REST
            (drawn,) = axes.plot(*point, "o" if recipe else "D", color=colour, markersize=5 if recipe else 4.4)
            done.tell(drawn, f"{name}: {TITLES[figure]} {number(point[0])}, margin {number(point[1])}")
            if row in shown:
                named.append((*point, label_of(row), RECIPE if recipe else MUTED))
            else:
                around.append(point)
        axes.margins(0.08)
        _shade_criteria(axes, figure, limits, [row for row in both if row["name"] == ORACLE])
        axes.set_xlabel(WORDS[figure])
        axes.set_ylabel(WORDS["margin"])
        unnamed = place_labels(axes, named, around=around)
    caption = (
        "Up and to the right is better. Circles: recipes, diamonds: references; those with the highest R@5 in colour, "
        "the others grey; lines: linear predictors."
    )
    if unnamed:
        caption += f" Without a name for want of room: {', '.join(unnamed)}; the table has all."
    return Picture(done.svg, title, explained(caption, marks(shown).values()))


def _shade_criteria(axes: Axes, figure: str, limits: Mapping[str, float], oracle: Sequence[Row]) -> None:
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    words = [f"oracle at {number(row[f'val_{figure}'])}, margin {number(row['val_margin'])} ↗" for row in oracle]
    if figure in limits and "margin" in limits:
        right, top = max(right, limits[figure] + 0.18), max(top, limits["margin"] + 0.1)
        axes.fill_between([limits[figure], right], limits["margin"], top, color=SHADE, linewidth=0, zorder=0)
        words.append("shaded: criteria of stage A")
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    for place, line in enumerate(words):
        axes.text(0.99, 1.02 + 0.05 * place, line, transform=axes.transAxes, ha="right", size=8.0, color=MUTED)


def profile_picture(rows: Sequence[Row]) -> Picture:
    """The mean cosine of the prediction with the chunk at each offset, on val."""
    shown = highlighted(rows, MOST - 1) + [row for row in rows if row["name"] == ORACLE]
    label = "Offset profiles on val: mean cosine of each prediction with the chunks from offset -4 to +4."
    with drawing("profile", label, height=3.6) as done:
        axes = done.axes
        axes.axvspan(0.5, 1.5, color=SHADE, linewidth=0, zorder=0)
        axes.text(1, 1.01, "next chunk", transform=axes.get_xaxis_transform(), ha="center", size=8.5, color=MUTED)
        axes.set_xticks(range(-4, 5), [f"{k:+d}".replace("-", MINUS).replace("+0", "0") for k in range(-4, 5)])
        lines = []
        for row in [*shown, *(row for row in rows if row not in shown)]:
            profile = {float(k): value for k, value in row["val"]["profile"].items() if is_defined(value)}
            lines.append((label_of(row), list(profile), list(profile.values())))
        axes.set_xlabel(
            f"offset of a chunk (0: last context chunk, +1: next chunk){_others(lines, len(shown), 'others')}"
        )
        axes.set_ylabel("mean cosine of the prediction\nwith the chunk at that offset")
        _draw_lines(done, lines, len(shown), "offset", [label_of(row) for row in shown if row["kind"] != "recipe"])
    caption = (
        "A predictor of the next chunk peaks in the shaded column; one that copies peaks at 0. Dashed: references."
    )
    return Picture(done.svg, "Offset profiles on val", explained(caption, marks(shown).values()))


def training_picture(training: pd.DataFrame, marked: Mapping[str, str], column: str, title: str, axis: str) -> Picture:
    """A dev figure of every recipe by epoch, with the borders of the phases; the first ones have a colour.

    `marked`: what stands behind each recipe's name (`marks`), in the order of the recipes.
    """
    label = f"{title}, of {len(marked)} recipes."
    with drawing(f"training-{column.replace('_', '-')}", label) as done:
        axes = done.axes
        lines = []
        for name, mark in marked.items():
            curve = training[training["name"].astype(str) == name].dropna(subset=[column])
            lines.append((name + mark, list(curve["epoch"]), list(curve[column])))
        axes.set_xlim(0.5, float(training["epoch"].max()) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        for border, left, right in phase_borders(training):
            axes.axvline(border, color=MUTED, linewidth=0.8, linestyle="--")
            text = f"{left.upper()} | {right.upper()}"
            axes.text(border, 1.01, text, transform=axes.get_xaxis_transform(), ha="center", size=8.5, color=MUTED)
        axes.set_xlabel(f"epoch (one pass over the windows of its phase){_others(lines, MOST, 'other recipes')}")
        axes.set_ylabel(WORDS.get(column.removeprefix("dev_"), axis))
        _draw_lines(done, lines, MOST, "epoch")
    caption = "Dashed: where a phase of the curriculum ends and the next begins."
    return Picture(done.svg, title, explained(caption, list(marked.values())[:MOST]))


Line = tuple[str, Sequence[float], Sequence[float]]
"""Name, places and heights."""


def _others(lines: Sequence[Line], most: int, word: str) -> str:
    """What the axis says of the lines that have no colour."""
    others = sum(len(x) > 0 for _, x, _ in lines[most:])
    return f"\ngrey: {others} {word}" if others else ""


def _draw_lines(done: Drawing, lines: Sequence[Line], most: int, unit: str, dashed: Sequence[str] = ()) -> None:
    """The first `most` lines with a colour, markers and their names at the ends; the others grey, thin and below."""
    ends = []
    for place, (name, x, y) in reversed([*enumerate(lines)]):
        if not len(x):
            continue
        style: dict[str, Any] = {"color": REST, "linewidth": 0.7}
        told: str | list[str] = name
        if place < most:
            style = {"color": SERIES[place], "linewidth": 1.4, "marker": MARKERS[place], "markersize": 3.4}
            style["linestyle"] = "--" if name in dashed else "-"
            told = [f"{name}, {unit} {at:g}: {number(it)}" for at, it in zip(x, y, strict=True) if is_defined(it)]
            ends.append((x[-1], y[-1], name, SERIES[place]))
        (drawn,) = done.axes.plot(x, y, **style)
        done.tell(drawn, told)
    if ends:
        label_ends(done.axes, ends)


def phase_borders(training: pd.DataFrame) -> list[tuple[float, str, str]]:
    """Where phases meet, halfway between two epochs: place, phase before, phase after; each once, in order."""
    borders = set()
    for _, curve in training.sort_values("epoch").groupby("name", sort=True):
        steps = list(zip(curve["epoch"], curve["phase"].astype(str), strict=True))
        for (before, left), (after, right) in pairwise(steps):
            if left != right:
                borders.add(((before + after) / 2, left, right))
    return sorted(borders)


def lag_picture(lags: pd.DataFrame, between: Mapping[str, float | None]) -> Picture:
    """Mean cosine of two chunks of an article against their distance, by split; dotted: different articles."""
    label = "Mean cosine of two chunks of an article against the distance between them, by split."
    with drawing("lags", label) as done:
        axes, ends = done.axes, []
        for colour, marker, (split, curve) in zip(SERIES, MARKERS, lags.groupby("name", sort=False), strict=False):
            x, y = list(curve["lag"]), list(curve["similarity"])
            (drawn,) = axes.plot(x, y, f"{marker}-", markersize=3, linewidth=1.4, color=colour)
            pairs = [(at, value) for at, value in zip(x, y, strict=True) if is_defined(value)]
            done.tell(drawn, [f"{split}, {at:g} apart: {number(value)}" for at, value in pairs])
            ends += [(*pairs[-1], str(split), colour)] if pairs else []
            level = between.get(str(split))
            if is_defined(level) and pairs:
                axes.axhline(level, color=colour, linestyle=":", linewidth=1)
                ends.append((pairs[-1][0], level, str(split), colour))
        axes.set_xlabel("distance between the two chunks, in chunks\ndotted: two chunks of different articles")
        axes.set_ylabel("mean cosine of two chunks of an article")
        axes.set_ylim(bottom=min(0.0, float(lags["similarity"].min())))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        label_ends(axes, ends)
    return Picture(done.svg, "How fast similarity falls within an article", "Dotted: chunks of different articles.")
