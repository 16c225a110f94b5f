"""The tables, for the page and for metrics/comparison.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lvm_core.comparison.rivals import RECALLS
from lvm_core.config.figures import SPLITS
from lvm_core.report.numbers import (
    LEGEND,
    MINUS,
    UNDEFINED,
    Cell,
    Line,
    Table,
    bracket,
    count,
    is_defined,
    number,
    signed,
)
from lvm_core.report.words import BLURRED, FIGURES, RANKING

ROLLED = {key: title for key, title in RECALLS.items() if key.startswith("recall")}
"""Readings among the chunks of the article."""

Row = Mapping[str, Any]


def markdown(table: Table | None, status: bool = False, marked: Mapping[str, str] | None = None) -> str:
    """A table as Markdown without its caption (none: nothing).

    `status`: with a status word in the second column, and a word in the third. `marked`: what stands behind each name
    (`marks`).
    """
    if table is None:
        return ""
    columns, signs = table.columns, marked or {}
    left = 3 if status else 1
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * left}{'---:|' * (len(columns) - left)}"]
    for line in table.lines:
        cells = [f"`{line.name}`{signs.get(line.name, '')}", *([line.status or UNDEFINED] if status else [])]
        for cell in line.cells:
            text = f"**{cell.text}**" if cell.best else cell.text
            cells.append(f"{text} {cell.interval}".rstrip())
        lines.append(f"| {' | '.join(map(escaped, cells))} |")
    if any(signs.get(line.name) for line in table.lines):
        lines += ["", f"{LEGEND}."]
    return "\n".join(lines).replace(MINUS, "-").replace(UNDEFINED, "-")


def escaped(text: str) -> str:
    """A text as a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


WITH_INTERVAL = tuple(key for key in RANKING if "r5_vs" in key or "recall" in key)

SHOWN = [key for key in RANKING if key not in ("val_r5_vs_copy_last", "val_r5_vs_p1", "val_margin")]
"""Figures that the page's table shows until others are asked for."""

SETS = {"certified": "certified", "stage_a": "stage A", "published_5cat": "5CAT as published"}
"""Gate sets whose numbers passed stand in the ranking."""


def ranking(rows: Sequence[Row], kind: str) -> Table:
    """The rows of a kind, best R@5 first, with the best values of recipes marked where the figure is worth a mark."""
    chosen = [row for row in rows if row["kind"] == kind]
    best = {} if kind != "recipe" or len(chosen) < 2 else {column: _best(chosen, column) for column in RANKING}
    lines = []
    for row in chosen:
        cells = [Cell(row["sees"])]
        cells += [_cell(row, column, best.get(column), interval=column in WITH_INTERVAL) for column in RANKING]
        cells += [Cell(_passed(row, name)) for name in SETS]
        lines.append(Line(str(row["name"]), kind, row.get("status"), cells))
    title = "Recipes" if kind == "recipe" else "Reference predictors"
    columns = ["name", "status", "sees", *RANKING.values(), *SETS.values()]
    return Table(f"{title} on val (and ood where it says so), best R@5 first", columns, lines)


def all_figures(rows: Sequence[Row], split: str) -> Table:
    """Every figure that is explained on the page, of every row, on one split; recipes first."""
    ordered = sorted(rows, key=lambda row: row["kind"] != "recipe")
    best = _best_recipes(rows, [f"{split}_{figure}" for figure in FIGURES])
    lines = [Line(str(row["name"]), row["kind"], None, _cells(row, best)) for row in ordered]
    return Table(f"All figures on {split}", ["name", *(title for title, _ in FIGURES.values())], lines)


