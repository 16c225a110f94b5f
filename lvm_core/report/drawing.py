"""Pictures as SVG, light and dark: in the page their colours follow its own; a file that stands alone has both."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from scipy.optimize import isotonic_regression

from lvm_core.report.numbers import MARK, is_defined
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

FILE_PIXELS = 800
"""Width of a picture in a file where nothing says another."""

_STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.6,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.major.pad": 7.5,  # the labels of both axes meet in the corner
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's font
    "text.parse_math": False,  # a recipe may be called $x$
    "font.size": 9.0,
    "axes.labelsize": 9.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
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
        self.told: dict[str, str | Sequence[str]] = {}

    def tell(self, artist: Artist, words: str | Sequence[str]) -> None:
        """What a pointer over it shows: of the whole, or of each of its markers in their order."""
        gid = f"told{len(self.told)}"
        artist.set_gid(gid)
        self.told[gid] = words


@contextmanager
def drawing(key: str, label: str, width: float = 4.8, height: float = 3.2, columns: int = 1) -> Iterator[Drawing]:
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
    done.svg = inline_svg(raw.getvalue(), key, label, done.told)


def label_ends(axes: Axes, ends: Sequence[tuple[float, float, str, str]], size: float = 8.5) -> None:
    """Write the names of lines right of the axes, each as near to the end of its line as there is room.

    Args:
        axes: with their final limits.
        ends: place, height, name and colour of each.
        size: of the text, points.
    """
    figure = axes.get_figure()
    assert figure is not None
    figure.canvas.draw()  # settles the layout; what is written on the right takes from the width only
    ends = sorted((end for end in ends if is_defined(end[1])), key=lambda end: end[1])
    if not ends:
        return
    lowest = 1.35 * size * figure.dpi / 72 / axes.get_window_extent().height * np.arange(len(ends))
    wanted = axes.transAxes.inverted().transform(axes.transData.transform([end[:2] for end in ends]))[:, 1]
    heights = isotonic_regression(wanted - lowest).x.clip(0, max(0.0, 1 - lowest[-1])) + lowest
    for (x, y, name, colour), height in zip(ends, heights, strict=True):
        leader = {"arrowstyle": "-", "color": colour, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 2, "relpos": (0, 0.5)}
        axes.annotate(
            shortened(name), (x, y), (1.04, height), textcoords="axes fraction", va="center", size=size, color=colour,
            arrowprops=leader, annotation_clip=False,
        )  # fmt: skip


NEAR = ((6, -3), (-6, -3), (0, 6), (0, -12), (6, 5), (-6, 5), (6, -11), (-6, -11))
"""Shifts of a name from its point, in points of print; right and left of it come first."""
FAR = ((14, 10), (-14, 10), (14, -17), (-14, -17), (22, 22), (-22, 22), (22, -29), (-22, -29))
"""Likewise, with a line to the point."""


def place_labels(
    axes: Axes,
    points: Sequence[tuple[float, float, str, str]],
    size: float = 8.5,
    around: Sequence[tuple[float, float]] = (),
) -> list[str]:
    """Write names beside their points where there is room, none over another; the first ones choose first.

    Args:
        axes: with their final limits.
        points: place, height, name and colour of each.
        size: of the text, points of print.
        around: other points that no name covers.

    Returns: those that found no place.
    """
    figure = axes.get_figure()
    assert figure is not None
    figure.canvas.draw()  # settles the layout, so that places on the paper are known
    scale = figure.dpi / 72
    frame = axes.get_window_extent()
    taken = []
    for reach, marks in ((4 * scale, points), (2 * scale, around)):
        for mark in marks:
            x, y = axes.transData.transform(mark[:2])
            taken.append(Bbox.from_bounds(x - reach, y - reach, 2 * reach, 2 * reach))
    left_out = []
    for index, (x, y, name, colour) in enumerate(points):
        others = taken[:index] + taken[index + 1 :]
        for right, up in NEAR + FAR:
            align = "left" if right > 0 else "right" if right < 0 else "center"
            text = axes.annotate(
                shortened(name), (x, y), (right, up), textcoords="offset points", ha=align, va="baseline", size=size,
                color=colour,
            )  # fmt: skip
            box = text.get_window_extent()
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            if inside and not any(box.overlaps(other) for other in others):
                taken.append(box)
                if (right, up) in FAR:
                    side = box.x0 if right > 0 else box.x1, (box.y0 + box.y1) / 2
                    end = axes.transData.inverted().transform(side)
                    axes.plot((x, end[0]), (y, end[1]), color=colour, linewidth=0.5, scalex=False, scaley=False)
                break
            text.remove()
        else:
            left_out.append(name)
    return left_out


def shortened(label: str, most: int = 18) -> str:
    """A name as it stands in a picture; its mark stays."""
    name = label.removesuffix(f" {MARK}")
    return (name if len(name) <= most else f"{name[: most - 1]}…") + label[len(name) :]


def write_svg(path: str | Path, svg: str) -> None:
    """Write a drawing as a file that stands alone, in the page's colours, light or dark as the reader's screen is."""
    light, dark = (
        dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6})", STYLESHEET.partition(start)[2].partition("}")[0]))
        for start in (":root", "(prefers-color-scheme: dark)")
    )
    # Not every program that shows pictures knows variables: attributes say the light colours, which rules set aside.
    names = [name for name in VARIABLES.values() if f'"var({name})"' in svg]
    rules = [
        f'[{what}="{light[name]}"]{{{what}:{dark[name]}}}' for name in ("--page", *names) for what in ("fill", "stroke")
    ]
    for name in names:
        svg = svg.replace(f'"var({name})"', f'"{light[name]}"')
    head, _, rest = svg.partition(">")
    width, height = map(float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head)[0])
    size = f'width="{FILE_PIXELS}" height="{FILE_PIXELS * height / width:.0f}"'
    head = re.sub(r' style="[^"]*"', "", head)
    head = head.replace("<svg", f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif"', 1)
    style = f"<style>@media(prefers-color-scheme:dark){{{''.join(rules)}}}</style>"
    write_text(path, f'{head}>{style}<rect width="100%" height="100%" fill="{light["--page"]}"/>{rest}\n')


def inline_svg(text: str, key: str, label: str, told: Mapping[str, str | Sequence[str]] | None = None) -> str:
    """An SVG file's text as an element for an HTML page, without what says nothing; `told` as in `Drawing`."""
    root = ElementTree.fromstring(text)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    for element in list(root.iter()):
        element.tag = element.tag.rpartition("}")[2]  # an HTML page needs no namespaces
        if element.tag != "text":
            element.text = None
        element.tail = None
    for element in list(root.iter()):
        # Without dates and addresses, and rules of style that would hold for the whole page.
        element[:] = [child for child in element if child.tag not in ("metadata", "style")]
        words = (told or {}).get(element.get("id", ""), ())
        if isinstance(words, str):
            ElementTree.SubElement(element, "title").text = words
        elif words:
            for marker, word in zip(element.iter("use"), words, strict=True):
                ElementTree.SubElement(marker, "title").text = word
        found = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
        element.attrib.clear()
        for name, value in found.items():
            element.attrib.update(_attributes(name, value, key, used))
    width, height = (float(root.attrib.pop(side).removesuffix("pt")) for side in ("width", "height"))
    _flatten(root)
    root.attrib.pop("version", None)
    root.set("role", "img")
    root.set("aria-label", label)
    root.set("style", f"max-width:{width * PIXELS:.0f}px")
    root.set("viewBox", f"0 0 {width:g} {height:g}")
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=False)


