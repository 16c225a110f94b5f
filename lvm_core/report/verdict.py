"""The top of the page: which recipe is best, whether that is any good, and whether anything is possible at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lvm_core.report.numbers import bracket, is_defined, number, with_interval
from lvm_core.report.reach import CHEATING, Reach

Tone = Literal["good", "bad", "open"]
Row = Mapping[str, Any]

RANKED = {"val_recall_at_1": "R@1", "val_mrr": "MRR", "ood_recall_at_5": "R@5 on ood"}
"""Figures besides R@5 on val in which a best recipe is named; none of them rewards blur."""


@dataclass(frozen=True)
class Tile:
    """One of the figures in large letters: what it is, its value, a remark, and whether it is good news."""

    label: str
    value: str
    note: str
    tone: Tone


@dataclass(frozen=True)
class Verdict:
    """What is said at the top: a line, four tiles, a few sentences."""

    headline: str
    tiles: list[Tile]
    sentences: list[str]


def verdict(rows: Sequence[Row], reach: Reach) -> Verdict:
    """The verdict on a comparison.

    Args:
        rows: of metrics/comparison.json, best R@5 on val first.
        reach: whether the summary's stage-A criteria can be met.
    """
    recipes = [row for row in rows if row["kind"] == "recipe"]
    ranked = [row for row in recipes if is_defined(row["val_recall_at_5"])]
    forward = [str(row["name"]) for row in recipes if row.get("status") == "forward"]
    possible = Tile("Stage-A criteria together", reach.word, reach.note, reach.tone)
    many = f"{len(recipes)} recipe{'' if len(recipes) == 1 else 's'}"
    passing = Tile("Recipes that are forward", f"{len(forward)} of {len(recipes)}", "pass every certified gate", "bad")
    if forward:
        passing = Tile(passing.label, passing.value, ", ".join(forward), "good")
    if not ranked:
        headline = "R@5 is undefined on these data, so the recipes cannot be ranked"
        best = Tile("Best recipe by R@5", "–", "too few candidates in the articles", "open")
        return Verdict(headline, [best, passing, possible], [_forward_sentence(recipes), reach.brief])
    first = ranked[0]
    outcome, tone = _against_copy_last(first)
    against = Tile(
        "R@5 against copy_last",
        number(first["val_r5_vs_copy_last"], sign=True),
        _ends(first, "val_r5_vs_copy_last"),
        tone,
    )
    note = f"{number(first['val_recall_at_5'])} {_ends(first, 'val_recall_at_5')}"
    best = Tile(f"Best of {many} by R@5", str(first["name"]), note, "good" if tone == "good" else "open")
    headline = {
        "good": f"{first['name']} is the best recipe and beats copying the last chunk",
        "open": f"{first['name']} is the best recipe; that it beats copying the last chunk is not shown",
        "bad": f"{first['name']} is the best recipe, but copying the last chunk does better",
    }[tone]
    sentences = [_best_sentence(ranked), f"{outcome} {_others(rows, first)}", _forward_sentence(recipes), reach.brief]
    return Verdict(headline, [best, against, passing, possible], sentences)


def _ends(row: Row, figure: str) -> str:
    return bracket(row[f"{figure}_lo"], row[f"{figure}_hi"], sign="_vs_" in figure)


def _figure(row: Row, figure: str) -> str:
    return with_interval(row[figure], row[f"{figure}_lo"], row[f"{figure}_hi"], sign="_vs_" in figure)


def _best_sentence(ranked: Sequence[Row]) -> str:
    first = ranked[0]
    sentence = f"{first['name']} finds the next chunk most often: R@5 {_figure(first, 'val_recall_at_5')} on val"
    if len(ranked) > 1:
        sentence += f", before {ranked[1]['name']} with {_figure(ranked[1], 'val_recall_at_5')}"
    best_at: dict[str, list[str]] = {}
    for figure, title in RANKED.items():
        defined = [row for row in ranked if is_defined(row.get(figure))]
        if defined:
            best_at.setdefault(str(max(defined, key=lambda row: row[figure])["name"]), []).append(title)
    own = best_at.pop(str(first["name"]), [])
    if own and len(ranked) > 1:
        sentence += f"; it is also best in {_list(own)}"
    for name, titles in best_at.items():
        sentence += f"; {name} is better in {_list(titles)}"
    return sentence + "."


def _against_copy_last(row: Row) -> tuple[str, Tone]:
    low, high = row["val_r5_vs_copy_last_lo"], row["val_r5_vs_copy_last_hi"]
    difference = f"(paired difference {_figure(row, 'val_r5_vs_copy_last')})"
    if not (is_defined(low) and is_defined(high)):
        return "Whether it beats copying the last chunk is undefined on these data.", "open"
    if low > 0:
        return f"It beats copying the last chunk {difference}.", "good"
    if high < 0:
        return f"It does worse than copying the last chunk {difference}.", "bad"
    return f"It cannot be told from copying the last chunk {difference}.", "open"


def _others(rows: Sequence[Row], best: Row) -> str:
    """Who else beats copy_last: whether there is anything to gain, apart from what the best recipe does."""
    better = [
        str(row["name"])
        for row in rows
        if row["name"] not in (*CHEATING, "copy_last", best["name"])
        and is_defined(row["val_r5_vs_copy_last_lo"])
        and row["val_r5_vs_copy_last_lo"] > 0
    ]
    if better:
        return f"{_list(better)} {'does' if len(better) == 1 else 'do'} beat copy_last."
    return "Nothing else measured here beats copy_last but the oracle."


def _forward_sentence(recipes: Sequence[Row]) -> str:
    forward = [str(row["name"]) for row in recipes if row.get("status") == "forward"]
    if forward:
        return f"{_list(forward)} {'is' if len(forward) == 1 else 'are'} forward: every certified gate is passed."
    closest = max(recipes, key=lambda row: row.get("gates_certified") or 0, default=None)
    if closest is None or not is_defined(closest.get("gates_certified")):
        return "No recipe is forward (passes every certified gate)."
    passed, of = closest["gates_certified"], closest["gates_certified_of"]
    return f"No recipe is forward (passes every certified gate); {closest['name']} comes closest with {passed} of {of}."


def _list(names: Sequence[str], most: int = 5) -> str:
    """Names with commas and an "and"; beyond a few, how many more."""
    shown = list(names[:most]) + ([f"{len(names) - most} more"] if len(names) > most else [])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
