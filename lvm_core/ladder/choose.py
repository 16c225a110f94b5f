"""The fallback: the best recipe on `dev`, from what training wrote down; nothing of `val` or `ood` is read here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lvm_core.errors import LvmError
from lvm_core.ladder.params import CRITERIA, Criterion
from lvm_core.reading import read_json

Figures = Mapping[str, float | None]


def kept_epoch(directory: Path) -> tuple[int, str]:
    """Epoch whose weights a model directory holds, counted from 1, and the last phase it went through.

    Raises:
        LvmError: the directory is missing or damaged (names the file and the remedy).
    """
    path = directory / "model.json"
    info = read_json(path)
    try:
        return int(info["epoch"]), str(info["phase"])
    except (KeyError, TypeError, ValueError) as error:
        raise LvmError(f"{path}: has no epoch and phase ({error}); delete the folder and run `dvc repro`") from error


def figures_at(curves: pd.DataFrame, epoch: int, path: str) -> dict[str, float | None]:
    """The figures on `dev` of an epoch: `recall_at_5` and `cosine`, None where undefined.

    Args:
        curves: plots/training/<recipe>.csv with its epoch as index.
        epoch: counted from 1 over all phases.
        path: of the file, for the message.

    Raises:
        LvmError: the epoch or a figure is missing.
    """
    columns = {name: f"dev_{name}" for name in CRITERIA}
    if epoch not in curves.index or not set(columns.values()) <= set(curves.columns):
        raise LvmError(f"{path}: has no figures on dev of epoch {epoch}, which the model kept; run `dvc repro`")
    return {name: _defined(curves.at[epoch, column]) for name, column in columns.items()}


def figures_in(history: Sequence[Mapping[str, Any]], epoch: int) -> dict[str, float | None]:
    """The same from the history in a model's own json."""
    row = next(row for row in history if row["epoch"] == epoch)
    return {name: _defined(row[f"dev_{name}"]) for name in CRITERIA}


def _defined(value: Any) -> float | None:
    return None if value is None or math.isnan(float(value)) else float(value)


def best_on_dev(figures: Mapping[str, Figures], criterion: Criterion) -> tuple[str, Criterion]:
    """Name of the recipe with the best figure on `dev`, the first of equals, and the figure that decided.

    That is the criterion, or, where it is undefined for all recipes, the other figure.

    Args:
        figures: by recipe, in the order of `names`; at least one.
        criterion: asked for.
    """
    wanted = (criterion, *(other for other in CRITERIA if other != criterion))
    decides = next((one for one in wanted if any(found[one] is not None for found in figures.values())), criterion)

    def value(name: str) -> float:
        found = figures[name][decides]
        return -math.inf if found is None else found

    return max(figures, key=value), decides
