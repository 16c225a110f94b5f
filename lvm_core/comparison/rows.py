"""The rows of the comparison table: figures, intervals, paired differences, gates, spread over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lvm_core.comparison.columns import BASELINES, ENDS, FIGURES, SPLITS, SPREAD, columns
from lvm_core.errors import LvmError
from lvm_core.fivecat.headline import headline
from lvm_core.fivecat.resampled import Judgement
from lvm_core.gates.judge import passed_of, status_of
from lvm_core.gates.results import SetResult
from lvm_core.statistics import interval


def table_row(name: str, kind: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the table without intervals and differences; None where undefined."""
    row: dict[str, Any] = {"name": name, "kind": kind}
    for split in SPLITS:
        row |= {f"{split}_{figure}": value for figure, value in headline(summary[split]).items()}
    return row


def comparison_rows(
    recipes: Mapping[str, Mapping[str, Any]], references: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """All rows, best masked R@5 on val first; undefined last, equal ones by name.

    Args:
        recipes: summary by name.
        references: summary by name.

    Raises:
        LvmError: two rows have the same name.
    """
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
    """The rows with the 95 % interval of each figure, and with the paired differences to the baselines.

    Args:
        rows: from `comparison_rows`.
        judgements: of every row, on the same windows.
    """
    point = {row["name"]: row["val_recall_at_5"] for row in rows}
    complete = []
    for row in rows:
        values, drawn = dict(row), dict(judgements[row["name"]].draws)
        for baseline in BASELINES:
            key, pair = f"val_r5_vs_{baseline}", (row["val_recall_at_5"], point.get(baseline))
            values[key] = None if None in pair else pair[0] - pair[1]
            if values[key] is not None:
                drawn[key] = drawn["val_recall_at_5"] - judgements[baseline].draws["val_recall_at_5"]
        for figure in FIGURES:
            ends = (None, None) if values[figure] is None else interval(drawn[figure])
            values |= {f"{figure}_{end}": value for end, value in zip(ENDS, ends, strict=True)}
        complete.append(values)
    return complete


def best_two(rows: Sequence[Mapping[str, Any]], judgements: Mapping[str, Judgement]) -> dict[str, Any] | None:
    """The paired difference in masked R@5 on val of the two best recipes: can they be told apart?

    Args:
        rows: in their order.
        judgements: of every row.

    Returns:
        `names` (better one first), `difference`, `lo`, `hi` (None where there is no interval); None with fewer than two
        recipes whose R@5 is defined.
    """
    names = [row["name"] for row in rows if row["kind"] == "recipe" and row["val_recall_at_5"] is not None][:2]
    if len(names) < 2:
        return None
    first, second = (judgements[name] for name in names)
    low, high = interval(first.draws["val_recall_at_5"] - second.draws["val_recall_at_5"])
    point = {row["name"]: row["val_recall_at_5"] for row in rows}
    return {"names": names, "difference": point[names[0]] - point[names[1]], "lo": low, "hi": high}


def with_gates(
    rows: Sequence[Mapping[str, Any]], judgements: Mapping[str, Judgement], results: Mapping[str, SetResult]
) -> list[dict[str, Any]]:
    """The rows with their status word and, for each set of gates, the number passed and that of gates that apply."""
    return [
        {**row, "status": status_of(row["name"], judgements, results), **passed_of(row["name"], results)}
        for row in rows
    ]


def with_spread(rows: Sequence[Mapping[str, Any]], spread: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows with the number of seeds of each recipe and the standard deviations over them, None with one seed.

    Args:
        rows: of recipes and references.
        spread: from `variants.seed_spread`, for the recipes that were trained with several.
    """
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
