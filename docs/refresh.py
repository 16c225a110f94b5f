"""Put what is made into the documents, between its markers: `python docs/refresh.py`.

`finding` (README.md), `results` (docs/results.md, docs/how-to-read-the-numbers.md), `retrieval` and `filling`
(docs/service.md) are figures of the committed run, `speed` (docs/speed.md) lines of metrics/bench.json, and `recipes`
(docs/recipes.md) the recipes of params.yaml. The report names the parameters that differ from those of
lvm_core/report/default_params.json, which are made here too. The model in demo/ and its calibration are copies of those
in data/.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from lvm_core.config.params import read_params
from lvm_core.report.page import flat

SHOWN = ("oracle", "copy_last", "context_mean", "corpus_mean", "decay_memory")
FAST = ("training, ", "five tests", "scoring 4", "exact search, 64", "encoding 1", "importing", "start-up")
"""How the names of the lines in the table of docs/speed.md begin."""
BASELINE, COPY, CHANCE, ANSWER = "p1", "copy_last", "random", "oracle"
"""Rows with a part of their own in the README's table; `oracle` is told the answer."""
FIGURES = (
    *("recall_at_1", "recall_at_5", "mrr", "recall_at_5_forward", "recall_at_5_centred", "recall_at_5_unmasked"),
    *("full_bank_recall_at_5", "contrastive_accuracy"),
    *("cosine", "centred_cosine", "par", "raw_norm", "margin", "margin_last", "margin_unseen", "rollout"),
    *("published_margin", "published_rollout"),
)


def results(comparison: str) -> str:
    """The tables of recipes and references of metrics/comparison.md."""
    return comparison[comparison.index("## Recipes") : comparison.index("## All figures")].strip()


def finding(table: pd.DataFrame, selected: str) -> str:
    """Six rows of the comparison, best R@5 first, and what follows from them.

    The rows are the selected recipe or reference predictor, the baseline, `copy_last`, `random`, and of the others that
    do not see the whole document the best recipe and the best reference predictor.

    Args:
        table: metrics/comparison.csv, indexed by name.
        selected: name of the selected row.
    """
    ranked = table.sort_values("val_recall_at_5", ascending=False)
    named = [selected, BASELINE, COPY, CHANCE]
    fair = ranked[ranked["sees"].isin(["context", "memory"]) & ~ranked.index.isin(named)]
    best = [fair.index[fair["kind"] == kind][0] for kind in ("recipe", "reference")]
    rows = ranked.loc[ranked.index.isin(list(dict.fromkeys([*named, *best, *fair.index]))[:6])]
    lines = ["| name | sees | R@5 on `val` | R@5 on `ood` | cosine on `val` |", "|---|---|---:|---:|---:|"]
    for name, row in rows.iterrows():
        label = f"`{name}` (reference)" if row["kind"] == "reference" else f"`{name}`"
        ranks = " | ".join(_with_interval(table, str(name), f"{split}_recall_at_5") for split in ("val", "ood"))
        lines.append(f"| {label} | {row['sees']} | {ranks} | {row['val_cosine']:.4f} |")
    return "\n".join([*lines, "", _follows(table, rows)])


def _follows(table: pd.DataFrame, rows: pd.DataFrame) -> str:
    """What the rows of `finding` say, in words."""
    recipes = table[table["kind"] == "recipe"]
    whole = [f"`{name}`" for name in recipes.index[recipes["status"] == "forward"]]
    verb = "passes" if len(whole) == 1 else "pass"
    named = f": {', '.join(whole)}" if whole else ""
    said = [f"{len(whole)} of {len(recipes)} recipes {verb} every certified gate{named}."]
    best = str(rows.index[rows["kind"] == "recipe"][0])
    leads = " and ".join(f"{_with_interval(table, best, f'{x}_r5_vs_rival', '+')} on `{x}`" for x in ("val", "ood"))
    said.append(f"R@5 of `{best}` minus that of the best reference predictor that sees as much: {leads}.")
    cosine, recall = rows["val_cosine"], rows["val_recall_at_5"]
    if cosine[BASELINE] > cosine[COPY] and recall[BASELINE] < recall[COPY]:
        said.append(f"`{BASELINE}` has a higher cosine than `{COPY}` and a lower R@5: cosine rewards averages.")
    said.append(f"On `ood`, `{rows['ood_recall_at_5'].idxmax()}` has the highest R@5 of these rows.")
    return "\n".join(said)


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


def _with_interval(table: pd.DataFrame, name: str, figure: str, sign: str = "") -> str:
    value, low, high = (table[f"{figure}{end}"][name] for end in ("", "_lo", "_hi"))
    return f"{value:{sign}.4f} [{low:{sign}.3f}, {high:{sign}.3f}]"


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
    """One line a recipe, in the order of params.yaml.

    Args:
        params: text of params.yaml.
    """
    lines = ["| recipe | in one line |", "|---|---|"]
    lines += [f"| `{name}` | {recipe['about']} |" for name, recipe in yaml.safe_load(params)["recipes"].items()]
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


def refreshed(document: str, what: str, made: str) -> str:
    """A document with this text between the markers of `what`."""
    begin, end = f"<!-- {what}: made by docs/refresh.py -->", f"<!-- end of {what} -->"
    before, rest = document.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n{made}\n{end}{after}"


def default_params(root: Path) -> str:
    """The parameters of params.yaml by dotted key, one a line."""
    lines = [
        f"{json.dumps(key)}: {json.dumps(value)}" for key, value in flat(read_params(root / "params.yaml")).items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def documents(root: Path) -> dict[Path, str]:
    """Every document with something made, as it should be."""

    def made(document: str, *parts: tuple[str, str]) -> tuple[Path, str]:
        path = root / document
        text = path.read_text()
        for what, new in parts:
            text = refreshed(text, what, new)
        return path, text

    table = pd.read_csv(root / "metrics/comparison.csv").set_index("name")
    chosen = json.loads((root / "metrics/ladder.json").read_text())["selected"]
    calibration = json.loads((root / "metrics/calibration/selected.json").read_text())
    bench = json.loads((root / "metrics/bench.json").read_text())
    return dict(
        [
            made("README.md", ("finding", finding(table, chosen["recipe"]))),
            made("docs/results.md", ("results", results((root / "metrics/comparison.md").read_text()))),
            made("docs/recipes.md", ("recipes", recipes((root / "params.yaml").read_text()))),
            made(
                "docs/service.md", ("filling", filling(calibration)), ("retrieval", retrieval(table, chosen["model"]))
            ),
            made("docs/speed.md", ("speed", speed(bench))),
            made("docs/how-to-read-the-numbers.md", ("results", yardstick(table))),
            (root / "lvm_core/report/default_params.json", default_params(root)),
        ]
    )


def renew_demo(root: Path) -> None:
    """Copy the selected model and its calibration into demo/, byte for byte."""
    shutil.rmtree(root / "demo/selected", ignore_errors=True)
    shutil.copytree(root / "data/models/selected", root / "demo/selected")
    shutil.copyfile(root / "data/calibration/selected.json", root / "demo/calibration.json")


if __name__ == "__main__":
    for path, text in documents(Path()).items():
        path.write_text(text)
    renew_demo(Path())