def _attributes(name: str, value: str, key: str, used: set[str]) -> dict[str, str]:
    """An attribute as it stands in the page: itself, nothing, or what a style says, which a file's rules set aside."""
    if name == "id":
        return {name: f"{key}-{value}"} if value in used else {}
    if name == "style":
        # matplotlib before 3.10 says the font in one
        value = re.sub(r"font: (.*?)([\d.]+px)[^;]*", r"font-size: \2; font-weight: \1", value)
        said = dict(part.split(": ", 1) for part in value.split("; ") if part)
        return {what: _as_variable(_rounded(how)) for what, how in said.items() if what not in _UNSAID}
    if name == "transform" and value.startswith("rotate(-0"):
        return {}
    if name == "d":
        value = re.sub(r"\s*([A-Za-z])\s*", r"\1", value)
    if name in ("d", "x", "y", "transform"):
        return {name: _rounded(value)}
    return {name: re.sub(r"^(url\(#|#)", rf"\1{key}-", value) if name in ("href", "clip-path") else value}


_UNSAID = ("font-family", "stroke-linecap", "stroke-linejoin", "stroke-dashoffset")
"""What the page says for all pictures, or what is the same everywhere."""


def _rounded(value: str) -> str:
    return re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), value)


def _flatten(element: ElementTree.Element) -> None:
    """Take out what shows nothing and groups that say nothing; what all markers of a group share, the group says."""
    children: list[ElementTree.Element] = []
    for child in element:
        _flatten(child)
        empty = child.tag in ("defs", "g") and not len(child)
        if child.tag == "g" and not child.attrib and not empty and child.find("title") is None:
            children += child
        elif not empty and (child.get("fill") != "none" or child.get("stroke")):
            children.append(child)
    element[:] = children
    if element.tag == "g" and len(element) > 1 and all(child.tag == "use" for child in element):
        shared = set.intersection(*(set(child.attrib.items()) for child in element))
        for name, value in sorted(both for both in shared if both[0] != "href"):
            element.set(name, value)
            for child in element:
                del child.attrib[name]


def _as_variable(colour: str) -> str:
    return f"var({VARIABLES[colour]})" if colour in VARIABLES else colour
