"""Whether the summary's stage-A criteria can be met together on these data, as the page shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from lvm_core.frontier.answer import LEFT_OUT, answer

Tone = Literal["good", "bad", "open"]

CHEATING = ("oracle", "article_centroid")
"""References that see what is to be predicted."""


class _Short(NamedTuple):
    """An answer in short: a word and a note for the tile, a sentence for the top of the page."""

    word: str
    note: str
    tone: Tone
    brief: str


SHORT = {
    "Yes": _Short(
        "possible",
        "a recipe or a traced linear predictor does",
        "good",
        f"The summary's stage-A criteria can be met together on these data ({LEFT_OUT}).",
    ),
    "No": _Short(
        "not reached",
        "by any recipe or traced linear predictor",
        "bad",
        f"No recipe and no traced linear predictor meets the summary's stage-A criteria together ({LEFT_OUT}).",
    ),
}
"""Short forms of the frontier's answer, by its first word."""

UNKNOWN = _Short(
    "–",
    "undefined on these data, or not measured",
    "open",
    "Whether the summary's stage-A criteria can be met together is not known on these data.",
)


@dataclass(frozen=True)
class Reach:
    """The frontier as the page shows it.

    word, note, tone: for the tile. brief: for the top of the page. sentences: the answer with its evidence. limits: of
    the criteria by figure. curves: by family the points on val, in order. marked: points of the table, by name.
    """

    word: str
    note: str
    tone: Tone
    brief: str
    sentences: str
    limits: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    marked: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def reach(frontier: Mapping[str, Any] | None, rows: Sequence[Mapping[str, Any]]) -> Reach:
    """What the frontier says about the summary's stage-A criteria.

    Args:
        frontier: metrics/frontier.json; None where there is none.
        rows: of the comparison.
    """
    if frontier is None:
        return Reach(*UNKNOWN, sentences=UNKNOWN.brief)
    sentences = answer(frontier, rows)
    return Reach(
        *SHORT.get(sentences.partition(":")[0], UNKNOWN),
        sentences=sentences,
        limits=frontier["criteria"],
        curves={
            f"{name} family": [point["val"] for point in points]
            for name, points in frontier["families"].items()
            if points
        },
        marked=_marked(frontier),
    )


def _marked(frontier: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The points of each family that the table shows, on val."""
    titles = {"unconstrained": "no margin asked", "at_criterion": "margin asked"}
    return {
        f"{family} family, {title}": point["val"]
        for key, title in titles.items()
        for family, point in frontier[key].items()
        if point
    }
