"""What the comparison is made of, from data/evaluation/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lvm_core.comparison.columns import SPLITS
from lvm_core.errors import LvmError
from lvm_core.files import read_json, read_parquet
from lvm_core.fivecat.resampled import Judgement, judge
from lvm_core.statistics import RESAMPLES
from lvm_core.windows import CONTEXT


def about_recipes(names: Sequence[str], recipes: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The line about each named recipe (`recipes.<name>.about` in params.yaml).

    Raises:
        LvmError: there is no such recipe, or no line about it.
    """
    for name in names:
        if not isinstance(recipes.get(name, {}).get("about"), str):
            raise LvmError(f"params.yaml: recipes.{name}.about is missing")
    return {name: recipes[name]["about"] for name in names}


def pos_scalars(names: Sequence[str], params: Mapping[str, Any]) -> dict[str, float | None]:
    """The positional scalar of each named recipe; None: without a position.

    As `lvm_core.resolve` takes it: the recipe's own `model.pos_scalar`, else that of `model`; `{param: a.b}` stands for
    the top-level parameter a.b. That the values are good has been checked there.

    Raises:
        LvmError: there is no such parameter.
    """
    own = {name: params["recipes"][name].get("model", {}) for name in names}
    found = {name: model.get("pos_scalar", params["model"].get("pos_scalar")) for name, model in own.items()}
    return {name: _followed(value, params, f"recipes.{name}.model.pos_scalar") for name, value in found.items()}


def _followed(value: Any, params: Mapping[str, Any], where: str) -> Any:
    """The parameter that `{param: a.b}` stands for; any other value itself.

    Raises:
        LvmError: there is no such parameter.
    """
    if not isinstance(value, dict):
        return value
    found: Any = params
    for part in str(value.get("param")).split("."):
        if not isinstance(found, Mapping) or part not in found:
            raise LvmError(f"params.yaml: {where} = {value!r}: there is no such parameter")
        found = found[part]
    return found


def read_summaries(directory: str | Path, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The `summary.json` of each named folder of `directory`.

    Raises:
        LvmError: one is missing (names it).
    """
    return {name: read_json(Path(directory) / name / "summary.json") for name in names}


def read_judgements(
    directory: str | Path,
    names: Sequence[str],
    seed: int,
    coherence_cuts: Sequence[float],
    *,
    targets_both_ways: bool = False,
) -> dict[str, Judgement]:
    """All figures of each named folder of `directory` with their bootstrap values, from its tables of windows.

    Args:
        directory: of evaluations of one kind.
        names: of its folders.
        seed: of the draws of articles.
        coherence_cuts: borders of the coherence bins.
        targets_both_ways: keep only windows whose target is one in either direction of the article (it has five chunks
            before and after it), so that two directions are judged on the same targets.

    Raises:
        LvmError: a table is missing or damaged (names it).
    """
    judgements = {}
    for name in names:
        tables = {split: read_parquet(Path(directory) / name / f"{split}.parquet") for split in SPLITS}
        if targets_both_ways:
            tables = {split: table[has_five_after(table)] for split, table in tables.items()}
        judgements[name] = judge(tables, RESAMPLES, seed, coherence_cuts)
    return judgements


def has_five_after(windows: pd.DataFrame) -> pd.Series:
    """Which windows of a table have a target with five chunks after it in its article."""
    chunks = windows["candidates_unmasked"]  # of the article: all of them are candidates
    return windows["position"] < chunks - CONTEXT
