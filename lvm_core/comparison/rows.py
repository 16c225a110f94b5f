"""Rows of the comparison: recipes, references, phases and variants, and the columns made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lvm_core.comparison.rivals import paired, vs_rivals
from lvm_core.config.figures import HEADLINE, MORE, SPLITS, headline
from lvm_core.config.gates import GatesParams
from lvm_core.fivecat.statistics import Judgement
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.readers import read_yaml
from lvm_core.selection import AfterPhases, SetResult
from lvm_core.selection.judge import judge_row, passed_of, status_of
from lvm_core.train import Decision, decision_file, read_decision

ENDS = ("lo", "hi")
"""Of the interval of a figure `x`: `x_lo` and `x_hi`."""

BASELINES = ("copy_last", "p1")
"""Rows whose masked R@5 on val is subtracted from every row's, on the same drawn articles."""

FIGURES = (
    *(f"{split}_{figure}" for split in SPLITS for figure in HEADLINE),
    *(f"val_r5_vs_{baseline}" for baseline in BASELINES),
    *(f"{split}_r5_vs_rival" for split in SPLITS),
)
"""Figures of a row, each with an interval."""

SPREAD = ("val_recall_at_5", "val_cosine", "val_mrr", "ood_recall_at_5", "ood_cosine")
"""Figures `x` with a standard deviation over seeds, `x_sd`, for recipes that were trained with several."""


def columns(sets: Sequence[str]) -> tuple[str, ...]:
    """Columns of metrics/comparison.csv (a contract)."""
    gates = (column for name in sets for column in (f"gates_{name}", f"gates_{name}_of"))
    figures = (column for x in FIGURES for column in (x, *(f"{x}_{end}" for end in ENDS)))
    return ("name", "kind", "sees", "status", *gates, *figures, "seeds", *(f"{x}_sd" for x in SPREAD))


