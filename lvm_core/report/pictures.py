"""Every picture of the page and of plots/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from lvm_core.report.drawing import (
    BASELINE,
    GRID,
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
)
from lvm_core.report.numbers import is_defined, number

PLACES = ((6, -3), (-6, -3), (0, 6), (0, -12), (6, 5), (-6, 5), (6, -11), (-6, -11))
"""Shifts of a name from its point, in points of print; right and left of it come first."""


def place_labels(axes: Axes, points: Sequence[tuple[float, float, str, str]], size: float = 9.0) -> list[str]:
    """Write names beside their points where there is room, none over another; the first ones choose first.

    Returns: those that found no place.
    """
    figure = axes.get_figure()
    assert figure is not None
    figure.canvas.draw()  # settles the layout, so that places on the paper are known
    scale = figure.dpi / 72
    frame = axes.get_window_extent()
    corners = [axes.transData.transform((x, y)) for x, y, _, _ in points]
    taken = [Bbox.from_bounds(x - 4 * scale, y - 4 * scale, 8 * scale, 8 * scale) for x, y in corners]
    left_out = []
    for index, (x, y, name, colour) in enumerate(points):
        others = taken[:index] + taken[index + 1 :]
        for right, up in PLACES:
            align = "left" if right > 0 else "right" if right < 0 else "center"
            text = axes.annotate(
                name, (x, y), (right, up), textcoords="offset points", ha=align, va="baseline", size=size, color=colour
            )
            box = text.get_window_extent()
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            if inside and not any(box.overlaps(other) for other in others):
                taken.append(box)
                break
            text.remove()
        else:
            left_out.append(name)
    return left_out


Row = Mapping[str, Any]

PROFILED = {"oracle": ":", "copy_last": "--", "context_mean": "-.", "ridge": (0, (6, 2, 1, 2, 1, 2))}
"""References of the offset profiles and their dashes."""

AXES_TITLES = {"cosine": "cosine with the next chunk", "recall_at_5": "R@5"}


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name: the first ones are told apart, the others share one."""
    return {name: SERIES[place] if place < len(SERIES) else REST for place, name in enumerate(names)}


def ranking_picture(rows: Sequence[Row], figures: Sequence[str] = ("recall_at_5",)) -> Picture:
    """Figures of every row with their intervals, a panel each, val filled and ood hollow, against copy_last's."""
    baseline: Row = next((row for row in rows if row["name"] == "copy_last"), {})
    titles = " and ".join(AXES_TITLES[figure] for figure in figures)
    label = f"{titles} with 95 % intervals. " + "; ".join(
        f"{row['name']} {number(row['val_recall_at_5'])}" for row in rows if is_defined(row["val_recall_at_5"])
    )
    size = {"width": 4.6 * len(figures), "height": 1.0 + 0.27 * len(rows)}
    with drawing("ranking", label, columns=len(figures), **size) as done:
        for axes, figure in zip(done.panels, figures, strict=True):
            if is_defined(baseline.get(f"val_{figure}")):
                axes.axvline(baseline[f"val_{figure}"], color=BASELINE, linewidth=1.2, linestyle="--")
            for place, row in enumerate(rows):
                colour = RECIPE if row["kind"] == "recipe" else REFERENCE
                for split, shift, fill in (("ood", 0.17, "none"), ("val", -0.08, colour)):
                    _with_interval(axes, row, f"{split}_{figure}", place + shift, colour, fill)
            axes.set_yticks(range(len(rows)), [str(row["name"]) for row in rows])
            for tick, row in zip(axes.get_yticklabels(), rows, strict=True):
                recipe = row["kind"] == "recipe"
                tick.set(color=RECIPE if recipe else MUTED, fontweight="bold" if recipe else "normal")
            axes.tick_params(labelleft=axes is done.axes)
            axes.set_ylim(len(rows) - 0.4, -0.6)
            axes.set_xlim(left=min(0.0, axes.get_xlim()[0]) if figure == "cosine" else 0.0)
            axes.grid(axis="y", visible=False)
            axes.set_xlabel(f"{AXES_TITLES[figure]} (dashed: copy_last on val)")
    caption = (
        "Filled: val, hollow: ood; lines: 95 % intervals; orange: recipes, grey: reference predictors. A recipe is "
        "worth something when it lies to the right of the dashed line."
    )
    return Picture(done.svg, "R@5 of every recipe and reference", caption)


