"""The comparison as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lvm_core.comparison import Comparison
from lvm_core.comparison.as_published import as_published_chapter
from lvm_core.comparison.claims import claims_text
from lvm_core.comparison.evidence import Claim
from lvm_core.comparison.read import BLURRED, COPYING, ENDS, RANKING, SPREAD, left_out_text
from lvm_core.config.gates import GatesParams
from lvm_core.fivecat.statistics import CONFIDENCE, FEWEST_ARTICLES, RESAMPLES
from lvm_core.frontier.answer import answer
from lvm_core.selection.gates_text import STATUS_WORDS, after_phases_text, gates_text

Row = Mapping[str, Any]

PUBLISHED = {
    "val_margin": "margin",
    "val_published_margin": "published margin",
    "val_rollout": "rollout",
    "val_published_rollout": "published rollout",
}


def comparison_text(
    rows: Sequence[Row],
    about: Mapping[str, str],
    windows: Mapping[str, int],
    articles: Mapping[str, int],
    chapters: Sequence[str] = (),
) -> str:
    """The page: recipes, then the reference predictors, then further chapters, then the published frame.

    Args:
        rows: complete, in their order.
        about: one line on each recipe.
        windows: number of windows by split.
        articles: number of articles with a window by split.
        chapters: Markdown, each beginning with a heading.
    """
    recipes = [row for row in rows if row["kind"] == "recipe"]
    references = [row for row in rows if row["kind"] == "reference"]
    undefined = any(row[column] is None for row in rows for column in (*RANKING, *BLURRED))
    lines = [
        "# Comparison",
        "",
        "The whole report with pictures: [plots/report.html](../plots/report.html). What each figure means: "
        "[How to read the numbers](../docs/how-to-read-the-numbers.md).",
        "",
        "Corrected frame: the prediction is compared with the chunk after the last context chunk. "
        f"{windows['val']:,} windows of `val`, {windows['ood']:,} of `ood`. Sorted by R@5 on `val`: is the next chunk "
        "among the five of its article that are nearest to the prediction (the 5 context chunks are not among the "
        "candidates)?",
        "",
        *(
            [f"**Only {articles['val']} article(s) of val: intervals are too narrow, and verdicts mean little.**", ""]
            if articles["val"] < FEWEST_ARTICLES
            else []
        ),
        f"In brackets: {CONFIDENCE:.0%} interval of a bootstrap over articles ({articles['val']} of `val`, "
        f"{articles['ood']} of `ood`; {RESAMPLES:,} draws). The difference to `copy_last` is paired: both are judged "
        "on the same drawn articles.",
        "",
        "![R@5 and cosine of all rows](../plots/comparison.svg)",
        "",
        "## Recipes",
        "",
        *markdown_table(recipes, RANKING, mark_best=True),
        "",
        *(f"- `{row['name']}`: {about[row['name']]}" for row in recipes),
        "",
        *("Status, the first that is true:", ""),
        *(f"- `{word}`: {meaning}." for word, meaning in STATUS_WORDS.items()),
        "",
        "## Reference predictors on the same windows",
        "",
        *markdown_table(references, RANKING),
        "",
        "`oracle` answers with the true chunk and shows what a perfect predictor scores; `article_centroid` cheats (it "
        "sees the whole article); the others have nothing or little to learn, and are what a recipe has to beat.",
        "",
        "## Figures that reward blur",
        "",
        "Cosine, margins and rollout are best for a blurred prediction (the mean of the corpus has a margin near 0): "
        "nothing is sorted or marked by them. Centred: after the mean of the split has been taken off. PAR: "
        "closeness to the context, over that of the truth (text: 1, a copy: more).",
        "",
        *markdown_table(rows, BLURRED),
        "",
        *(line for chapter in chapters for line in (chapter.strip(), "")),
        "## The same predictors on the earlier reports' tape",
        "",
        "The earlier reports compared each prediction with the chunk after the one it was to predict (see [the story "
        "of the off-by-one](../docs/how-to-read-the-numbers.md#the-story-of-the-off-by-one)). On that tape no good "
        "predictor can pass: look at `oracle`. The figures are for reading those reports; nothing is judged by them.",
        "",
        *markdown_table(rows, PUBLISHED),
        "",
        *(["`-`: undefined on these data; [diagnosis.md](diagnosis.md) says why.", ""] if undefined else []),
        "![offset profile](../plots/offset_profile.svg)",
        "",
    ]
    return "\n".join(lines)


def markdown_table(rows: Sequence[Row], shown: Mapping[str, str], *, mark_best: bool = False) -> list[str]:
    """Rows of the comparison as a table: name, status, then columns."""
    best = {
        column: max((row[column] for row in rows if row[column] is not None), default=None)
        for column in shown
        if mark_best and len({row[column] for row in rows} - {None}) > 1
    }
    lines = ["| name | status | " + " | ".join(shown.values()) + " |", "|---|---|" + "---:|" * len(shown)]
    for row in rows:
        cells = [
            _cell(row, column, best=column in best and row[column] is not None and row[column] == best[column])
            for column in shown
        ]
        lines.append(f"| `{row['name']}` | {row['status']} | " + " | ".join(cells) + " |")
    return lines


def _cell(row: Row, column: str, *, best: bool) -> str:
    value = row[column]
    if value is None:
        return "-"
    low, high = (row[f"{column}_{end}"] for end in ENDS)
    shown = f"**{value:.4f}**" if best else f"{value:.4f}"
    return shown if low is None else f"{shown} [{low:.3f}, {high:.3f}]"


def time_direction_chapter(
    tables: Mapping[str, Mapping[str, Mapping[str, float | None]]], left_out: Sequence[str] = ()
) -> list[str]:
    """The chapter on recipes trained and tested on articles read backwards, as one Markdown text or none."""
    heading = ["## Time direction", *(["", left_out_text(left_out)] if left_out else [])]
    if not tables:
        return ["\n".join(heading)] if left_out else []
    lines = [
        *heading,
        "",
        "The same recipe, trained and tested on articles read backwards, over the targets that both directions have. "
        "Predictors that only copy know nothing of time, but ranks within an article are not symmetric: a direction "
        "shows where a recipe's own difference leaves 0 by more than its interval, and goes beyond those of "
        "`copy_last` and `context_mean`.",
        "",
        "| name | figure | forwards | backwards | difference | beyond copy_last |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, table in tables.items():
        for key, cell in table.items():
            numbers = [_number(cell["forward"]), _number(cell["reversed"])]
            for part, ends in (("difference", ("lo", "hi")), ("beyond_copy_last", None)):
                low, high = ends or (f"{part}_lo", f"{part}_hi")
                if ends is None and name in COPYING:
                    numbers.append("-")
                    continue
                shown = _number(cell[part], "+.4f")
                numbers.append(shown if cell[low] is None else f"{shown} [{cell[low]:+.3f}, {cell[high]:+.3f}]")
            lines.append(f"| `{name}` | {key} | " + " | ".join(numbers) + " |")
    return ["\n".join(lines)]


def seeds_chapter(spread: Mapping[str, Mapping[str, Any]], left_out: Sequence[str] = ()) -> list[str]:
    """The chapter on the spread over seeds, as one Markdown text, or none if no recipe was repeated."""
    heading = ["## Spread over seeds", *(["", left_out_text(left_out)] if left_out else [])]
    if not spread:
        return ["\n".join(heading)] if left_out else []
    lines = [
        *heading,
        "",
        "The same recipe trained again with other seeds (first weights, order of the windows, dropout).",
        "",
        "| recipe | seeds | figure | mean | sd | lowest | highest |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for name, several in spread.items():
        seeds = ", ".join(str(seed) for seed in several["seeds"])
        for key in SPREAD:
            cells = [_number(several["figures"][key][part]) for part in ("mean", "sd", "min", "max")]
            lines.append(f"| `{name}` | {seeds} | {key} | " + " | ".join(cells) + " |")
    lines += ["", "| recipe | seed | R@5 on val | R@5 - copy_last |", "|---|---:|---:|---:|"]
    for name, several in spread.items():
        for seed, one in zip(several["seeds"], several["against_copy_last"], strict=True):
            ends = "" if one["lo"] is None else f" [{one['lo']:+.3f}, {one['hi']:+.3f}]"
            difference = f"{_number(one['difference'], '+.4f')}{ends}"
            lines.append(f"| `{name}` | {seed} | {_number(one['recall_at_5'])} | {difference} |")
    return ["\n".join(lines)]


def _number(value: float | None, form: str = ".4f") -> str:
    return "-" if value is None else format(value, form)


def chapters(done: Comparison, gates: GatesParams, frontier: Mapping[str, Any], claims: Sequence[Claim]) -> list[str]:
    """What can be reached, time direction, seeds (where there are any), gates, claims, the published table.

    Args:
        done: the comparison.
        gates: policy and sets.
        frontier: metrics/frontier.json.
        claims: measured.

    Returns:
        Markdown, each beginning with a heading.
    """
    rows = done.json["rows"]
    return [
        f"## What can be reached\n\n{answer(frontier, rows)}",
        *time_direction_chapter(done.json["time_direction"], done.json["left_out"]["time_direction"]),
        *seeds_chapter(done.json["seeds"], done.json["left_out"]["seeds"]),
        gates_text(gates, done.results, {row["name"]: row["kind"] for row in rows}),
        after_phases_text(gates, done.after_phases),
        "\n".join(claims_text(claims)),
        as_published_chapter(done.json["as_published"]),
    ]