def every_row(rows: Sequence[Row]) -> Table:
    """Every row with every figure and its interval: the columns of `SHOWN` and the gates first, then the others."""
    titles = {f"{split}_{name}": title for split in SPLITS for name, (title, _) in FIGURES.items()}
    titles = {key: f"{title}, ood" if key.startswith("ood") else title for key, title in titles.items()} | RANKING
    order = [*SHOWN, *(key for key in titles if key not in SHOWN)]
    best, shown = _best_recipes(rows, order), len(SHOWN)
    lines = []
    for row in rows:
        cells = _cells(row, best, interval=True)
        cells[shown:shown] = [Cell(_passed(row, name)) for name in SETS]
        lines.append(Line(str(row["name"]), row["kind"], row.get("status"), [Cell(row["sees"]), *cells]))
    others = [titles[key] for key in order]
    columns = ["name", "status", "sees", *others[:shown], *SETS.values(), *others[shown:]]
    return Table("Every row, best R@5 on val first; on val unless it says ood", columns, lines)


def row_figures(row: Row) -> Table:
    """Every figure of one row with its interval, on both splits, and its distance to the best rivals."""
    figures = [(title, [f"{split}_{name}" for split in SPLITS]) for name, (title, _) in FIGURES.items()]
    figures += [(title, [key]) for key, title in RANKING.items() if key.startswith("val_r5_vs") and "rival" not in key]
    lines = [
        Line(title, "data", None, [_cell(row, key, None, interval=True) for key in keys]) for title, keys in figures
    ]
    for reading, title in RECALLS.items():
        found = [row["vs_rival"][split][reading] for split in SPLITS]
        lines.append(Line(f"best rival, {title}", "data", None, [Cell(one["rival"] or UNDEFINED) for one in found]))
        lines.append(Line(f"R@5 − best rival, {title}", "data", None, [_difference(one) for one in found]))
    return Table(f"Figures of {row['name']} with 95 % intervals", ["figure", *SPLITS], lines)


def _difference(found: Mapping[str, Any]) -> Cell:
    return Cell(signed(found["difference"]), bracket(found["lo"], found["hi"], sign=True))


def rollout_steps(row: Row) -> Table | None:
    """R@5 of each rollout step of a row with its interval, by reading and split; None where there is none."""
    readings = {f"{title}, {split}": (split, key) for split in SPLITS for key, title in ROLLED.items()}
    steps = {split: row[split].get("rollout_by_step") or {} for split in SPLITS}
    lines = []
    for step in dict.fromkeys(step for found in steps.values() for step in found):
        cells = []
        for split, key in readings.values():
            found = steps[split].get(step) or {}
            cells.append(Cell(number(found.get(key)), bracket(found.get(f"{key}_lo"), found.get(f"{key}_hi"))))
        lines.append(Line(f"step {step}", "data", None, cells))
    if not any(cell.text != UNDEFINED for line in lines for cell in line.cells):
        return None
    return Table("R@5 of predictions fed back, by step", ["step", *readings], lines)


def chance(splits: Mapping[str, Mapping[str, Any]]) -> str:
    """Chance levels of the readings of R@5 in the article, in one sentence."""
    levels = {title: [splits[split]["chance"].get(key) for split in SPLITS] for key, title in ROLLED.items()}
    told = [f"{title} {number(val)} and {number(ood)}" for title, (val, ood) in levels.items()]
    return f"Chance of R@5 on val and ood: {', '.join(told)}."


def _best_recipes(rows: Sequence[Row], columns: Sequence[str]) -> dict[str, float | None]:
    """By column, the best value of a recipe; None where it is not worth a mark."""
    recipes = [row for row in rows if row["kind"] == "recipe"]
    return {column: _best(recipes, column) if len(recipes) > 1 else None for column in columns}


def _cells(row: Row, best: Mapping[str, float | None], *, interval: bool = False) -> list[Cell]:
    marked = row["kind"] == "recipe"
    return [_cell(row, column, top if marked else None, interval=interval) for column, top in best.items()]


def _best(rows: Sequence[Row], column: str) -> float | None:
    if column.partition("_")[2] in BLURRED:
        return None
    return max((row[column] for row in rows if is_defined(row.get(column))), default=None)


