"""The findings in words, with the reach of linear predictors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lvm_core.comparison.rivals import without_document
from lvm_core.config.figures import SPLITS
from lvm_core.fivecat.statistics import FEWEST_ARTICLES
from lvm_core.frontier.answer import LEFT_OUT
from lvm_core.report.numbers import UNDEFINED, bracket, is_defined, number, signed, with_interval

Row = Mapping[str, Any]
Tone = Literal["good", "bad", "open"]

RANKED = {"val_recall_at_1": "R@1 on val", "val_mrr": "MRR on val", "ood_recall_at_5": "R@5 on ood"}
"""Figures besides R@5 on val in which a best recipe is named; none of them rewards blur."""

SIGHTS = {
    "context": "the context alone",
    "memory": "what was read of the document too",
    "document": "the whole document",
}
"""What a recipe sees, in words."""


@dataclass(frozen=True)
class Tile:
    """One of the figures in large letters: what it is, its value, a remark, and whether it is good news."""

    label: str
    value: str
    note: str
    tone: Tone


TOGETHER = "Stage-A criteria together"

SHORT = {
    "Yes": (
        Tile(TOGETHER, "possible", "a recipe or a traced linear predictor does", "good"),
        f"The summary's stage-A criteria can be met together on these data ({LEFT_OUT}).",
    ),
    "No": (
        Tile(TOGETHER, "not reached", "by any recipe or traced linear predictor", "bad"),
        f"No recipe and no traced linear predictor meets the summary's stage-A criteria together ({LEFT_OUT}).",
    ),
}
"""Short forms of the frontier's answer, by its first word: the tile, and a sentence for the top of the page."""

UNKNOWN = (
    Tile(TOGETHER, "–", "undefined on these data, or not measured", "open"),
    "Whether the summary's stage-A criteria can be met together is not known on these data.",
)


@dataclass(frozen=True)
class Reach:
    """The frontier as the page shows it."""

    tile: Tile
    brief: str
    """The answer in short, for the top of the page."""
    sentences: str
    """The answer with its evidence."""
    limits: Mapping[str, float]
    """Of the criteria, by figure."""
    curves: Mapping[str, list[Mapping[str, Any]]]
    """The points on val in order, by family."""
    marked: Mapping[str, Mapping[str, Any]]
    """The points of the table, on val, by name."""


def reach(frontier: Mapping[str, Any] | None, sentences: str) -> Reach:
    """What the frontier says about the summary's stage-A criteria; `sentences`: the answer with its evidence."""
    if frontier is None:
        return Reach(*UNKNOWN, sentences=UNKNOWN[1], limits={}, curves={}, marked={})
    curves = {
        f"{name} family": [point["val"] for point in points] for name, points in frontier["families"].items() if points
    }
    marked = {
        f"{family} family, {title}": point["val"]
        for key, title in {"unconstrained": "no margin asked", "at_criterion": "margin asked"}.items()
        for family, point in frontier[key].items()
        if point
    }
    short = SHORT.get(sentences.partition(":")[0], UNKNOWN)
    return Reach(*short, sentences=sentences, limits=frontier["criteria"], curves=curves, marked=marked)


@dataclass(frozen=True)
class Verdict:
    """What is said at the top: a line, four tiles, a few sentences."""

    headline: str
    tiles: list[Tile]
    sentences: list[str]


