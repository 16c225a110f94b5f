"""What the frontier says: can the summary's stage-A criteria be met together on these data? Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
import pandas as pd

COLUMNS = ("name", "kind", "margin", "cosine", "recall_at_5")
"""Columns of plots/frontier.csv; NaN where undefined."""

LEFT_OUT = "the last one, 3 of the 5 gates of the published 5CAT, is left out of the question"
"""The criterion of the summary that is not asked about: it counts gates and is no limit to a figure."""

_WORDS = {"margin": "margin", "cosine": "cosine", "recall_at_1": "R@1", "recall_at_5": "R@5", "rollout": "rollout"}


def frontier_table(frontier: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """What plots/frontier.csv holds: all recipes and references, then both families along their curves; val figures.

    From metrics/frontier.json and the rows of metrics/comparison.json; `kind` is recipe, reference or frontier.
    """
    lines = [(row["name"], row["kind"], *(row[f"val_{figure}"] for figure in COLUMNS[2:])) for row in rows]
    for family, points in frontier["families"].items():
        lines += [(f"{family} family", "frontier", *(p["val"][figure] for figure in COLUMNS[2:])) for p in points]
    table = pd.DataFrame(lines, columns=list(COLUMNS))
    return table.astype(dict.fromkeys(COLUMNS[2:], float))


@dataclass(frozen=True)
class _Candidate:
    """Something that may meet the criteria: its figures on val, and `ood_margin` (None where undefined)."""

    name: str
    figures: Mapping[str, float | None]
    criteria: Mapping[str, float]

    def meets(self, name: str) -> bool:
        """Is this criterion met? The margin on ood counts where it is defined."""
        value, ood = self.figures[name], self.figures["ood_margin"] if name == "margin" else None
        limit = self.criteria[name]
        return value is not None and value >= limit and (ood is None or ood >= limit)

    @property
    def met(self) -> int:
        """Number of criteria met."""
        return sum(self.meets(name) for name in self.criteria)

    @property
    def margin(self) -> float:
        """On val; 0 where undefined."""
        return self.figures["margin"] or 0.0

    @property
    def order(self) -> tuple[float, str]:
        """For choosing the best one: the highest cosine, then by name."""
        return self.figures["cosine"] or 0.0, self.name

    @property
    def missed(self) -> list[str]:
        """The criteria that are not met, with its figures."""
        return [self._missed(name) for name in self.criteria if not self.meets(name)]

    def _missed(self, name: str) -> str:
        value = self.figures[name]
        if name == "margin" and value is not None and value >= self.criteria[name]:
            return f"the margin on ood ({_value(name, self.figures['ood_margin'])})"
        return f"{_WORDS[name]} ({_value(name, value)})"


def answer(frontier: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """In two to six sentences of plain text: can the criteria be met together here, and what is the evidence?

    From metrics/frontier.json and the rows of metrics/comparison.json.
    """
    criteria, curves = frontier["criteria"], frontier["families"]

    def traced(point: Mapping[str, Any], name: str = "a traced linear predictor") -> _Candidate:
        figures = {name: point["val"][name] for name in _WORDS}
        return _Candidate(name, {**figures, "ood_margin": point["ood"]["margin"]}, criteria)

    def trained(row: Mapping[str, Any]) -> _Candidate:
        figures = {name: row[f"val_{name}"] for name in _WORDS}
        return _Candidate(row["name"], {**figures, "ood_margin": row["ood_margin"]}, criteria)

    linear = [traced(point) for points in curves.values() for point in points]
    recipes = [trained(row) for row in rows if row["kind"] == "recipe"]
    able, enough = ([one for one in some if one.met == len(criteria)] for some in (linear, recipes))
    reached = [traced(point, name) for name, point in frontier["at_criterion"].items() if point is not None]
    along = [traced(point, name) for name, points in curves.items() for point in points]
    with_margin = max(reached, key=lambda one: one.order, default=None)
    widest = max(along, key=lambda one: (one.margin, one.name), default=None)
    shown = with_margin or widest
    recalls = [one.figures["recall_at_5"] for one in linear if one.margin >= criteria["margin"]]
    wide = [one for one in recipes if one.figures["margin"] is not None]
    everyone = linear + recipes
    undefined = [name for name in criteria if all(one.figures[name] is None for one in everyone)]
    text = _template().render(
        words=_WORDS,
        value=_value,
        limit=_limit,
        joined=_joined,
        left_out=LEFT_OUT,
        criteria=criteria,
        strength=frontier["strength"],
        linear=linear,
        recipes=recipes,
        able=able,
        trained=enough,
        best=max(able or enough, key=lambda one: one.order, default=None),
        nearest=max(recipes, key=lambda one: (one.met, one.order), default=None),
        reached=with_margin,
        widest=widest,
        free=traced(frontier["unconstrained"][shown.name]) if shown else None,
        best_recall=max((value for value in recalls if value is not None), default=None),
        undecided=any(one.met == len(criteria) - len(undefined) for one in everyone),
        undefined=[_WORDS[name] for name in undefined],
        widest_recipe=max(wide, key=lambda one: (one.margin, one.name), default=None),
        wide_enough=max((one for one in wide if one.margin >= criteria["margin"]), key=lambda x: x.order, default=None),
        out_of_reach=_out_of_reach(everyone, criteria),
        most=max((one.met for one in recipes), default=0),
        defined=sum(any(one.figures[name] is not None for one in recipes) for name in criteria),
    )
    return " ".join(text.split())


def _out_of_reach(everyone: Sequence[_Candidate], criteria: Mapping[str, float]) -> list[str]:
    """The criteria, other than the margin, that nothing meets even alone."""
    parts = []
    for name in criteria:
        values = [value for one in everyone if (value := one.figures[name]) is not None]
        if name != "margin" and values and max(values) < criteria[name]:
            parts.append(f"{_WORDS[name]} (best {_value(name, max(values))})")
    return parts


def _value(name: str, value: float | None) -> str:
    if value is None:
        return "undefined"
    if name.startswith("recall"):
        return f"{100 * value:.0f} %"
    return f"{value:+.3f}" if name == "margin" else f"{value:.3f}"


def _limit(name: str, limit: float) -> str:
    return f"{100 * limit:.0f} %" if name.startswith("recall") else f"{limit:{'+' if name == 'margin' else ''}.2f}"


def _joined(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


@cache
def _template() -> jinja2.Template:
    source = files("lvm_core.frontier").joinpath("answer.txt.j2").read_text(encoding="utf-8")
    return jinja2.Template(source, undefined=jinja2.StrictUndefined)