def _cell(row: Row, column: str, best: float | None, *, interval: bool = False) -> Cell:
    value, low, high = (row.get(f"{column}{end}") for end in ("", "_lo", "_hi"))
    sign = "_vs_" in column
    shown = bracket(low, high, sign=sign) if interval and is_defined(value) else ""
    return Cell(number(value, sign=sign), shown, best is not None and value == best)


def _passed(row: Row, name: str) -> str:
    passed, of = row.get(f"gates_{name}"), row.get(f"gates_{name}_of")
    return f"{count(passed)}/{count(of)}" if is_defined(passed) else number(None)


def time_direction(measured: Mapping[str, Any]) -> Table | None:
    """Each recipe, and what knows no direction, on articles as they are and reversed; None where not measured."""
    controls = list(
        dict.fromkeys(name for figures in measured.values() for x in figures.values() for name in x.get("beyond", ()))
    )
    lines = []
    for name, figures in measured.items():
        for figure, found in figures.items():
            beyond = found.get("beyond") or {}
            seeds = [signed(one) for one in found["by_seed"]]
            cells = [Cell(number(found[side])) for side in ("forward", "reversed")]
            cells.append(_difference(found))
            cells.append(Cell(", ".join(seeds) if len(seeds) > 1 else UNDEFINED))
            for control in controls:
                cells.append(_difference(beyond.get(control) or dict.fromkeys(("difference", "lo", "hi"))))
            cells.append(Cell((found["direction"] or "not shown") if beyond else UNDEFINED))
            lines.append(Line(f"{name}, {figure_title(figure)}", "recipe" if beyond else "reference", None, cells))
    columns = ["name and figure", "forward", "reversed", "forward − reversed", "by seed"]
    columns += [*(f"beyond {name}" for name in controls), "direction"]
    return Table("The same predictor on articles read forward and backward", columns, lines) if lines else None


def relatives(judged: Mapping[str, Mapping[str, Any]]) -> Table | None:
    """What the near relatives of the references pass of the certified gates; None where none was judged."""
    lines = [
        Line(name, "reference", None, [Cell(one["sees"]), Cell(f"{one['passed']} of {one['of']}")])
        for name, one in judged.items()
    ]
    for line, one in zip(lines, judged.values(), strict=True):
        line.cells.append(Cell(", ".join(one["failed"]) or UNDEFINED))
    caption = "Near relatives of the references, by the certified gates"
    return Table(caption, ["name", "sees", "passed", "failed"], lines) if lines else None


def figure_title(figure: str) -> str:
    """A figure's title with its split: `val_recall_at_5` is "R@5 on val"."""
    split, _, name = figure.partition("_")
    title = FIGURES[name][0] if name in FIGURES else name.replace("_", " ")
    return f"{title} on {split}"


SEEDED = ("val_recall_at_5", "val_recall_at_1", "val_mrr", "val_cosine", "val_margin", "ood_recall_at_5")


def seeds(measured: Mapping[str, Any]) -> Table | None:
    """Mean, standard deviation and range over the seeds of a recipe; None where no recipe was repeated."""
    lines = []
    for recipe, found in measured.items():
        cells = [Cell(", ".join(str(seed) for seed in found["seeds"]))]
        for figure in SEEDED:
            spread = found["figures"].get(figure) or {}
            if is_defined(spread.get("mean")):
                ends = f"{number(spread['min'])} to {number(spread['max'])}"
                cells.append(Cell(f"{number(spread['mean'])} ± {number(spread['sd'])}", ends))
            else:
                cells.append(Cell(number(None)))
        lines.append(Line(str(recipe), "recipe", None, cells))
    columns = ["recipe", "seeds", *(figure_title(figure) for figure in SEEDED)]
    return Table("Mean ± standard deviation over seeds, and the range", columns, lines) if lines else None


