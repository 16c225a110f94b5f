"""From params.yaml to resolved recipes: defaults filled in, shortcuts followed, everything validated.

What shapes a recipe's training goes to `data/recipes/<name>.yaml`, what it selects from the data to
`data/curricula.yaml`, so that a change of the one does not touch the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from lvm_core.config.data import CorpusParams, DataParams, EncoderParams, SplitParams
from lvm_core.config.gates import GatesParams, check_set
from lvm_core.config.groups import CurriculumParams, DiagnosisParams, EvaluateParams, Rule, ScoreParams, ServiceParams
from lvm_core.config.ladder import LadderParams, check_rungs
from lvm_core.config.models import ModelParams
from lvm_core.config.params import (
    PARAMS_FILE,
    Device,
    Launch,
    PosScalar,
    Precision,
    Seed,
    Threads,
    load_group,
    shown,
    validate,
)
from lvm_core.config.recipe import Recipe, TrainParams
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import REFERENCES

RESERVED = {
    *REFERENCES,
    *("references", "comparison", "corpus", "diagnosis", "curriculum", "frontier", "bench", "stage_a", "stage_b"),
    *("ladder", "selected"),
}
"""Names that a recipe cannot have: reference predictors, other files of metrics/, the folder of the selected model."""


class TrainDefaults(TrainParams):
    """`train` in params.yaml: the defaults of every recipe, and which recipes are trained with further seeds."""

    threads: Threads
    """Of every training."""
    seeds: list[Seed]
    """Further seeds; empty: off."""
    repeat: list[str]
    """Names of the recipes to train once more with each of them."""


OF_ALL = ("threads", "seeds", "repeat")
"""Keys of `train` that a recipe cannot set for itself."""

BESIDE = ("about", "gates")
"""Keys of a recipe that do not shape its training."""

MATRICES = ("names", "time_direction", "train.seeds", "train.repeat", "service.models", "profile", "launch")
"""Parameters that DVC reads itself, for its stages, before any profile is applied."""

GROUPS: dict[str, Any] = {
    **{"seed": Seed, "threads": Threads, "precision": Precision, "device": Device, "launch": Launch},
    "pos_scalar": PosScalar,
    **{"data": DataParams, "corpus": CorpusParams, "split": SplitParams, "encoder": EncoderParams},
    **{"diagnosis": DiagnosisParams, "score": ScoreParams, "curriculum": CurriculumParams},
    **{"model": ModelParams, "train": TrainDefaults, "evaluate": EvaluateParams},
    **{"gates": GatesParams, "ladder": LadderParams, "time_direction": list[str], "service": ServiceParams},
}
"""Type of every top-level key but `names`, `recipes` and the profiles."""


def validate_all(params: dict[str, Any]) -> None:
    """Check every group, also those that only other stages read: nothing runs before all parameters are good.

    Raises:
        LvmError: one line on the first mistake.
    """
    for key, kind in GROUPS.items():
        load_group(params, key, kind)
    for profile, over in params["profiles"].items():
        for path in MATRICES:
            if _has(over, path):
                remedy = f"dvc.yaml makes its stages from it and sees no profile; use -S {path}=..."
                raise LvmError(f"{PARAMS_FILE}: profiles.{profile}.{path} cannot be set by a profile: {remedy}")


def _has(group: Any, path: str) -> bool:
    first, _, rest = path.partition(".")
    there = isinstance(group, Mapping) and first in group
    return there and (not rest or _has(group[first], rest))


def resolve_recipes(params: dict[str, Any]) -> tuple[list[Recipe], dict[str, Rule]]:
    """The recipes in `names`, fully resolved and validated, and the curriculum rule of each.

    A recipe's `model` and `train` override the top-level groups of the same name; a value `{param: a.b}` anywhere
    in a recipe stands for the top-level parameter a.b.

    Raises:
        LvmError: `names` and `recipes` disagree, or a recipe has an unknown key or a wrong value.
    """
    names = validate(params["names"], Annotated[list[str], Field(min_length=1)], "names")
    recipes = validate(params["recipes"], dict[str, dict[str, Any]], "recipes")
    for name in (*names, *recipes):
        if name not in recipes:
            raise LvmError(f"{PARAMS_FILE}: names has {shown(name)}, recipes has not; defined are {', '.join(recipes)}")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in RESERVED:
            raise LvmError(
                f"{PARAMS_FILE}: recipes.{name}: a recipe's name is lower-case letters, digits and _, starts with a "
                f"letter and is none of {', '.join(sorted(RESERVED))}"
            )
    _check_chosen("names", names, names)
    _check_chosen("time_direction", params["time_direction"], names)
    _check_chosen("service.models", params["service"]["models"], names)
    seeds = params["train"]["seeds"]
    if seeds:
        _check_chosen("train.repeat", params["train"]["repeat"], names)
    if len(set(seeds)) != len(seeds):
        raise LvmError(f"{PARAMS_FILE}: train.seeds = {shown(seeds)}: a seed occurs twice")
    resolved = {name: _resolve(name, recipe, params) for name, recipe in recipes.items()}  # unused ones are checked too
    check_rungs(load_group(params, "ladder", LadderParams), {name: recipe for name, (recipe, _) in resolved.items()})
    for name in params["train"]["repeat"] if seeds else ():
        if resolved[name][0].seed in seeds:
            own = resolved[name][0].seed
            raise LvmError(f"{PARAMS_FILE}: train.seeds = {shown(seeds)}: recipes.{name} has the seed {own} itself")
    return [resolved[name][0] for name in names], {name: resolved[name][1] for name in names}


def _check_chosen(key: str, chosen: list[str], names: list[str]) -> None:
    for name in chosen:
        if name not in names:
            remedy = f"add it there, or take it out of {key}"
            raise LvmError(
                f"{PARAMS_FILE}: {key} = {shown(chosen)}: {shown(name)} is not in names = {shown(names)}; {remedy}"
            )
    if len(set(chosen)) != len(chosen):
        raise LvmError(f"{PARAMS_FILE}: {key} = {shown(chosen)}: a recipe is named twice")


def _resolve(name: str, recipe: dict[str, Any], params: Mapping[str, Any]) -> tuple[Recipe, Rule]:
    where = f"recipes.{name}"
    allowed = ("about", "model", "corruption", "losses", "train", "curriculum", "seed", "gates")
    for key in recipe:
        if key not in allowed:
            value = recipe[key]
            raise LvmError(
                f"{PARAMS_FILE}: {where}.{key} = {shown(value)}: unknown key; allowed are {', '.join(allowed)}"
            )
    for key in ("about", "losses", "curriculum"):
        if key not in recipe:
            raise LvmError(f"{PARAMS_FILE}: {where}.{key} is missing")
    validate(recipe["about"], str, f"{where}.about")
    if "gates" in recipe:
        check_set(f"{where}.gates", recipe["gates"], params["gates"]["sets"])
    own = _follow_references({key: value for key, value in recipe.items() if key not in BESIDE}, params, where)
    rule: Rule = validate(own["curriculum"], Rule, f"{where}.curriculum")
    train = {key: value for key, value in params["train"].items() if key not in OF_ALL}
    values = {
        "name": name,
        "seed": own.get("seed", params["seed"]),
        "threads": params["train"]["threads"],
        "precision": params["precision"],
        "device": params["device"],
        "model": _overlay(params["model"], own.get("model", {}), f"{where}.model"),
        "corruption": own.get("corruption"),
        "losses": own["losses"],
        "train": _overlay(train, own.get("train", {}), f"{where}.train"),
    }
    resolved: Recipe = validate(values, Recipe, where)
    return resolved, rule


def _follow_references(value: Any, params: Mapping[str, Any], where: str) -> Any:
    """Replace each `{param: a.b}` by the top-level parameter a.b."""
    if not isinstance(value, dict):
        return value
    if set(value) != {"param"}:
        return {key: _follow_references(item, params, f"{where}.{key}") for key, item in value.items()}
    found: Any = params
    for part in str(value["param"]).split("."):
        if not isinstance(found, Mapping) or part not in found:
            raise LvmError(f"{PARAMS_FILE}: {where}.param = {shown(value['param'])}: there is no such parameter")
        found = found[part]
    return found


def _overlay(base: Any, over: Any, where: str) -> Any:
    """`base` with the values of `over`; a group of another kind (`name` or `family`) replaces the base as a whole."""
    if not isinstance(over, dict):
        raise LvmError(f"{PARAMS_FILE}: {where} = {shown(over)}: must be a mapping of keys to values")
    if any(key in over and over[key] != base.get(key) for key in ("name", "family")):
        return over
    return base | {
        key: _overlay(base[key], value, f"{where}.{key}") if isinstance(base.get(key), dict) else value
        for key, value in over.items()
    }
