"""The ladder: the order of attempts, and the recipes that its retries train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from lvm_core.config.groups import EvaluateParams
from lvm_core.config.params import PARAMS_FILE, Device, Group, reason, shown
from lvm_core.config.recipe import Recipe
from lvm_core.config.settings import WholeSettings
from lvm_core.runtime.errors import LvmError

Criterion = Literal["full_bank_recall_at_5", "recall_at_5", "cosine"]

CRITERIA: tuple[Criterion, ...] = get_args(Criterion)
"""Figures on `dev` that are known of every final model and reference; the first is what the service is about."""

OF_EPOCHS = ("recall_at_5", "cosine")
"""Those that are known of every epoch of every recipe."""

SHAPING = ("model", "corruption", "losses", "train")
"""Groups of a resolved recipe whose numbers may be raised; the rest says how or by which draws it is trained."""


class Rung(Group):
    """A recipe to try, and what to change in it if its phase A does not pass."""

    recipe: str
    """Its name; a recipe that is not in `names` is skipped."""
    step: str | None = None
    """What the summary calls it, for the report."""
    retries: Annotated[int, Field(ge=0, le=20, description="how many more times phase A is trained, at most")] = 0
    raised: Annotated[dict[str, float], Field(alias="raise", default_factory=dict)]
    """`raise` in params.yaml: amounts by dotted key of the resolved recipe, added at each retry."""

    @field_validator("raised")
    @classmethod
    def _shapes_training(cls, raised: dict[str, float]) -> dict[str, float]:
        for key in raised:
            if key.split(".")[0] not in SHAPING:
                raise ValueError(
                    f"{key} is no number of {', '.join(SHAPING)}; raise one of these, like model.pos_scalar"
                )
        return raised

    @model_validator(mode="after")
    def _retries_differ(self) -> Self:
        if self.retries and not any(self.raised.values()):
            raise ValueError(f"{self.recipe}: retries = {self.retries} without raise would train the same again")
        return self


class LadderParams(Group):
    """The order of attempts and how one is chosen if none passes."""

    sample: Annotated[int, Field(ge=1, le=1_000_000, description="windows that the Option 1 check looks at")]
    criterion: Criterion
    """Figure on `dev` by which the fallback chooses; where it is undefined for all, the next of `CRITERIA`."""
    rungs: list[Rung]
    """Tried in this order; the first whose phase A passes its gates is selected."""

    @field_validator("rungs")
    @classmethod
    def _each_once(cls, rungs: list[Rung]) -> list[Rung]:
        names = [rung.recipe for rung in rungs]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"recipe {name} has two rungs; give it one with more retries")
        return rungs


class LadderSettings(WholeSettings):
    """What the stage `ladder` reads."""

    stage = "ladder"
    of_recipes = ("about", "gates")
    ladder: LadderParams
    evaluate: EvaluateParams
    device: Device


def number_at(recipe: Recipe, key: str) -> float | None:
    """The number at a dotted key of a resolved recipe (`model.pos_scalar`); None where there is none."""
    value: Any = recipe.model_dump()
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def raised_recipe(recipe: Recipe, amounts: Mapping[str, float], times: int, where: str = "ladder") -> Recipe:
    """The recipe with `times` (1 for the first retry) each amount added to the number at its dotted key.

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
        total = round(number + times * amount, 10)  # 0.1 + 0.05 is 0.15, and not 0.15000000000000002
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
    if isinstance(error["input"], Mapping):
        return f"{', '.join(f'{key} = {total!r}' for key, total in totals.items())}: {reason(error)}"
    return f"{'.'.join(map(str, error['loc']))} = {shown(error['input'])}: {reason(error)}"


def check_servable(where: str, name: str, recipe: Recipe) -> None:
    """Check that a recipe may be selected and served."""
    if recipe.model.memory == "document":
        raise LvmError(
            f"{PARAMS_FILE}: {where} has {name}: it sees the whole document (model.memory), which a text that is being "
            "written does not have; take it out"
        )


def check_rungs(params: LadderParams, recipes: Mapping[str, Recipe]) -> None:
    """Check that every attempt of the ladder could be trained, before anything runs."""
    for place, rung in enumerate(params.rungs):
        where = f"ladder.rungs.{place}"
        if rung.recipe not in recipes:
            raise LvmError(
                f"{PARAMS_FILE}: {where}.recipe = {rung.recipe!r}: there is no such recipe; defined are "
                f"{', '.join(recipes)}"
            )
        check_servable(where, rung.recipe, recipes[rung.recipe])
        for retry in range(1, rung.retries + 1):
            raised_recipe(recipes[rung.recipe], rung.raised, retry, f"{where}.raise")
