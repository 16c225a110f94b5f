"""Gates: what a row of the comparison has to reach, as data (`gates:` in params.yaml).

A set has gates, a gate has conditions that must all hold, and a condition puts a limit to one figure of one split: to
the figure itself, or to an end of its 95 % interval, or to its lead over the best of its rivals. No
stage fails at a gate: stages write down who passed which, and `python -m lvm_core.gates` answers with its exit code.
Each recipe is judged by one set after phase A; only with `gates.policy: enforce` is one that does not pass it
trained no further.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from lvm_core.config import references
from lvm_core.config.figures import COSTLY_TESTS, FIGURES
from lvm_core.config.params import PARAMS_FILE, Group, shown
from lvm_core.config.references import REFERENCES, Sees
from lvm_core.runtime.errors import LvmError

CERTIFIED = "certified"
"""The set that the status words come from."""

REQUIRED_SETS = (CERTIFIED, "stage_a", "published_5cat")
"""Sets that the comparison table has columns for."""

FRAMES = ("corrected", "published")
"""Ours, and that of the earlier public reports (one offset late, context chunks among the candidates)."""

Split = Literal["val", "ood"]

Bound = Literal["point", "lo", "hi"]

Relation = Literal["at_least", "above", "at_most", "below"]

RELATIONS: tuple[Relation, ...] = ("at_least", "above", "at_most", "below")

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


def _wrong(message: str) -> PydanticCustomError:
    return PydanticCustomError("gate", message)


ALL_RIVALS = "rivals"
"""In place of names: all reference predictors that see no more than the row."""


class Rivals(Group):
    """What is subtracted from a row's figure: `times` the best (highest) of these reference predictors' same figure."""

    best_of: Annotated[
        list[str], BeforeValidator(lambda given: [given] if given == ALL_RIVALS else given), Field(min_length=1)
    ]
    """`rivals`, or names of reference predictors. Only these: a recipe may be taken out of `names`, and a gate must not
    vanish with it."""
    times: float = 1.0

    def of(self, row: str, sees: Sees) -> list[str]:
        """Names of those that a row which sees so much is held against; the row itself only if it is named alone."""
        named = references.rivals_of(row, sees) if self.best_of == [ALL_RIVALS] else self.best_of
        return [name for name in named if name != row] or named

    @field_validator("best_of")
    @classmethod
    def _references(cls, names: list[str]) -> list[str]:
        for name in [] if names == [ALL_RIVALS] else names:
            if name not in REFERENCES:
                raise _wrong(
                    f"{name!r} is no reference predictor; give {ALL_RIVALS} alone, or of {', '.join(REFERENCES)}"
                )
        return names


class Condition(Group):
    """A limit to one number.

    The number is `figure` of `split`; with `minus`, its lead over rivals; with `distance_to`, its absolute difference
    to the same figure of another split. Or, with `set` in place of all these, the number of gates of that set passed.
    """

    split: Split | None = None
    """`val` or `ood`."""
    figure: str | None = None
    """One of `FIGURES`."""
    published: str | None = None
    """The figure that takes its place in the published frame; None for the same one."""
    minus: Rivals | None = None
    """Rivals whose figure is subtracted."""
    distance_to: Split | None = None
    """Another split."""
    bound: Bound = "point"
    """What the limit applies to: the number itself (`point`), or the lower (`lo`) or upper end (`hi`) of its 95 %
    bootstrap interval; differences are taken anew in each draw of articles."""
    set: str | None = None
    """Name of another set, whose gates are counted in the same frame."""
    at_least: float | None = None
    """Limit, like the next three; exactly one is given."""
    above: float | None = None
    at_most: float | None = None
    below: float | None = None

    @property
    def relation(self) -> Relation:
        """Which of the four limits is given."""
        return next(relation for relation in RELATIONS if getattr(self, relation) is not None)

    @property
    def limit(self) -> float:
        """The limit given."""
        return float(getattr(self, self.relation))

    def figure_in(self, frame: str) -> str:
        """Name of the figure in a frame (`corrected` or `published`); of a condition on a set, `gates_<set>`."""
        if self.set is not None:
            return f"gates_{self.set}"
        assert self.figure is not None  # _complete
        return self.published if frame == "published" and self.published else self.figure

    @field_validator("figure", "published")
    @classmethod
    def _known(cls, figure: str | None) -> str | None:
        if figure is not None and figure not in FIGURES:
            raise _wrong(f"unknown figure; known are {', '.join(FIGURES)}")
        return figure

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if len([relation for relation in RELATIONS if getattr(self, relation) is not None]) != 1:
            raise _wrong(f"needs exactly one limit: {', '.join(RELATIONS)}")
        own = (self.split, self.figure, self.published, self.minus, self.distance_to)
        if self.set is not None and (any(value is not None for value in own) or self.bound != "point"):
            raise _wrong("a condition on a set has no figure, split or bound, only the set and a limit")
        if self.set is None and (self.split is None or self.figure is None):
            raise _wrong("needs a split and a figure (or a set)")
        if self.distance_to is not None and (self.distance_to == self.split or self.minus is not None):
            raise _wrong("distance_to must be another split, and does not go with minus")
        careless = {"lo": ("at_most", "below"), "hi": ("at_least", "above")}
        if self.relation in careless.get(self.bound, ()):
            raise _wrong(
                f"bound {self.bound!r} with {self.relation!r} would pass by doubt; take the interval's other end"
            )
        return self


class Gate(Group):
    """Conditions that must all hold."""

    all_of: Annotated[list[Condition], Field(min_length=1)]
    """The conditions."""


GateSet = Annotated[dict[Name, Gate], Field(min_length=1)]


class GatesParams(Group):
    """Sets of gates by name, and what is asked of a recipe after a phase."""

    sets: dict[Name, GateSet]
    """Must have `REQUIRED_SETS`; more may be added."""
    in_force: Name = "stage_a"
    """Name of the set that recipes are judged by after each phase, in the corrected frame; a recipe may name another
    one for itself (`recipes.<name>.gates`)."""
    policy: Literal["report", "enforce"] = "report"
    """`report`: say who passes; `enforce`: a recipe that fails after phase A goes no further."""

    @field_validator("sets")
    @classmethod
    def _sound(cls, sets: dict[str, dict[str, Gate]]) -> dict[str, dict[str, Gate]]:
        for name in REQUIRED_SETS:
            if name not in sets:
                raise _wrong(f"the set {name} is missing; the comparison table has a column for it")
        for name, gates in sets.items():
            for other in counted_sets(gates):
                if other not in sets:
                    raise _wrong(f"{name}: there is no set {other}")
                if counted_sets(sets[other]):
                    raise _wrong(
                        f"{name}: the gates of {other} cannot be counted, because it counts those of a set itself"
                    )
        return sets

    @field_validator("in_force")
    @classmethod
    def _exists(cls, name: str, others: ValidationInfo) -> str:
        sets = others.data.get("sets")  # a field before this one; not there if it is wrong itself
        if sets is not None and name not in sets:
            raise _wrong(f"there is no such set in gates.sets ({', '.join(sets)})")
        return name


def set_of(recipe: Mapping[str, object], params: GatesParams) -> str:
    """Name of the set that a recipe (as it stands in params.yaml) is judged by: its own, else the one in force."""
    return str(recipe.get("gates", params.in_force))


def sets_of(names: Sequence[str], recipes: Mapping[str, Mapping[str, object]], params: GatesParams) -> dict[str, str]:
    """Name of the set that each named recipe is judged by.

    Raises:
        LvmError: there is no such recipe, or no such set.
    """
    for name in names:
        if name not in recipes:
            raise LvmError(f"{PARAMS_FILE}: recipes has no {name!r}; defined are {', '.join(recipes)}")
        check_set(f"recipes.{name}.gates", set_of(recipes[name], params), params.sets)
    return {name: set_of(recipes[name], params) for name in names}


def check_set(where: str, name: str, sets: Iterable[str]) -> None:
    """Make sure that a set exists."""
    if name not in list(sets):  # a list, because YAML may give anything for the name
        raise LvmError(
            f"{PARAMS_FILE}: {where} = {shown(name)}: there is no such set in gates.sets ({', '.join(sets)})"
        )


def rivals_of_sets(params: GatesParams, *names: str, sees: Sees = "document") -> list[str]:
    """Reference predictors whose figures sets need to judge a row that sees so much, in the order of the tables.

    Those that the sets count are included.
    """
    needed = {rival for one in _conditions(params, names) if one.minus for rival in one.minus.of("", sees)}
    return [rival for rival in REFERENCES if rival in needed]


def _conditions(params: GatesParams, names: Iterable[str]) -> list[Condition]:
    """Of these sets and of those that they count."""
    sets = {other: params.sets[other] for name in names for other in (name, *counted_sets(params.sets[name]))}
    return [condition for gates in sets.values() for gate in gates.values() for condition in gate.all_of]


def unread_tests(params: GatesParams, sets: Iterable[str]) -> list[str]:
    """The `COSTLY_TESTS` whose figures no condition of these sets, or of the sets they count, reads in any frame."""
    read = {figure for one in _conditions(params, sets) for figure in (one.figure, one.published) if figure is not None}
    return [test for test, begins in COSTLY_TESTS.items() if not any(figure.startswith(begins) for figure in read)]


def counted_sets(gates: dict[str, Gate]) -> list[str]:
    """Names of the sets whose gates a set's conditions count."""
    return [condition.set for gate in gates.values() for condition in gate.all_of if condition.set is not None]


def definition_of(gates: dict[str, Gate]) -> dict[str, object]:
    """A set as json values, without what is left at its default."""
    return {name: gate.model_dump(exclude_defaults=True) for name, gate in gates.items()}


def frames_of(params: GatesParams, name: str) -> tuple[str, ...]:
    """The frames a set can be computed in: the published one only where a figure has a counterpart there."""
    gates = params.sets[name]
    own = any(condition.published for gate in gates.values() for condition in gate.all_of)
    return FRAMES if own or any(frames_of(params, other) == FRAMES for other in counted_sets(gates)) else FRAMES[:1]