def verdict(
    rows: Sequence[Row],
    reach: Reach,
    best_two: Mapping[str, Any] | None = None,
    formulas_forward: Sequence[str] = (),
) -> Verdict:
    """The verdict on a comparison. One recipe is called best only where it can be told from the next.

    A recipe that sees the whole document is not called best where there is another.

    Args:
        rows: of the comparison, best first.
        reach: the frontier's.
        best_two: the paired difference of the two best recipes.
        formulas_forward: references and their near relatives that pass every certified gate.
    """
    recipes = [row for row in rows if row["kind"] == "recipe"]
    ranked = [row for row in without_document(rows) if is_defined(row["val_recall_at_5"])]
    forward = _names(row for row in recipes if row.get("status") == "forward")
    passing = Tile(
        "Recipes that are forward",
        f"{len(forward)} of {len(recipes)}",
        ", ".join(forward) or "pass every certified gate",
        "good" if forward else "bad",
    )
    closing = [_forward_sentence(recipes, forward), reach.brief]
    if not ranked:
        headline = "R@5 is undefined on these data, so the recipes cannot be ranked"
        best = Tile("Best recipe by R@5", "–", "too few candidates in the articles", "open")
        return Verdict(headline, [best, passing, reach.tile], closing)
    first, alike = ranked[0], _names(ranked[:2])
    pair = best_two if best_two and list(best_two["names"]) == alike else None
    if pair and is_defined(pair["lo"]) and pair["lo"] > 0:
        alike = alike[:1]
    alone, name = len(alike) == 1, alike[0]
    recall = [f"{_figure(first, f'{split}_recall_at_5')} on {split}" for split in SPLITS]
    many = f"{len(recipes)} recipe{'' if len(recipes) == 1 else 's'}"
    leads = [_lead(split, first, rows) for split in SPLITS]
    tone: Tone = "good" if alone and leads[0][1].tone == "good" else "open"
    best = Tile(f"Best of {many} by R@5", " or ".join(alike), ", ".join(recall), tone)
    told = [words for words, _ in leads if words]
    headline = f"{name} is the best recipe" if alone else f"{_list(alike)} cannot be told apart"
    if told:
        headline += "" if any(tile.tone == "good" for _, tile in leads) else ", with no lead"
        headline += f": it {_list(told)}" if alone else f"; {name} {_list(told)}"
    formulas, sentences = _formulas(rows, first, formulas_forward)
    outcome = f"{_against_copy_last(first)} {_others(rows, first)}".strip()
    tiles = [best, *(tile for _, tile in leads), passing, reach.tile]
    said = [*sentences, _best_sentence(ranked, pair), *_by_sight(rows, first), outcome, *closing]
    return Verdict(f"{formulas}{headline}", tiles, said)


def _lead(split: str, row: Row, rows: Sequence[Row]) -> tuple[str, Tile]:
    """What is said of a recipe's lead over its best rival on a split (nothing where it is undefined), and its tile."""
    label, found = f"Lead in R@5 over the best rival, {split}", row["vs_rival"][split]["recall_at_5"]
    if not is_defined(found["lo"]):
        return "", Tile(label, UNDEFINED, "undefined on these data", "open")
    rival, ends = found["rival"], bracket(found["lo"], found["hi"], sign=True)
    difference = f"{signed(found['difference'])} {ends}"
    own = next(other for other in rows if other["name"] == rival)
    verb: str
    tone: Tone
    if found["lo"] > 0:
        verb, tone = "leads", "good"
    elif found["hi"] < 0:
        verb, tone = "trails", "bad"
    else:
        verb, tone = "has no lead over", "open"
    note = f"{ends} against {rival} ({number(own[f'{split}_recall_at_5'])}), the best that sees as much"
    return f"{verb} {rival} on {split} ({difference})", Tile(label, signed(found["difference"]), note, tone)


def _formulas(rows: Sequence[Row], first: Row, forward: Sequence[str]) -> tuple[str, list[str]]:
    """What the headline and the findings say where a formula is ahead of every recipe, or passes every gate."""
    passes = "passes" if len(forward) == 1 else "pass"
    sentences = [f"{_list(forward)} {passes} every certified gate without being trained."] if forward else []
    found = first["vs_rival"]["val"]["recall_at_5"]
    ahead = [found["rival"]] if is_defined(found["difference"]) and found["difference"] < 0 else []
    if ahead:
        own = next(row for row in rows if row["name"] == ahead[0])
        about = f" ({own['numbers']})" if own.get("numbers") else ""
        recall = _figure(own, "val_recall_at_5")
        sentences.append(f"{ahead[0]}{about} is ahead of every recipe that sees as much: R@5 {recall} on val.")
    names = [*dict.fromkeys([*forward, *ahead])]
    title = (
        "" if not names else f"A formula leads: {names[0]}. " if len(names) == 1 else f"Formulas lead: {_list(names)}. "
    )
    return title, sentences


def _by_sight(rows: Sequence[Row], first: Row) -> list[str]:
    """The best recipe and its lead, for each amount that recipes see but that of the one called best."""
    sentences = []
    for sees in SIGHTS:
        best = next((row for row in rows if row["kind"] == "recipe" and row["sees"] == sees), None)
        if best is None or sees == first["sees"]:
            continue
        told = [words for words, _ in (_lead(split, best, rows) for split in SPLITS) if words]
        if told:
            sentences.append(f"Of the recipes that see {SIGHTS[sees]}, {best['name']} is the best: it {_list(told)}.")
    return sentences


def _ends(row: Row, figure: str) -> str:
    return bracket(row[f"{figure}_lo"], row[f"{figure}_hi"], sign="_vs_" in figure)


