"""Pictures as SVG: in the page their colours follow its own, their ids are theirs alone; in a file they are light."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lvm_core.runtime.files import write_text

mpl.use("Agg")

STYLESHEET = files("lvm_core.report").joinpath("report.css").read_text(encoding="utf-8")

# Colours that no picture would use stand for the page's; `_as_variables` puts the page's variables in their place.
INK, MUTED, GRID, SHADE = "#010101", "#010102", "#010103", "#010104"
RECIPE, REFERENCE, BASELINE, REST = "#010105", "#010106", "#010107", "#010108"
SERIES = tuple(f"#0102{index:02x}" for index in range(1, 9))
"""Colours of lines that are told apart, best first."""
VARIABLES = {
    INK: "--ink", MUTED: "--muted", GRID: "--grid", SHADE: "--shade",
    RECIPE: "--recipe", REFERENCE: "--reference", BASELINE: "--baseline", REST: "--rest",
    **{colour: f"--series-{index}" for index, colour in enumerate(SERIES, start=1)},
}  # fmt: skip
"""The page's variable for each of our colours."""

PIXELS = 1.65
"""Largest size of a picture on the screen, pixels a point; on a phone it shrinks to the width of the page."""

_STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's font
    "text.parse_math": False,  # a recipe may be called $x$
    "font.size": 10.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 11.0,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "grid.color": GRID,
}


@dataclass(frozen=True)
class Picture:
    """A picture of the page."""

    svg: str
    """The element, to be put into the page as it is."""
    title: str
    caption: str


class Drawing:
    """A figure being drawn, with its panels; `svg` is there when the `with` block of `drawing` has ended."""

    def __init__(self, figure: Figure, panels: list[Axes]) -> None:
        self.figure, self.panels, self.axes, self.svg = figure, panels, panels[0], ""


@contextmanager
def drawing(key: str, label: str, width: float = 4.6, height: float = 3.4, columns: int = 1) -> Iterator[Drawing]:
    """Yield a drawing in the page's style; the same bytes for the same data.

    Args:
        key: prefix of its ids.
        label: what a reader who cannot see it is told.
        width: of all panels together, inches.
        height: likewise.
        columns: number of panels, side by side.
    """
    with plt.rc_context(_STYLE | {"svg.hashsalt": f"lvm-{key}"}):
        figure, axes = plt.subplots(1, columns, figsize=(width, height), layout="constrained", squeeze=False)
        done = Drawing(figure, list(axes[0]))
        try:
            yield done
            raw = io.StringIO()
            figure.savefig(raw, format="svg", metadata={"Date": None})
        finally:
            plt.close(figure)
    done.svg = inline_svg(raw.getvalue(), key, label)


def write_svg(path: str | Path, svg: str) -> None:
    """Write a drawing as a file that stands alone, in the page's light colours on white."""
    light = dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6})", STYLESHEET.partition("}")[0]))
    text = re.sub(r"var\((--[\w-]+)\)", lambda found: light[found[1]], svg)
    head, _, rest = text.partition(">")
    head = head.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif"', 1)
    write_text(path, f'{head}><rect width="100%" height="100%" fill="#ffffff"/>{rest}\n')


def inline_svg(text: str, key: str, label: str) -> str:
    """An SVG file's text as an element for an HTML page."""
    root = ElementTree.fromstring(text)
    for parent in list(root.iter()):
        # Dates and addresses; and rules of style that would hold for the whole page.
        for child in [child for child in parent if child.tag.endswith(("}metadata", "}style"))]:
            parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # an HTML page needs no namespaces
        attributes = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
        element.attrib.clear()
        element.attrib.update({name: _attribute(name, value, key) for name, value in attributes.items()})
    width, height = (float(root.attrib.pop(side).removesuffix("pt")) for side in ("width", "height"))
    root.attrib.pop("version", None)
    root.set("role", "img")
    root.set("aria-label", label)
    root.set("style", f"max-width:{width * PIXELS:.0f}px")
    root.set("viewBox", f"0 0 {width:g} {height:g}")
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=False)


def _attribute(name: str, value: str, key: str) -> str:
    if name == "id":
        return f"{key}-{value}"
    if name == "href":
        return value.replace("#", f"#{key}-", 1)
    if name == "clip-path":
        return value.replace("url(#", f"url(#{key}-", 1)
    if name == "style":
        value = re.sub(r"font:([^;]*?)([\d.]+px)[^;]*", _font, value)
        return re.sub(r"#[0-9a-f]{6}", lambda found: _as_variable(found[0]), value)
    return value


def _font(found: re.Match[str]) -> str:
    weight = found[1].strip()
    return f"font-size:{found[2]}" + (f";font-weight:{weight}" if weight else "")


def _as_variable(colour: str) -> str:
    return f"var({VARIABLES[colour]})" if colour in VARIABLES else colour
