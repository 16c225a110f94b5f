"""`make recipes`: every recipe of params.yaml at a glance. Trains nothing."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from lvm_core.config.groups import Rule
from lvm_core.config.models import ModelParams
from lvm_core.config.params import read_params, validate
from lvm_core.config.recipe import LossTerm, Recipe
from lvm_core.config.resolve import resolve_recipes
from lvm_core.models import build_model, count_parameters
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.readers import read_json

BANK = Path("data/bank/bank.json")

DIMENSION = 384
"""Of the default encoder: the number of parameters is counted with it as long as there is no bank."""

NARROWEST, WIDEST = 120, 160
"""Columns of the table, whatever the terminal has."""

COLUMNS = {"recipe": "<", "architecture": "<", "parameters": ">", "epochs": "<", "curriculum": "<", "losses": "<"}
"""Titles, and which way each column is set."""


def recipe_cells(recipe: Recipe, rule: Rule, dimension: int) -> tuple[str, ...]:
    """The cells of one recipe under `COLUMNS`.

    Args:
        recipe: resolved.
        rule: of its curriculum.
        dimension: D of the vectors, which the number of parameters depends on.
    """
    epochs = recipe.train.epochs
    return (
        recipe.name,
        architecture(recipe.model),
        f"{count_parameters(build_model(recipe.model, dimension)):,}",
        f"{epochs.a}+{epochs.b}+{epochs.c}",
        " by ".join(filter(None, (rule.rule, rule.score))),
        ", ".join(loss_text(name, term) for name, term in recipe.losses.items()),
    )


def architecture(model: ModelParams) -> str:
    """Family, the head where it is not the plain one, and what the model sees beside the context."""
    head = getattr(model, "head", "plain")  # some families have a single head
    parts = [model.family, *([head] if head != "plain" else []), *([f"memory {model.memory}"] if model.memory else [])]
    return ", ".join(parts)


def loss_text(name: str, term: LossTerm) -> str:
    """A loss with its weight, and when it is in force: `micro_ranking 0 -> 0.384 over epochs 1-6`."""
    full, start, first = f"{term.weight:.4g}", f"{term.start:.4g}", term.first_epoch
    if isinstance(term.ramp, list):
        late = f" (from epoch {first})" if first not in (1, term.ramp[0]) else ""
        return f"{name} {start} -> {full} over epochs {term.ramp[0]}-{term.ramp[1]}{late}"
    if term.ramp is not None and term.start and first < term.ramp:
        return f"{name} {start} from epoch {first} and {full} from {term.ramp}"
    begins = max(first, term.ramp or 1)
    return f"{name} {full} from epoch {begins}" if begins > 1 else f"{name} {full}"


def recipe_table(params: Mapping[str, Any], dimension: int, width: int) -> str:
    """All recipes in the order of params.yaml: a line of facts, and a line about it. Those in `names` have a star.

    Args:
        params: from `read_params`, the profile applied.
        dimension: D of the vectors.
        width: columns; what is longer goes on below.

    Raises:
        LvmError: a parameter is wrong, also one that no recipe needs: a run would end with it.
    """
    values = dict(params)
    resolve_recipes(values)  # `names` as it is
    everything, rules = resolve_recipes(values | {"names": list(values["recipes"])})
    rows = [recipe_cells(recipe, rules[recipe.name], dimension) for recipe in everything]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    lines = _lines(" ", tuple(COLUMNS), widths, width)
    for row in rows:
        lines += _lines("*" if row[0] in values["names"] else " ", row, widths, width)
        indent = " " * (widths[0] + 4)
        about = values["recipes"][row[0]]["about"]
        lines += textwrap.wrap(about, width, initial_indent=indent, subsequent_indent=indent)
    return "\n".join(lines)


def _lines(mark: str, cells: tuple[str, ...], widths: list[int], width: int) -> list[str]:
    """Cells in their columns; the last one is wrapped."""
    *fixed, last = (f"{cell:{side}{size}}" for cell, side, size in zip(cells, COLUMNS.values(), widths, strict=True))
    begin = "  ".join([f"{mark} {fixed[0]}", *fixed[1:], ""])
    return textwrap.wrap(begin + last, width, subsequent_indent=" " * len(begin), break_on_hyphens=False)


def dimension_in_force() -> tuple[int, str]:
    """D of the bank if there is one, else of the default encoder; and where it comes from.

    Raises:
        LvmError: the bank's file is damaged.
    """
    if not BANK.exists():
        return DIMENSION, "as of the default encoder (there is no bank yet)"
    raw = read_json(BANK)
    found = raw.get("dimension") if isinstance(raw, dict) else None
    return validate(found, Annotated[int, Field(ge=1)], "dimension", BANK), f"of {BANK}"


def main() -> None:
    """Print the table."""
    params = read_params()
    dimension, source = dimension_in_force()
    width = min(max(shutil.get_terminal_size((WIDEST, 24)).columns, NARROWEST), WIDEST)
    print(recipe_table(params, dimension, width))
    print(f"\n* in names: `dvc repro` trains it. Profile {params['profile']}; D = {dimension}, {source}.")
    print("Epochs of the phases a+b+c; a loss's epochs are counted from 1 over all of them. Definitions: params.yaml.")


if __name__ == "__main__":
    run_stage(main)
