"""Names beside points, none over another: points whose name finds no free place go without."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

PLACES = ((6, -3), (-6, -3), (0, 6), (0, -12), (6, 5), (-6, 5), (6, -11), (-6, -11))
"""Shifts of a name from its point, in points of print; right and left of it come first."""


def place_labels(axes: Axes, points: Sequence[tuple[float, float, str, str]], size: float = 9.0) -> list[str]:
    """Write names beside their points where there is room; the first ones choose first.

    Args:
        axes: with its limits set; the points have been drawn.
        points: x, y (data), name, colour.
        size: of the letters.

    Returns:
        Names that found no place.
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
