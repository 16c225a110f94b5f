"""Put what is made into the documents, between its markers: `python docs/refresh.py`.

`results`, `retrieval` and `filling` are figures of the committed run, `speed` lines of metrics/bench.json, and
`recipes` the recipes of params.yaml with the lines where they are defined.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

SHOWN = ("oracle", "copy_last", "context_mean", "corpus_mean")
FAST = ("training, ", "five tests", "scoring 4", "exact search, 64", "encoding 1", "importing", "start-up")
"""How the names of the lines in the README's table of speeds begin."""
FIGURES = (
    *("recall_at_1", "recall_at_5", "mrr", "recall_at_5_unmasked", "full_bank_recall_at_5", "contrastive_accuracy"),
    *("cosine", "centred_cosine", "par", "raw_norm", "margin", "margin_last", "margin_unseen", "rollout"),
    *("published_margin", "published_rollout"),
)


def results(comparison: str) -> str:
    """The tables of recipes and references of metrics/comparison.md, for a page one folder higher."""
    tables = comparison[comparison.index("## Recipes") : comparison.index("## Figures that reward blur")]
    bold = re.sub(r"^## (.*)$", r"**\1**", tables, flags=re.MULTILINE)
    return bold.replace("](../", "](").strip()


def yardstick(table: pd.DataFrame) -> str:
    """What some reference predictors score on each figure of `val`.

    Args:
        table: metrics/comparison.csv, indexed by name.
    """
    lines = ["| figure | " + " | ".join(f"`{name}`" for name in SHOWN) + " |", "|---|" + "---:|" * len(SHOWN)]
    for figure in FIGURES:
        values = table[f"val_{figure}"]
        cells = [f"{values[name]:.4f}" for name in SHOWN]
        lines.append(f"| `{figure}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def retrieval(table: pd.DataFrame, selected: str) -> str:
    """Retrieval among all chunks of the bank: by the prediction, and by the last chunk itself.

    Args:
        table: metrics/comparison.csv, indexed by name.
        selected: name of the selected model's recipe.
    """
    lines = ["| nearest chunks of the bank to | split | R@1 | R@5 | R@10 |", "|---|---|---:|---:|---:|"]
    for split in ("val", "ood"):
        for name, label in ((selected, f"the prediction of `{selected}`"), ("copy_last", "the last chunk itself")):
            figures = [f"{split}_full_bank_recall_at_{k}" for k in (1, 5, 10)]
            cells = [_with_interval(table, name, figure) for figure in figures]
            lines.append(f"| {label} | {split} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _with_interval(table: pd.DataFrame, name: str, figure: str) -> str:
    value, low, high = (table[f"{figure}{end}"][name] for end in ("", "_lo", "_hi"))
    return f"{value:.4f} [{low:.3f}, {high:.3f}]"


def filling(calibration: dict[str, Any]) -> str:
    """How often the true chunk is found when fewer than five chunks are given, by filling strategy (dev).

    Args:
        calibration: metrics/calibration/selected.json.
    """
    dev = calibration["dev"]
    lines = ["| filling | 1 given | 2 given | 3 given | 4 given | mean |", "|---|---:|---:|---:|---:|---:|"]
    for fill in ("repeat", "neighbours"):
        found = [dev[fill][f"{given}_given"]["found"] for given in range(1, 5)]
        lines.append(f"| `{fill}` | " + " | ".join(f"{value:.4f}" for value in [*found, sum(found) / 4]) + " |")
    return "\n".join(lines)


def recipes(params: str) -> str:
    """One line a recipe, with a link to its definition.

    Args:
        params: text of params.yaml.
    """
    lines = ["| recipe | in one line |", "|---|---|"]
    about = yaml.safe_load(params)["recipes"]
    for name, line in definitions(params).items():
        lines.append(f"| [`{name}`](params.yaml#L{line}) | {about[name]['about']} |")
    return "\n".join(lines)


def speed(lines: list[dict[str, Any]]) -> str:
    """The lines of the benchmarks that have a goal and say how fast or how small something is, met or not.

    Args:
        lines: metrics/bench.json.
    """
    rows = ["| what | ratio | goal | against |", "|---|---:|---:|---|"]
    for line in lines:
        if line["goal"] is not None and line["name"].startswith(FAST):
            goal = f"{line['goal']:g}" + ("" if line["met"] else ", **not met**")
            rows.append(f"| {line['name']} | {line['ratio']:.3g} | {goal} | {line['against']} |")
    return "\n".join(rows)


def definitions(params: str) -> dict[str, int]:
    """The line of params.yaml, counted from 1, on which each recipe begins."""
    top = yaml.compose(params)
    assert isinstance(top, yaml.MappingNode)
    (group,) = [value for key, value in top.value if key.value == "recipes"]
    return {key.value: key.start_mark.line + 1 for key, _ in group.value}


def refreshed(document: str, what: str, made: str) -> str:
    """A document with this text between the markers of `what`."""
    begin, end = f"<!-- {what}: made by docs/refresh.py -->", f"<!-- end of {what} -->"
    before, rest = document.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n{made}\n{end}{after}"


def documents(root: Path) -> dict[Path, str]:
    """Every document with something made, as it should be."""
    readme, numbers = root / "README.md", root / "docs/how-to-read-the-numbers.md"
    table = pd.read_csv(root / "metrics/comparison.csv").set_index("name")
    figures = refreshed(readme.read_text(), "results", results((root / "metrics/comparison.md").read_text()))
    selected = json.loads((root / "metrics/ladder.json").read_text())["selected"]["model"]
    calibration = json.loads((root / "metrics/calibration/selected.json").read_text())
    figures = refreshed(figures, "retrieval", retrieval(table, selected))
    figures = refreshed(figures, "filling", filling(calibration))
    figures = refreshed(figures, "speed", speed(json.loads((root / "metrics/bench.json").read_text())))
    return {
        readme: refreshed(figures, "recipes", recipes((root / "params.yaml").read_text())),
        numbers: refreshed(numbers.read_text(), "results", yardstick(table)),
    }


if __name__ == "__main__":
    for path, text in documents(Path()).items():
        path.write_text(text)
