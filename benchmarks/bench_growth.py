"""How time and memory grow with the number of windows: each step in a fresh process, on banks made of noise."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, NullFormatter

from benchmarks.published_size import ARTICLE, write_vectors
from benchmarks.report import Line, for_information
from benchmarks.subprocesses import run_fresh
from lvm_core.bank import BankInfo, content_sha256
from lvm_core.report.drawing import SERIES, drawing, label_ends, write_svg
from lvm_core.runtime.files import write_csv, write_parquet

SIZES = (10_000, 100_000, 1_000_000)
DIMENSION = 384
DEV_ARTICLES = 2

OPEN = """
import time
from benchmarks.growth_steps import *
bank = load_bank({bank!r})
start = time.perf_counter()
{step}(bank)
print(time.perf_counter() - start)
"""
STEPS = {"score": "score", "curriculum": "curriculum", "one epoch": "epoch", "evaluation": "evaluation"}


@dataclass(frozen=True)
class Point:
    """One step at one size: seconds without the start of the process, and its peak memory with it."""

    what: str
    windows: int
    seconds: float
    peak_mb: float


def measure(quick: bool) -> Iterator[Line]:
    """A line for each step; a full run also writes plots/growth.csv and plots/growth.svg."""
    sizes = (2_000, 4_000) if quick else SIZES
    points: list[Point] = []
    for windows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            write_bank(Path(folder), windows)
            for what, step in STEPS.items():
                ran = run_fresh(OPEN.format(bank=folder, step=step), threads=1)
                points.append(Point(what, windows, float(ran.output.split()[-1]), ran.peak_mb))
    if not quick:
        draw(Path("plots"), points)
    for what in STEPS:
        *_, before, last = [point for point in points if point.what == what]
        yield for_information(
            f"growth of {what}: {before.windows:,} to {last.windows:,} windows",
            last.seconds / before.seconds / (last.windows / before.windows),
            "time of the larger bank over that of the smaller one, over the ratio of their sizes (1: linear)",
            f"{last.seconds:.1f} s and {last.peak_mb:,.0f} MB, {before.seconds:.1f} s and {before.peak_mb:,.0f} MB",
        )


def write_bank(folder: Path, windows: int, dimension: int = DIMENSION) -> None:
    """A bank with so many training windows and two articles of `dev`, its vectors never in memory as a whole."""
    articles = -(-windows // (ARTICLE - 5)) + DEV_ARTICLES
    chunks = articles * ARTICLE
    write_vectors(folder / "vectors.npy", chunks, dimension, "float32")
    names = [f"a{number:06d}" for number in range(articles)]
    table = {"article_id": names, "title": names, "source": "noise", "split": "train"}
    frame = pd.DataFrame(table | {"first_row": np.arange(articles) * ARTICLE, "n_chunks": ARTICLE})
    frame.loc[articles - DEV_ARTICLES :, "split"] = "dev"
    write_parquet(folder / "articles.parquet", frame)
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    BankInfo("noise", "", "fp32", [], dimension, chunks, content_sha256(vectors)).write(folder)


def draw(folder: Path, points: list[Point]) -> None:
    """Write growth.csv, and growth.svg: both against the number of windows, on logarithmic axes."""
    table = pd.DataFrame([asdict(point) for point in points])
    write_csv(folder / "growth.csv", table)
    with drawing("growth", "Seconds and memory of each step by the number of windows", 8.0, 3.6, columns=2) as done:
        axes = zip(done.panels, ("seconds", "peak_mb"), ("seconds", "peak memory of the process, MB"), strict=True)
        for panel, column, label in axes:
            ends = []
            # Each line is thinner than the one below it, so that both are seen where they coincide.
            styles = zip(SERIES, "osD^", (4.0, 1.4, 1.4, 1.4), ("-", "--", "-.", ":"), strict=False)
            parts = table.groupby("what", sort=False)
            for (what, part), (colour, marker, width, dashes) in zip(parts, styles, strict=False):
                x, y = list(part["windows"]), list(part[column])
                (drawn,) = panel.plot(
                    x, y, color=colour, marker=marker, markersize=3 + width, linewidth=width, linestyle=dashes
                )
                unit = label.rpartition(" ")[2]
                told = zip(x, y, strict=True)
                done.tell(drawn, [f"{what}, {at:,} windows: {value:,.6g} {unit}" for at, value in told])
                ends.append((x[-1], y[-1], str(what), colour))
            panel.set(xscale="log", yscale="log", xlabel="training windows", ylabel=label)
            if max(table[column]) < 100 * min(table[column]):
                panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            for axis in (panel.xaxis, panel.yaxis):
                axis.set_major_formatter("{x:,.10g}")
                axis.set_minor_formatter(NullFormatter())
            label_ends(panel, ends)
    write_svg(folder / "growth.svg", done.svg)