def about_recipes(names: Sequence[str], recipes: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The line about each named recipe (`recipes.<name>.about` in params.yaml).

    Raises:
        LvmError: there is no such recipe, or no line about it.
    """
    for name in names:
        if not isinstance(recipes.get(name, {}).get("about"), str):
            raise LvmError(f"params.yaml: recipes.{name}.about is missing")
    return {name: recipes[name]["about"] for name in names}


def pos_scalars(names: Sequence[str]) -> dict[str, float | None]:
    """The positional scalar of each named recipe as it was resolved (data/recipes); None: without a position.

    Raises:
        LvmError: a resolved recipe is missing or damaged (names the file).
    """
    return {name: _resolved(name).get("pos_scalar") for name in names}


def _resolved(name: str) -> Mapping[str, Any]:
    """The `model` of a resolved recipe; read as plain YAML, because its type brings torch with it."""
    path = Path("data/recipes") / f"{name}.yaml"
    try:
        model: Mapping[str, Any] = read_yaml(path, "run `dvc repro resolve`")["model"]
    except (KeyError, TypeError) as error:
        raise LvmError(f"{path}: cannot be read as a recipe ({error}); run `dvc repro resolve`") from None
    return model


def table_row(name: str, kind: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the table without intervals and differences; None where undefined."""
    row: dict[str, Any] = {"name": name, "kind": kind}
    for split in SPLITS:
        row |= {f"{split}_{figure}": value for figure, value in headline(summary[split]).items()}
    return row


def comparison_rows(
    recipes: Mapping[str, Mapping[str, Any]], references: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """All rows, best masked R@5 on val first; undefined last, equal ones by name."""
    both = set(recipes) & set(references)
    if both:
        raise LvmError(f"params.yaml: recipes.{sorted(both)[0]} has the name of a reference predictor; rename it")
    rows = [table_row(name, "recipe", summary) for name, summary in recipes.items()]
    rows += [table_row(name, "reference", summary) for name, summary in references.items()]

    def order(row: Mapping[str, Any]) -> tuple[bool, float, str]:
        value = row["val_recall_at_5"]
        return value is None, -(value or 0.0), row["name"]

    return sorted(rows, key=order)


def with_intervals(rows: Sequence[Mapping[str, Any]], judgements: Mapping[str, Judgement]) -> list[dict[str, Any]]:
    """The rows with what each `sees`, the interval of each figure, and paired differences to baselines and best rivals.

    The differences to the best rivals are figures for masked R@5, and stand under `vs_rival` for every reading.
    """
    complete = []
    for row in rows:
        own, rivals = judgements[row["name"]], vs_rivals(row["name"], judgements)
        values = {"name": row["name"], "kind": row["kind"], "sees": own.sees, **row, "vs_rival": rivals}
        for figure in (f"{split}_{name}" for split in SPLITS for name in HEADLINE):
            values |= dict(zip((f"{figure}_{end}" for end in ENDS), own.interval(figure), strict=True))
        differences = {f"val_r5_vs_{one}": paired(own, judgements.get(one), "val_recall_at_5") for one in BASELINES}
        differences |= {f"{split}_r5_vs_rival": found["recall_at_5"] for split, found in rivals.items()}
        for figure, found in differences.items():
            values |= {figure: found["difference"], **{f"{figure}_{end}": found[end] for end in ENDS}}
        complete.append(values)
    return complete


def with_gates(
    rows: Sequence[Mapping[str, Any]], judgements: Mapping[str, Judgement], results: Mapping[str, SetResult]
) -> list[dict[str, Any]]:
    """The rows with their status word and, for each set of gates, the number passed and that of gates that apply."""
    return [
        {**row, "status": status_of(row["name"], judgements, results), **passed_of(row["name"], results)}
        for row in rows
    ]


def with_spread(rows: Sequence[Mapping[str, Any]], spread: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows with the number of seeds of each recipe and the standard deviations over them, None with one seed."""
    complete = []
    for row in rows:
        several = spread.get(row["name"])
        values = {f"{x}_sd": several["figures"][x]["sd"] if several else None for x in SPREAD}
        seeds = len(several["seeds"]) if several else 1 if row["kind"] == "recipe" else None
        complete.append({**row, "seeds": seeds, **values})
    return complete


def comparison_csv(rows: Sequence[Mapping[str, Any]], sets: Sequence[str]) -> pd.DataFrame:
    """The rows as a data frame with `columns(sets)`."""
    frame = pd.DataFrame(rows, columns=list(columns(sets)))
    return frame.astype({"seeds": "Int64"})


SHARED = ("articles", "windows", "chance")
"""What a summary says of a split that is the same for every row."""


def beside_the_table(summary: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What a summary holds by split beside the figures of the table and what all rows share: profiles, steps, bins."""
    shown = (*HEADLINE, *MORE, *SHARED)
    return {split: {key: value for key, value in summary[split].items() if key not in shown} for split in SPLITS}


def read_decisions(names: Sequence[str]) -> dict[str, Decision]:
    """What the gates decided on each named recipe after phase A."""
    return {name: read_decision(decision_file("a", name)) for name in names}


def judge_phases(
    params: GatesParams,
    sets: Mapping[str, str],
    judgements: Mapping[str, Mapping[str, Judgement]],
    decisions: Mapping[str, Decision],
) -> dict[str, AfterPhases]:
    """Judge each recipe by its own set (`sets`) after phases A and B (`judgements`), in the corrected frame."""
    found = {}
    for name, chosen in sets.items():
        reached = {phase: judge_row(params, chosen, name, judgements[phase]).outcome for phase in ("a", "b")}
        why = decisions[name].why
        found[name] = AfterPhases(set=chosen, **reached, stopped_after=None if why is None else "a", why=why)
    return found


def seed_spread(by_seed: Mapping[int, Judgement], copy_last: Judgement) -> dict[str, Any]:
    """Spread of a recipe's figures over the seeds it was trained with, and what each has beyond `copy_last`."""
    figures = {}
    for key in SPREAD:
        values = [judgement.value[key] for judgement in by_seed.values()]
        defined = [value for value in values if value is not None]
        figures[key] = (
            {
                "mean": float(np.mean(defined)),
                "sd": float(np.std(defined, ddof=1)),
                "min": min(defined),
                "max": max(defined),
            }
            if len(defined) == len(values)
            else dict.fromkeys(("mean", "sd", "min", "max"))
        )
    against = [_against(judgement, copy_last) for judgement in by_seed.values()]
    return {"seeds": list(by_seed), "figures": figures, "against_copy_last": against}


def _against(own: Judgement, copy_last: Judgement, key: str = "val_recall_at_5") -> dict[str, float | None]:
    return {"recall_at_5": own.value[key], **paired(own, copy_last, key)}


def profile_table(summary: Mapping[str, Any]) -> pd.DataFrame:
    """The offset profiles of a summary: one column a split, one row an offset `k`, NaN where undefined."""
    columns = {split: {int(k): value for k, value in summary[split]["profile"].items()} for split in SPLITS}
    return pd.DataFrame(columns, dtype=float).rename_axis("k")


def stack_tables(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables below one another, with a first column `name` that tells them apart; their indices become columns."""
    return pd.concat(tables, names=["name"]).reset_index()
