"""The picture of every row with its intervals."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from lvm_core.report.drawing import BASELINE, MUTED, RECIPE, REFERENCE, Drawing, Picture, drawing, shortened
from lvm_core.report.numbers import is_defined, marks, number, with_interval
from lvm_core.report.pictures import ORACLE, TITLES, WORDS, Row, explained, label_of, rival_rows


def ranking_picture(
    rows: Sequence[Row], figures: Sequence[str] = ("recall_at_5",), chance: float | None = None
) -> Picture:
    """Figures of every row with their intervals, a panel each, val filled and ood hollow, against the best rival's.

    `chance`: that of R@5 on val.

    The oracle's figures are written at the edge: an axis that reached them would leave the others no room.
    """
    titles = " and ".join(TITLES[figure] for figure in figures)
    label = f"{titles} with 95 % intervals. " + "; ".join(
        f"{row['name']} {number(row['val_recall_at_5'])}" for row in rows if is_defined(row["val_recall_at_5"])
    )
    size = {"width": max(4.8, 4.0 * len(figures)), "height": 1.0 + 0.2 * len(rows)}
    with drawing("ranking", label, columns=len(figures), **size) as done:
        for axes, figure in zip(done.panels, figures, strict=True):
            _draw_rows(done, axes, rows, figure)
            axes.set_xlim(left=min(0.0, axes.get_xlim()[0]) if figure == "cosine" else 0.0)
            axes.set_ylim(len(rows) - 0.4, -0.6)
            _draw_best_rivals(axes, rows, f"val_{figure}")
            axes.set_yticks(range(len(rows)), [shortened(label_of(row)) for row in rows], size=8.5)
            for tick, row in zip(axes.get_yticklabels(), rows, strict=True):
                recipe = row["kind"] == "recipe"
                tick.set(color=RECIPE if recipe else MUTED, fontweight="bold" if recipe else "normal")
            axes.tick_params(labelleft=axes is done.axes)
            axes.grid(axis="y", visible=False)
            legend = "● val, ○ ood, lines: 95 % intervals"
            if figure == "recall_at_5" and is_defined(chance):
                axes.axvline(chance, color=MUTED, linewidth=0.8, linestyle=(0, (1, 3)), zorder=0)
                legend += f"\ngrey dots: chance on val, {number(chance)}"
            axes.set_xlabel(f"{WORDS[figure]}\n{legend}")
    caption = (
        "Filled: val, hollow: ood; lines: 95 % intervals; orange circles: recipes, grey diamonds: references. A recipe "
        "is worth something when it lies to the right of the best reference on val that sees as much: of those that "
        "see the context alone (dashed line), or what was read of the document too (dotted)."
    )
    return Picture(done.svg, "R@5 of every recipe and reference", explained(caption, marks(rows).values()))


def _draw_rows(done: Drawing, axes: Axes, rows: Sequence[Row], figure: str) -> None:
    for split, shift, size, width in (("ood", 0.2, 3.6, 0.8), ("val", -0.12, 4.6, 1.6)):
        for kind, colour, marker in (("reference", REFERENCE, "D"), ("recipe", RECIPE, "o")):
            values, heights, ends, gaps, told = [], [], [], [], []
            for place, row in enumerate(rows):
                value, low, high = (row.get(f"{split}_{figure}{end}") for end in ("", "_lo", "_hi"))
                if row["kind"] != kind or row["name"] == ORACLE or not is_defined(value):
                    continue
                values.append(value)
                heights.append(place + shift)
                told.append(f"{row['name']}, {split}: {with_interval(value, low, high)}")
                if is_defined(low) and is_defined(high):
                    ends += [low, high, float("nan")]
                    gaps += [heights[-1]] * 3
            axes.plot(ends, gaps, color=colour, linewidth=width)  # one line with gaps
            fill = colour if split == "val" else "none"
            (drawn,) = axes.plot(values, heights, marker, color=colour, markerfacecolor=fill, markersize=size)
            done.tell(drawn, told)
    for place, row in enumerate(rows):
        found = [f"{split} {number(row[f'{split}_{figure}'])}" for split in ("val", "ood")]
        if row["name"] == ORACLE:
            text = f"{', '.join(found)} →"
            where = axes.get_yaxis_transform()
            axes.text(0.01, place, text, transform=where, va="center", size=8, color=MUTED)


def _draw_best_rivals(axes: Axes, rows: Sequence[Row], figure: str) -> None:
    """The best reference of those that see the context alone, and of those that see what was read too."""
    drawn = []
    for place, (seen, style) in enumerate({("context",): "--", ("context", "memory"): ":"}.items()):
        rivals = [row for row in rival_rows(rows) if row["sees"] in seen and is_defined(row[figure])]
        best = max(rivals, key=lambda row: row[figure], default=None)
        if best is None or best["name"] in drawn:
            continue
        drawn.append(best["name"])
        axes.axvline(best[figure], color=BASELINE, linewidth=1.1, linestyle=style, zorder=1)
        text = f"best that sees {seen[-1]}: {shortened(str(best['name']))} {number(best[figure])}"
        side = "right" if best[figure] > sum(axes.get_xlim()) / 2 else "left"
        height = 1.005 + 0.8 * place / max(len(rows), 1)  # above the first, a row higher
        where = axes.get_xaxis_transform()
        axes.text(best[figure], height, text, transform=where, ha=side, size=8.5, color=BASELINE)