def _with_interval(axes: Axes, row: Row, figure: str, height: float, colour: str, fill: str) -> None:
    value, low, high = (row.get(f"{figure}{end}") for end in ("", "_lo", "_hi"))
    if not is_defined(value):
        return
    if is_defined(low) and is_defined(high):
        axes.plot([low, high], [height, height], color=colour, linewidth=1.8 if fill == colour else 0.9)
    axes.plot(value, height, "o", markeredgecolor=colour, markerfacecolor=fill, markersize=5 if fill == colour else 4)


def frontier_picture(
    rows: Sequence[Row], curves: Mapping[str, Sequence[Mapping[str, Any]]], figure: str, limits: Mapping[str, float]
) -> Picture | None:
    """The margin of every row against its cosine or R@5 on val, with the curves of the traced linear predictors.

    None where no row has both figures.
    """
    title = f"Margin against {'cosine' if figure == 'cosine' else 'R@5'} (val)"
    label = f"{title}: {len(rows)} predictors and the curves of traced linear predictors; the table has the values."
    found = [
        (float(row[f"val_{figure}"]), float(row["val_margin"]), str(row["name"]), row["kind"])
        for row in sorted(rows, key=lambda row: row["kind"] != "recipe")
        if is_defined(row[f"val_{figure}"]) and is_defined(row["val_margin"])
    ]
    if not found:
        return None
    with drawing(f"frontier-{figure.replace('_', '-')}", label, height=4.1) as done:
        axes = done.axes
        for dashes, (family, curve) in zip(("-", (0, (5, 2)), ":"), curves.items(), strict=False):
            line = [(p[figure], p["margin"]) for p in curve if is_defined(p[figure]) and is_defined(p["margin"])]
            if line:
                axes.plot(*zip(*line, strict=True), linestyle=dashes, color=INK, linewidth=1.4, label=family)
        for kind, colour in (("reference", REFERENCE), ("recipe", RECIPE)):
            places = [point[:2] for point in found if point[3] == kind]
            if places:
                axes.plot(*zip(*places, strict=True), "o", color=colour, markersize=5, label=f"{kind}s")
        axes.margins(0.08)
        _shade_criteria(axes, figure, limits)
        axes.set_xlabel(AXES_TITLES[figure])
        axes.set_ylabel("margin")
        named = [(x, y, name, RECIPE if kind == "recipe" else MUTED) for x, y, name, kind in found]
        done.figure.legend(loc="outside lower center", ncols=2, fontsize=9)
        unnamed = place_labels(axes, named)
    caption = "Shaded: where the summary's stage-A criteria lie. Up and to the right is better."
    if unnamed:
        which = f"{len(unnamed)} points" if len(unnamed) > 4 else ", ".join(unnamed)
        caption += f" Without a name for want of room: {which}; the table has all."
    return Picture(done.svg, title, caption)


