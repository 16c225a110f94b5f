"""What the comparison is made of, from data/evaluation/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lvm_core.comparison.columns import SPLITS
from lvm_core.errors import LvmError
from lvm_core.fivecat.resampled import Judgement, judge
from lvm_core.reading import read_json, read_parquet
from lvm_core.statistics import RESAMPLES
from lvm_core.windows import CONTEXT
from lvm_core.yaml_text import read_yaml


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


def read_summaries(directory: str | Path, names: Sequence[str], within: str = "") -> dict[str, dict[str, Any]]:
    """The `summary.json` of each named folder of `directory`, or of the folder `within` each.

    Raises:
        LvmError: one is missing (names it).
    """
    return {name: read_json(Path(directory) / name / within / "summary.json") for name in names}


def read_judgements(
    directory: str | Path,
    names: Sequence[str],
    seed: int,
    coherence_cuts: Sequence[float],
    *,
    within: str = "",
    targets_both_ways: bool = False,
) -> dict[str, Judgement]:
    """All figures of each named folder of `directory` with their bootstrap values, from its tables of windows.

    Args:
        directory: of evaluations of one kind.
        names: of its folders.
        seed: of the draws of articles.
        coherence_cuts: borders of the coherence bins.
        within: folder in each of these that holds the tables; empty: they lie in it itself.
        targets_both_ways: keep only windows whose target is one in either direction of the article (it has five chunks
            before and after it), so that two directions are judged on the same targets.

    Raises:
        LvmError: a table is missing or damaged (names it).
    """
    judgements = {}
    for name in names:
        tables = {split: read_parquet(Path(directory) / name / within / f"{split}.parquet") for split in SPLITS}
        if targets_both_ways:
            tables = {split: table[has_five_after(table)] for split, table in tables.items()}
        judgements[name] = judge(tables, RESAMPLES, seed, coherence_cuts)
    return judgements


def has_five_after(windows: pd.DataFrame) -> pd.Series:
    """Which windows of a table have a target with five chunks after it in its article."""
    chunks = windows["candidates_unmasked"]  # of the article: all of them are candidates
    return windows["position"] < chunks - CONTEXT
