"""The form of the ladder (`ladder:` in params.yaml); imports no numerical library."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from lvm_core.params import Group

Criterion = Literal["recall_at_5", "cosine"]
CRITERIA: tuple[Criterion, ...] = ("recall_at_5", "cosine")
"""Figures on `dev` that are known of every epoch of every recipe."""


def _wrong(message: str) -> PydanticCustomError:
    return PydanticCustomError("ladder", message)


SHAPING = ("model", "corruption", "losses", "train")
"""Groups of a resolved recipe whose numbers may be raised; the rest says how or by which draws it is trained."""


class Rung(Group):
    """A recipe to try, and what to change in it if its phase A does not pass.

    Attributes:
        recipe: its name; a recipe that is not in `names` is skipped.
        step: what the summary calls it, for the report.
        retries: how many more times phase A is trained, at most.
        raised: `raise` in params.yaml: amounts by dotted key of the resolved recipe, added at each retry.
    """

    recipe: str
    step: str | None = None
    retries: Annotated[int, Field(ge=0, le=20)] = 0
    raised: Annotated[dict[str, float], Field(alias="raise", default_factory=dict)]

    @field_validator("raised")
    @classmethod
    def _shapes_training(cls, raised: dict[str, float]) -> dict[str, float]:
        for key in raised:
            if key.split(".")[0] not in SHAPING:
                raise _wrong(f"{key} is no number of {', '.join(SHAPING)}; raise one of these, like model.pos_scalar")
        return raised

    @model_validator(mode="after")
    def _retries_differ(self) -> Self:
        if self.retries and not any(self.raised.values()):
            raise _wrong(f"{self.recipe}: retries = {self.retries} without raise would train the same again")
        return self


class LadderParams(Group):
    """The order of attempts and how one is chosen if none passes.

    Attributes:
        sample: windows that the Option 1 check looks at.
        criterion: figure on `dev` by which the fallback chooses.
        rungs: tried in this order; the first whose phase A passes its gates is selected.
    """

    sample: Annotated[int, Field(ge=1, le=1_000_000)]
    criterion: Criterion
    rungs: list[Rung]

    @field_validator("rungs")
    @classmethod
    def _each_once(cls, rungs: list[Rung]) -> list[Rung]:
        names = [rung.recipe for rung in rungs]
        for name in names:
            if names.count(name) > 1:
                raise _wrong(f"recipe {name} has two rungs; give it one with more retries")
        return rungs
