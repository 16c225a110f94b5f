"""What a retry trains: the resolved recipe with some of its numbers raised, checked like any other recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from lvm_core.errors import LvmError
from lvm_core.ladder.params import LadderParams
from lvm_core.params import PARAMS_FILE, shown
from lvm_core.recipe import Recipe

DIGITS = 10
"""Decimals that a raised number is rounded to: 0.1 + 0.05 is 0.15, and not 0.15000000000000002."""


def number_at(recipe: Recipe, key: str) -> float | None:
    """The number at a dotted key of a resolved recipe (`model.pos_scalar`); None where there is none."""
    value: Any = recipe.model_dump()
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def raised_recipe(recipe: Recipe, amounts: Mapping[str, float], times: int, where: str = "ladder") -> Recipe:
    """The recipe with `times` each amount added to its number.

    Args:
        recipe: resolved.
        amounts: by dotted key.
        times: 1 for the first retry.
        where: key in params.yaml, for messages.

    Raises:
        LvmError: there is no number at a key, or a raised one is beyond its limit or does not go with the others.
    """
    values, totals = recipe.model_dump(), {}
    for key, amount in amounts.items():
        number = number_at(recipe, key)
        if number is None:
            raise LvmError(
                f"{PARAMS_FILE}: {where}: recipe {recipe.name} has no number at {key!r}; name a number of its resolved "
                "recipe, such as model.pos_scalar"
            )
        *path, last = key.split(".")
        group = values
        for part in path:
            group = group[part]
        total = round(number + times * amount, DIGITS)
        group[last] = totals[key] = int(total) if isinstance(number, int) and total == int(total) else total
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise LvmError(
            f"{PARAMS_FILE}: {where}: recipe {recipe.name} in retry {times}: {_reason(error.errors()[0], totals)}; "
            "change raise, or lower retries"
        ) from None


def _reason(error: ErrorDetails, totals: Mapping[str, float]) -> str:
    """What is wrong, and with which number: the one at fault, or all raised ones if it is how they go together."""
    message = error["msg"].removeprefix("Value error, ")
    if isinstance(error["input"], Mapping):
        return f"{', '.join(f'{key} = {total!r}' for key, total in totals.items())}: {message}"
    return f"{'.'.join(map(str, error['loc']))} = {shown(error['input'])}: {message[0].lower()}{message[1:]}"


def check_rungs(params: LadderParams, recipes: Mapping[str, Recipe]) -> None:
    """Check that every attempt of the ladder could be trained, before anything runs.

    Args:
        params: the ladder.
        recipes: all of params.yaml by name, resolved, whether they are in `names` or not.

    Raises:
        LvmError: a rung's recipe does not exist, or as `raised_recipe`.
    """
    for place, rung in enumerate(params.rungs):
        where = f"ladder.rungs.{place}"
        if rung.recipe not in recipes:
            raise LvmError(
                f"{PARAMS_FILE}: {where}.recipe = {rung.recipe!r}: there is no such recipe; defined are "
                f"{', '.join(recipes)}"
            )
        for retry in range(1, rung.retries + 1):
            raised_recipe(recipes[rung.recipe], rung.raised, retry, f"{where}.raise")
