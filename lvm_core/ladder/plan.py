"""The order of the attempts, as a list: whatever comes first and passes ends the ladder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lvm_core.ladder.params import LadderParams
from lvm_core.ladder.raising import number_at, raised_recipe
from lvm_core.recipe import Recipe


@dataclass(frozen=True)
class Attempt:
    """One phase A to be judged.

    Attributes:
        name: the recipe's, with `-retry-<n>` after it for a retry (no recipe can have such a name).
        recipe: what is trained: the one of the pipeline, or the raised one.
        retry: 0 for the recipe of the pipeline.
        step: what the summary calls it, None if it has no name for it.
        parameters: numbers of this recipe that some rung raises, by dotted key.
    """

    name: str
    recipe: Recipe
    retry: int
    step: str | None
    parameters: dict[str, float]


def plan_attempts(params: LadderParams, recipes: Mapping[str, Recipe]) -> list[Attempt]:
    """All attempts there may be, in order; rungs whose recipe is not among `recipes` are left out.

    Args:
        params: the ladder.
        recipes: those in `names`, resolved.

    Raises:
        LvmError: as `raising.raised_recipe`.
    """
    keys = list(dict.fromkeys(key for rung in params.rungs for key in rung.raised))
    attempts = []
    for place, rung in enumerate(params.rungs):
        for retry in range(rung.retries + 1) if rung.recipe in recipes else ():
            recipe = recipes[rung.recipe]
            if retry:
                recipe = raised_recipe(recipe, rung.raised, retry, f"ladder.rungs.{place}.raise")
            numbers = {key: number_at(recipe, key) for key in keys}
            known = {key: number for key, number in numbers.items() if number is not None}
            attempts.append(Attempt(attempt_name(rung.recipe, retry), recipe, retry, rung.step, known))
    return attempts


def attempt_name(recipe: str, retry: int) -> str:
    """`p5_1`, `p5_1-retry-1`, ..."""
    return f"{recipe}-retry-{retry}" if retry else recipe


def skipped_rungs(params: LadderParams, recipes: Mapping[str, Recipe]) -> dict[str, str | None]:
    """Recipes of rungs that are not among `recipes`, in order, and what the summary calls them."""
    return {rung.recipe: rung.step for rung in params.rungs if rung.recipe not in recipes}