def _figure(row: Row, figure: str) -> str:
    return with_interval(row[figure], row[f"{figure}_lo"], row[f"{figure}_hi"], sign="_vs_" in figure)


def _best_sentence(ranked: Sequence[Row], pair: Mapping[str, Any] | None) -> str:
    """Who is best by R@5, before whom (`pair`: the paired difference of these two), and who by the other figures."""
    first = ranked[0]
    sentence = f"{first['name']} finds the next chunk most often: R@5 {_figure(first, 'val_recall_at_5')} on val"
    if len(ranked) > 1:
        sentence += f", before {ranked[1]['name']} with {_figure(ranked[1], 'val_recall_at_5')}"
    if pair:
        difference = with_interval(pair["difference"], pair["lo"], pair["hi"], sign=True)
        sentence += f" (paired difference {difference})"
    best_at: dict[tuple[str, ...], list[str]] = {}
    for figure, title in RANKED.items():
        defined = [row for row in ranked if is_defined(row.get(figure))]
        if defined:
            top = max(row[figure] for row in defined)
            best_at.setdefault(tuple(_names(row for row in defined if row[figure] == top)), []).append(title)
    own = best_at.pop((str(first["name"]),), [])
    if own and len(ranked) > 1:
        sentence += f"; it also has the highest {_list(own)}"
    for names, titles in best_at.items():
        if len(names) < len(ranked):
            sentence += f"; {_list(names)} {'has' if len(names) == 1 else 'have'} the highest {_list(titles)}"
    return sentence + "."


def _against_copy_last(row: Row) -> str:
    low, high = row["val_r5_vs_copy_last_lo"], row["val_r5_vs_copy_last_hi"]
    difference = f"(paired difference {_figure(row, 'val_r5_vs_copy_last')})"
    if not (is_defined(low) and is_defined(high)):
        return "Whether it beats copying the last chunk is undefined on these data."
    if low > 0:
        return f"It beats copying the last chunk {difference}."
    if high < 0:
        return f"It does worse than copying the last chunk {difference}."
    return f"It cannot be told from copying the last chunk {difference}."


def _others(rows: Sequence[Row], best: Row) -> str:
    """Who else beats copy_last: whether there is anything to gain, apart from what the best recipe does."""
    told = [row for row in rows if is_defined(row["val_r5_vs_copy_last_lo"]) and row["name"] != "copy_last"]
    better = _names(row for row in told if row["val_r5_vs_copy_last_lo"] > 0 and row["name"] != best["name"])
    seeing = _names(row for row in rows if row["sees"] in ("document", "answer"))
    honest = [name for name in better if name not in seeing]
    if honest:
        return f"{_list(honest)} {'beats' if len(honest) == 1 else 'beat'} copy_last too."
    if not told:
        return ""
    return "Nothing else measured here beats copy_last" + (" but the oracle." if "oracle" in better else ".")


def _forward_sentence(recipes: Sequence[Row], forward: Sequence[str]) -> str:
    if forward:
        return f"{_list(forward)} {'is' if len(forward) == 1 else 'are'} forward: every certified gate is passed."
    counted = [row for row in recipes if is_defined(row.get("gates_certified"))]
    if not counted:
        return "No recipe is forward (passes every certified gate)."
    if not max(row["gates_certified_of"] for row in counted):
        return "No recipe is forward: no certified gate can be told on these data."
    most = max(row["gates_certified"] for row in counted)
    closest = [row for row in counted if row["gates_certified"] == most]
    come = f"{_list(_names(closest))} {'comes' if len(closest) == 1 else 'come'} closest"
    of = closest[0]["gates_certified_of"]
    return f"No recipe is forward (passes every certified gate); {come} with {most} of {of}."


def _names(rows: Iterable[Row]) -> list[str]:
    return [str(row["name"]) for row in rows]


def _list(names: Sequence[str], most: int = 5) -> str:
    """Names with commas and an "and"; beyond a few, how many more."""
    shown = list(names[:most]) + ([f"{len(names) - most} more"] if len(names) > most else [])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def few_articles(splits: Mapping[str, Mapping[str, Any]]) -> str:
    """A warning where val has too few articles for the intervals to mean much; empty otherwise."""
    articles = splits["val"]["articles"]
    if not is_defined(articles) or articles >= FEWEST_ARTICLES:
        return ""
    one = f"Only {articles} article{'' if articles == 1 else 's'} of val"
    lack = "there are no intervals" if articles < 2 else "intervals are too narrow"
    return f"{one}: {lack}, and verdicts mean little."
