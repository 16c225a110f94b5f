"""Every picture of the pipeline, as SVG with the same bytes for the same data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lvm_core.runtime.files import atomic_path

mpl.use("Agg")

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "lvm",  # otherwise every run draws new random ids
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
}

RECIPE, REFERENCE = "#c2410c", "#64748b"

# Okabe and Ito's palette: told apart by colour-blind readers too.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")


@contextmanager
def drawing(path: str | Path, width: float, height: float, columns: int = 1) -> Iterator[tuple[Figure, list[Axes]]]:
    """Yield a figure and its axes in our style; written to `path` at the end (inches; no date in the file)."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, columns, figsize=(width, height), layout="constrained", squeeze=False)
        yield figure, list(axes[0])
        with atomic_path(path) as temporary:
            kind = Path(path).suffix[1:]
            figure.savefig(temporary, format=kind, metadata={"Date": None} if kind == "svg" else None)
        plt.close(figure)


def lag_similarity_figure(curve: pd.DataFrame, between: Mapping[str, float | None], path: str | Path) -> None:
    """Mean cosine of two chunks of an article against their distance, one line a split.

    Args:
        curve: columns `name` (the split), `lag`, `similarity`.
        between: mean cosine of chunks of different articles by split (a dotted line), None where undefined.
        path: picture to write.
    """
    with drawing(path, 6.4, 3.6) as (_, (axes,)):
        for colour, (split, lines) in zip(PALETTE, curve.groupby("name", sort=False), strict=False):
            axes.plot(lines["lag"], lines["similarity"], "o-", color=colour, markersize=3, label=str(split))
            level = between[str(split)]
            if level is not None:
                axes.axhline(level, color=colour, linestyle=":", linewidth=1)
        axes.set_xlabel("distance between the two chunks (lag)")
        axes.set_ylabel("mean cosine")
        axes.set_title("How fast similarity falls within an article (dotted: different articles)", loc="left")
        axes.set_ylim(bottom=min(0.0, float(curve["similarity"].min())))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()


def comparison_figure(rows: Sequence[Mapping[str, Any]], path: str | Path) -> None:
    """Masked R@5 and cosine of every row with intervals, val filled and ood hollow, in the order given.

    Args:
        rows: of the comparison table: `name`, `kind`, `val_recall_at_5`, `val_recall_at_5_lo`, ... (None: undefined).
        path: picture to write.
    """
    panels = (("recall_at_5", "masked R@5 in the article"), ("cosine", "cosine with the next chunk"))
    with drawing(path, 9.0, 0.9 + 0.28 * len(rows), columns=2) as (_, axes):
        for ax, (measure, title) in zip(axes, panels, strict=True):
            for place, row in enumerate(rows):
                colour = RECIPE if row["kind"] == "recipe" else REFERENCE
                for split, fill in (("ood", "none"), ("val", colour)):
                    value = row[f"{split}_{measure}"]
                    if value is not None:
                        ends = [row[f"{split}_{measure}_{end}"] for end in ("lo", "hi")]
                        if None not in ends:
                            ax.plot(ends, [place, place], color=colour, linewidth=1.5 if split == "val" else 0.8)
                        ax.plot(value, place, "o", markeredgecolor=colour, markerfacecolor=fill, markersize=6)
            ax.set_yticks(range(len(rows)), [str(row["name"]) for row in rows])
            ax.invert_yaxis()
            ax.set_xlim(left=min(-0.03, ax.get_xlim()[0]))
            ax.set_title(title, loc="left")
            for label, row in zip(ax.get_yticklabels(), rows, strict=True):
                label.set_color(RECIPE if row["kind"] == "recipe" else REFERENCE)
                label.set_fontweight("bold" if row["kind"] == "recipe" else "normal")
        axes[1].tick_params(labelleft=False)
        axes[0].set_xlabel("filled: val, hollow: ood; line: 95 % interval; recipes orange, reference predictors grey")


def offset_profile_figure(profiles: Mapping[str, pd.Series], path: str | Path) -> None:
    """Mean cosine of the prediction with the chunk at each offset; +1 is the next chunk, 0 the last context.

    Args:
        profiles: by name, cosines indexed by offset k (NaN where undefined); recipes first.
        path: picture to write.
    """
    with drawing(path, 7.2, 3.8) as (_, (axes,)):
        axes.axvspan(0.5, 1.5, color="#fde68a", alpha=0.5, linewidth=0)
        for index, (name, profile) in enumerate(profiles.items()):
            colour = PALETTE[index % len(PALETTE)]
            axes.plot(profile.index, profile.to_numpy(), "o-", markersize=3, color=colour, label=name)
        axes.set_xlabel("offset k (0: last context chunk, +1: the next chunk, which is to be predicted)")
        axes.set_ylabel("mean cosine with the prediction")
        axes.set_title("Offset profile on val", loc="left")
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