def _shade_criteria(axes: Axes, figure: str, limits: Mapping[str, float]) -> None:
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    if figure in limits and "margin" in limits:
        right, top = max(right, limits[figure] + 0.1), max(top, limits["margin"] + 0.1)
        axes.fill_between(
            [limits[figure], right], limits["margin"], top, color=SHADE, linewidth=0, label="stage-A criteria", zorder=0
        )
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def profile_picture(rows: Sequence[Row]) -> Picture:
    """The mean cosine of the prediction with the chunk at each offset, on val."""
    recipes = [row for row in rows if row["kind"] == "recipe"]
    paint = colours([str(row["name"]) for row in recipes])
    label = "Offset profiles on val: mean cosine of each prediction with the chunks from offset -4 to +4."
    with drawing("profile", label, height=3.7 + 0.08 * min(len(recipes), 8)) as done:
        axes = done.axes
        axes.axvspan(0.5, 1.5, color=SHADE, linewidth=0, zorder=0)
        for row in [row for row in rows if row["name"] in PROFILED] + recipes[::-1]:
            profile = {int(k): value for k, value in row["val"]["profile"].items() if is_defined(value)}
            name, recipe = str(row["name"]), row["kind"] == "recipe"
            axes.plot(
                list(profile), list(profile.values()), marker="o", markersize=3, label=name,
                color=paint[name] if recipe else REFERENCE, linestyle="-" if recipe else PROFILED[name],
                linewidth=1.6 if recipe else 1.1,
            )  # fmt: skip
        axes.set_xticks(range(-4, 5), [f"{k:+d}".replace("-", "−").replace("+0", "0") for k in range(-4, 5)])
        axes.set_xlabel("offset k (0: last context, +1: next chunk)")
        axes.set_ylabel("mean cosine with the prediction")
        _legend(done, [str(row["name"]) for row in recipes])
    caption = (
        "A predictor of the next chunk peaks in the shaded column; one that copies peaks at 0. Dashed: references."
    )
    return Picture(done.svg, "Offset profiles on val", caption)


def _legend(done: Drawing, recipes: Sequence[str]) -> None:
    """A legend below: recipes with a colour of their own, then one entry for the others, then the references."""
    handles, names = done.axes.get_legend_handles_labels()
    found = dict(zip(names, handles, strict=True))
    shown = [name for name in recipes[: len(SERIES)] if name in found]
    entries = [(found[name], name) for name in shown]
    rest = [name for name in recipes[len(SERIES) :] if name in found]
    if rest:
        entries.append((found[rest[0]], f"{len(rest)} other recipes"))
    entries += [(found[name], name) for name in names if name not in recipes]
    if entries:
        done.figure.legend(*zip(*entries, strict=True), loc="outside lower center", ncols=3, fontsize=9)


def training_picture(training: pd.DataFrame, names: Sequence[str], column: str, title: str, axis: str) -> Picture:
    """A dev figure of every recipe by epoch, with the borders of the phases."""
    paint = colours(names)
    label = f"{title}, of {len(names)} recipes."
    with drawing(f"training-{column.replace('_', '-')}", label, height=3.3 + 0.08 * min(len(names), 8)) as done:
        axes = done.axes
        for name in reversed(names):
            curve = training[training["name"].astype(str) == name].dropna(subset=[column])
            axes.plot(curve["epoch"], curve[column], "o-", markersize=2.5, color=paint[name], label=name)
        axes.set_xlabel("epoch")
        axes.set_ylabel(axis)
        axes.set_xlim(0.5, float(training["epoch"].max()) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        for border, left, right in phase_borders(training):
            axes.axvline(border, color=MUTED, linewidth=0.9, linestyle="--")
            text = f"{left.upper()} | {right.upper()}"
            axes.text(border, 1.01, text, transform=axes.get_xaxis_transform(), ha="center", size=9, color=MUTED)
        _legend(done, names)
    return Picture(done.svg, title, "Dashed: where a phase of the curriculum ends and the next begins.")


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
    with drawing("lags", label, height=3.4) as done:
        for colour, (split, curve) in zip(SERIES, lags.groupby("name", sort=False), strict=False):
            done.axes.plot(curve["lag"], curve["similarity"], "o-", markersize=3, color=colour, label=str(split))
            level = between.get(str(split))
            if is_defined(level):
                done.axes.axhline(level, color=colour, linestyle=":", linewidth=1)
        done.axes.set_xlabel("distance between the two chunks")
        done.axes.set_ylabel("mean cosine")
        done.axes.set_ylim(bottom=min(0.0, float(lags["similarity"].min())))
        done.axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        done.axes.grid(color=GRID)
        done.figure.legend(loc="outside lower center", ncols=3, fontsize=9)
    return Picture(done.svg, "How fast similarity falls within an article", "Dotted: different articles.")
