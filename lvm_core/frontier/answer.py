"""What the frontier says: can the summary's stage-A criteria be met together on these data? Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

CRITERIA = {"margin": 0.02, "cosine": 0.50, "recall_at_1": 0.60, "recall_at_5": 0.60, "rollout": 0.46}
"""Least value of each figure on val in the earlier work's criteria for stage A; the margin's is for ood too."""
COLUMNS = ("name", "kind", "margin", "cosine", "recall_at_5")
"""Columns of plots/frontier.csv."""

LEFT_OUT = "the last one, 3 of the 5 gates of the published 5CAT, is left out of the question"
"""The criterion of the summary that is not asked about: it counts gates and is no limit to a figure."""

_WORDS = {"margin": "margin", "cosine": "cosine", "recall_at_1": "R@1", "recall_at_5": "R@5", "rollout": "rollout"}

Point = Mapping[str, Any]


def frontier_table(frontier: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """What plots/frontier.csv holds: all recipes and references, then both families along their curves; val figures.

    Args:
        frontier: metrics/frontier.json.
        rows: of metrics/comparison.json.

    Returns:
        `COLUMNS`; `kind` is recipe, reference or frontier; NaN where undefined.
    """
    lines = [(row["name"], row["kind"], *(row[f"val_{figure}"] for figure in COLUMNS[2:])) for row in rows]
    for family, points in frontier["families"].items():
        lines += [(f"{family} family", "frontier", *(p["val"][figure] for figure in COLUMNS[2:])) for p in points]
    table = pd.DataFrame(lines, columns=list(COLUMNS))
    return table.astype(dict.fromkeys(COLUMNS[2:], float))


def answer(frontier: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """In two to six sentences of plain text: can the criteria be met together here, and what is the evidence?

    Args:
        frontier: metrics/frontier.json.
        rows: of metrics/comparison.json.
    """
    criteria = frontier["criteria"]
    points = [point for family in frontier["families"].values() for point in family]
    linear = [_Candidate("a traced linear predictor", _judged(point), criteria) for point in points]
    recipes = [_Candidate(row["name"], _judged_row(row), criteria) for row in rows if row["kind"] == "recipe"]
    able = [one for one in linear if one.meets_all]
    trained = [one for one in recipes if one.meets_all]
    named = f"the summary's stage-A criteria ({_listed(criteria)}; {LEFT_OUT})"
    if not points:
        end = f"Yet {_names(trained)} {named}." if trained else f"Whether {named} can be met together stays undefined."
        return (
            "There is no frontier on these data: a margin needs windows with two chunks after the target (articles of "
            f"8 chunks or more) in both train and val. {end}"
        )
    if able or trained:
        best = max(able or trained, key=lambda one: one.order)
        first = f"Yes: {named} can be met together on these data, as {best.name} shows ({best.described()})."
        others = [_who_else(able, trained, recipes), _margin_sentence(frontier, linear)]
        return " ".join([first, *others, _about_the_curve(frontier)])
    undefined = [name for name in criteria if all(one.figures[name] is None for one in linear + recipes)]
    if any(one.met == len(criteria) - len(undefined) for one in linear + recipes):
        words = _joined([_WORDS[name] for name in undefined])
        first = (
            f"Undecided: of {named} all that are defined on these data are met together, but {words} is not defined."
        )
    else:
        first = f"No: {named} are not met together on these data by any traced linear predictor or any trained recipe."
    sentences = [first, _margin_sentence(frontier, linear), _recipe_sentence(recipes, criteria)]
    sentences += [_out_of_reach(linear + recipes, criteria), _about_the_curve(frontier), _unproven(recipes, criteria)]
    return " ".join(filter(None, sentences))


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
    def meets_all(self) -> bool:
        """Are all criteria met?"""
        return self.met == len(self.criteria)

    @property
    def order(self) -> tuple[float, str]:
        """For choosing the best one: the highest cosine, then by name."""
        return self.figures["cosine"] or 0.0, self.name

    def described(self, *names: str) -> str:
        """`margin -0.111, cosine 0.507, R@5 28 %`, the defined ones of the figures named (default: all criteria)."""
        shown = [(name, self.figures[name]) for name in names or self.criteria]
        return ", ".join(f"{_WORDS[name]} {_value(name, value)}" for name, value in shown if value is not None)


def _judged(point: Point) -> dict[str, float | None]:
    return {**{name: point["val"][name] for name in _WORDS}, "ood_margin": point["ood"]["margin"]}


def _judged_row(row: Mapping[str, Any]) -> dict[str, float | None]:
    return {**{name: row[f"val_{name}"] for name in _WORDS}, "ood_margin": row["ood_margin"]}


def _margin_sentence(frontier: Mapping[str, Any], linear: Sequence[_Candidate]) -> str:
    """The best traced predictors with the margin of the criteria (or the largest margin), and what the margin costs."""
    limit = frontier["criteria"]["margin"]
    reached = {name: point for name, point in frontier["at_criterion"].items() if point is not None}
    if reached:
        family = max(reached, key=lambda name: (reached[name]["val"]["cosine"], name))
        one = _Candidate(family, _judged(reached[family]), frontier["criteria"])
        recalls = [x.figures["recall_at_5"] for x in linear if (x.figures["margin"] or 0.0) >= limit]
        recall = max((value for value in recalls if value is not None), default=None)
        best = (
            ""
            if recall is None
            else f", and along this curve of the best cosine R@5 is at most {_value('recall_at_5', recall)}"
        )
        text = (
            f"With a margin of {_limit('margin', limit)} or more on val (tuned on val itself, which is generous) the "
            f"best cosine of a traced linear predictor is {_value('cosine', one.figures['cosine'])}{best}"
        )
    else:
        family, point = max(
            ((name, point) for name, points in frontier["families"].items() for point in points),
            key=lambda pair: (pair[1]["val"]["margin"], pair[0]),
        )
        one = _Candidate(family, _judged(point), frontier["criteria"])
        text = (
            f"No traced linear predictor reaches a margin of {_limit('margin', limit)}: the largest on val (tuned on "
            f"val itself, which is generous) is {_value('margin', one.figures['margin'])}, with "
            f"{one.described('cosine', 'recall_at_5')}"
        )
    free = _Candidate(family, _judged(frontier["unconstrained"][family]), frontier["criteria"])
    if free.figures == one.figures:
        return f"{text}; this is the unconstrained optimum, so the margin costs nothing."
    return f"{text}; the unconstrained optimum has {free.described('margin', 'cosine', 'recall_at_5')}."


def _recipe_sentence(recipes: Sequence[_Candidate], criteria: Mapping[str, float]) -> str:
    wide = [one for one in recipes if one.figures["margin"] is not None]
    if not wide:
        return "No trained recipe was compared."
    enough = [one for one in wide if (one.figures["margin"] or 0.0) >= criteria["margin"]]
    if enough:
        best = max(enough, key=lambda one: one.order)
        return f"Of the trained recipes with that margin on val {best.name} has the best cosine ({best.described()})."
    best = max(wide, key=lambda one: (one.figures["margin"] or 0.0, one.name))
    shown = best.described("margin", "cosine", "recall_at_5")
    return f"No trained recipe has that margin; {best.name} has the largest ({shown})."


def _who_else(able: Sequence[_Candidate], trained: Sequence[_Candidate], recipes: Sequence[_Candidate]) -> str:
    if trained:
        return f"Of the trained recipes {_names(trained)} them{'' if able else '; no traced linear predictor does'}."
    if not recipes:
        return "No trained recipe was compared."
    best = max(recipes, key=lambda one: (one.met, one.order))
    missed = _joined([_missed(best, name) for name in best.criteria if not best.meets(name)])
    return f"No trained recipe meets them yet: {best.name} comes nearest and misses {missed}."


def _names(trained: Sequence[_Candidate]) -> str:
    return f"{_joined(sorted(one.name for one in trained))} {'meets' if len(trained) == 1 else 'meet'}"


def _missed(one: _Candidate, name: str) -> str:
    value = one.figures[name]
    if name == "margin" and value is not None and value >= one.criteria[name]:
        return f"the margin on ood ({_value(name, one.figures['ood_margin'])})"
    return f"{_WORDS[name]} ({_value(name, value)})"


def _out_of_reach(everyone: Sequence[_Candidate], criteria: Mapping[str, float]) -> str:
    """The criteria, other than the margin, that nothing meets even alone."""
    parts = []
    for name in criteria:
        values = [value for one in everyone if (value := one.figures[name]) is not None]
        if name != "margin" and values and max(values) < criteria[name]:
            parts.append(f"{_WORDS[name]} (best {_value(name, max(values))})")
    who = "No traced linear predictor and no trained recipe, at any margin, has enough"
    return f"{who} {_joined(parts)}." if parts else ""


def _about_the_curve(frontier: Mapping[str, Any]) -> str:
    """What the traced predictors do not show."""
    return (
        "R@1 and R@5 of the traced linear predictors are those of the curve of the best cosine, not the best possible "
        f"ones, and one strength of the affine family's penalty ({frontier['strength']:g}, the best on dev for the "
        "unconstrained cosine) serves the whole curve, where a smaller one can reach a slightly larger margin."
    )


def _unproven(recipes: Sequence[_Candidate], criteria: Mapping[str, float]) -> str:
    text = "This is no proof for other predictors, linear or not"
    if not recipes:
        return f"{text}."
    most = max(one.met for one in recipes)
    defined = [name for name in criteria if any(one.figures[name] is not None for one in recipes)]
    if most == len(defined):  # all that can be asked, or nothing can be
        return f"{text}."
    which = f"{len(defined)} criteria" + ("" if len(defined) == len(criteria) else " that are defined here")
    return f"{text}; but no trained recipe meets {f'more than {most}' if most else 'any'} of the {which}."


def _value(name: str, value: float | None) -> str:
    if value is None:
        return "undefined"
    if name.startswith("recall"):
        return f"{100 * value:.0f} %"
    return f"{value:+.3f}" if name == "margin" else f"{value:.3f}"


def _limit(name: str, limit: float) -> str:
    return f"{100 * limit:.0f} %" if name.startswith("recall") else f"{limit:{'+' if name == 'margin' else ''}.2f}"


def _listed(criteria: Mapping[str, float]) -> str:
    return ", ".join(f"{_WORDS[name]} at least {_limit(name, limit)}" for name, limit in criteria.items())


def _joined(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