def each_seed(measured: Mapping[str, Any]) -> Table | None:
    """What each seed of a recipe has beyond `copy_last`; None where no recipe was repeated."""
    lines = []
    for recipe, found in measured.items():
        for seed, one in zip(found["seeds"], found["against_copy_last"], strict=True):
            cells = [Cell(str(seed)), Cell(number(one["recall_at_5"]))]
            cells.append(Cell(signed(one["difference"]), bracket(one["lo"], one["hi"])))
            lines.append(Line(str(recipe), "recipe", None, cells))
    columns = ["recipe", "seed", "R@5 on val", "R@5 - copy_last"]
    return Table("Each seed against copying the last chunk", columns, lines) if lines else None


PUBLISHED = {"val_cosine": (3, False), "margin": (3, True), "recall_at_1": (4, False), "recall_at_5": (3, False)}
"""Figures of the published rows: digits, and whether the sign is shown."""


def published(rows: Sequence[Row]) -> Table:
    """The earlier work's own rows with its own figures, and ours where a recipe rebuilds one."""
    lines = []
    for row in rows:
        ours = row.get("ours") or {}
        when = " after A" if row["phase"] == "a" else ", stopped after A" if row.get("stopped") else ""
        rebuilt = f"{row['recipe']}{when}" if ours else number(None)
        cells = [Cell(number(row[key], digits, sign=sign)) for key, (digits, sign) in PUBLISHED.items()]
        cells += [Cell(str(row["gates"] or number(None))), Cell(str(row["status"])), Cell(rebuilt)]
        cells += [Cell(signed(ours.get("val_published_margin"))), Cell(number(ours.get("val_recall_at_5")))]
        lines.append(Line(f"{row['number']} {row['name']}", "data", None, cells))
    columns = ["model", "val cosine", "margin", "R@1", "R@5", "gates", "status", "rebuilt here"]
    return Table("As published on 2 November 2025", [*columns, "our margin, their tape", "our R@5"], lines)


TAPE = {
    "val_margin": "margin",
    "val_published_margin": "published margin",
    "val_rollout": "rollout",
    "val_published_rollout": "published rollout",
}
"""Figures of the corrected frame and of the earlier reports', and their titles."""


def tape(rows: Sequence[Row]) -> Table:
    """Margin and rollout of every row in both frames."""
    lines = [
        Line(str(row["name"]), row["kind"], None, [_cell(row, figure, None, interval=True) for figure in TAPE])
        for row in rows
    ]
    return Table("Margin and rollout on val in both frames", ["name", *TAPE.values()], lines)


DATA = {
    "articles": ("articles", count),
    "chunks": ("chunks", count),
    "windows": ("windows", count),
    "chunks_per_article": ("chunks per article", lambda value: number(value, 1)),
    "coherence": ("coherence: cosine of adjacent chunks", number),
    "between_articles": ("cosine of chunks of different articles", number),
    "temporal_signal": ("temporal signal", lambda value: signed(value, 4)),
    "temporal_signal_reversed": ("temporal signal, articles read backwards", lambda value: signed(value, 4)),
    "near_duplicate_of_last": ("next chunk is a near-duplicate of the last", lambda value: number(value, 4)),
    "near_duplicate_in_train": ("chunk has a near-duplicate in train", lambda value: number(value, 4)),
}
"""Lines of the table about the data: title and form."""


def data_table(diagnosis: Mapping[str, Any]) -> Table:
    """The diagnosis, one column a split."""
    lines = [
        Line(title, "data", None, [Cell(form(found.get(name))) for found in diagnosis.values()])
        for name, (title, form) in DATA.items()
    ]
    return Table("What the models are trained and tested on", ["measure", *diagnosis], lines)


def frontier_table(marked: Mapping[str, Mapping[str, Any]]) -> Table:
    """Margin, cosine and R@5 on val of the curves' marked points."""
    figures = ("margin", "cosine", "recall_at_5")
    lines = [
        Line(name, "frontier", None, [Cell(number(point[figure])) for figure in figures])
        for name, point in marked.items()
    ]
    return Table("Marked points of the curves, on val", ["point", "margin", "cosine", "R@5"], lines)
