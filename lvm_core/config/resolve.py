"""From params.yaml to resolved files: defaults filled in, shortcuts followed, everything validated.

What shapes a recipe's training goes to `data/recipes/<name>.yaml`, what it selects from the data to
`data/curricula.yaml`, and what other stages read to `data/settings`, so that a change of the one does not touch the
others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field

from lvm_core.config import data as sources
from lvm_core.config import groups
from lvm_core.config.gates import GatesParams, check_set, sets_of, unread_tests
from lvm_core.config.groups import Rule
from lvm_core.config.ladder import LadderParams, LadderSettings, check_rungs, check_servable
from lvm_core.config.models import ModelParams
from lvm_core.config.params import PARAMS_FILE, Common, Seed, Threads, a_list, load_group, overlay, shown, validate
from lvm_core.config.recipe import Recipe, TrainParams
from lvm_core.config.references import REFERENCES
from lvm_core.config.settings import REPORT, CompareSettings, EvaluateSettings, GateSettings, Settings
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import write_text
from lvm_core.runtime.sources import code_line

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
    seeds: Annotated[list[Seed], a_list("whole numbers", "[43, 44]; [] for none")]
    """Further seeds; empty: off."""
    repeat: Annotated[list[str], a_list("recipe names", "[contrast]; [] for none")]
    """Names of the recipes to train once more with each of them."""


OF_ALL = ("threads", "seeds", "repeat")
"""Keys of `train` that a recipe cannot set for itself."""

BESIDE = ("about", "gates")
"""Keys of a recipe that do not shape its training."""

MATRICES = (
    "names",
    "time_direction",
    "train.seeds",
    "train.repeat",
    "service.models",
    "profile",
    "launch",
    "encoder.model",
)
"""Parameters that DVC reads itself, for its stages, before any profile is applied."""


class Params(Common):
    """Every key of params.yaml. A stage loads what it reads (`load_group`), and imports no other types."""

    names: Annotated[
        list[str],
        Field(min_length=1, description="of the recipes to train and compare"),
        a_list("recipe names", "[p1]"),
    ]
    recipes: dict[str, dict[str, Any]]
    """With `model` and `train` as defaults, each is a `Recipe`."""
    data: sources.DataParams
    corpus: sources.CorpusParams
    split: sources.SplitParams
    encoder: sources.EncoderParams
    diagnosis: groups.DiagnosisParams
    score: groups.ScoreParams
    curriculum: groups.CurriculumParams
    model: ModelParams
    train: TrainDefaults
    evaluate: groups.EvaluateParams
    gates: GatesParams
    ladder: LadderParams
    time_direction: Annotated[list[str], a_list("recipe names", "[contrast]; [] for none")]
    service: groups.ServiceParams


def _check_profiles(profiles: Mapping[str, Any]) -> None:
    for profile, over in profiles.items():
        if not re.fullmatch(r"[\w-]+", profile):
            allowed = "letters, digits, _ and -, of which DVC can make the name of a parameter"
            raise LvmError(f"{PARAMS_FILE}: profiles.{profile}: a profile's name is {allowed}")
        for path in MATRICES:
            if _has(over, path):
                remedy = f"dvc.yaml makes its stages from it and sees no profile; use -S {path}=..."
                raise LvmError(f"{PARAMS_FILE}: profiles.{profile}.{path} cannot be set by a profile: {remedy}")


def _has(group: Any, path: str) -> bool:
    first, _, rest = path.partition(".")
    there = isinstance(group, Mapping) and first in group
    return there and (not rest or _has(group[first], rest))


def resolve_recipes(params: dict[str, Any]) -> tuple[list[Recipe], dict[str, Rule]]:
    """The recipes in `names`, fully resolved, and the curriculum rule of each. Checks all of params.yaml.

    A recipe's `model` and `train` override the top-level groups of the same name; a value `{param: a.b}` anywhere
    in a recipe stands for the top-level parameter a.b.

    Raises:
        LvmError: one line on the first mistake, in whatever stage it would be read.
    """
    checked = validate(params, Params, "")
    _check_profiles(checked.profiles)
    names, recipes, seeds, repeat = checked.names, checked.recipes, checked.train.seeds, checked.train.repeat
    for name in (*names, *recipes):
        if name not in recipes:
            raise LvmError(f"{PARAMS_FILE}: names has {shown(name)}, recipes has not; defined are {', '.join(recipes)}")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in RESERVED:
            raise LvmError(
                f"{PARAMS_FILE}: recipes.{name}: a recipe's name is lower-case letters, digits and _, starts with a "
                f"letter and is none of {', '.join(sorted(RESERVED))}"
            )
    _check_chosen("names", names, names)
    _check_chosen("time_direction", checked.time_direction, names)
    _check_chosen("service.models", checked.service.models, names)
    if seeds:
        _check_chosen("train.repeat", repeat, names)
        _check_chosen("time_direction", checked.time_direction, repeat, "train.repeat")
    if len(set(seeds)) != len(seeds):
        raise LvmError(f"{PARAMS_FILE}: train.seeds = {shown(seeds)}: a seed occurs twice")
    resolved = {name: _resolve(name, recipe, params) for name, recipe in recipes.items()}  # unused ones are checked too
    check_rungs(checked.ladder, {name: recipe for name, (recipe, _) in resolved.items()})
    for name in checked.service.models:
        check_servable("service.models", name, resolved[name][0])
    for name in repeat if seeds else ():
        own = resolved[name][0].seed
        if own in seeds:
            raise LvmError(f"{PARAMS_FILE}: train.seeds = {shown(seeds)}: recipes.{name} has the seed {own} itself")
    return [resolved[name][0] for name in names], {name: resolved[name][1] for name in names}


def _check_chosen(key: str, chosen: Sequence[str], names: Sequence[str], among: str = "names") -> None:
    for name in chosen:
        if name not in names:
            remedy = f"add it there, or take it out of {key}"
            raise LvmError(
                f"{PARAMS_FILE}: {key} = {shown(chosen)}: {shown(name)} is not in {among} = {shown(names)}; {remedy}"
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
    rule = validate(own["curriculum"], Rule, f"{where}.curriculum")
    train = {key: value for key, value in params["train"].items() if key not in OF_ALL}
    values = {
        "name": name,
        "seed": own.get("seed", params["seed"]),
        "threads": params["train"]["threads"],
        "precision": params["precision"],
        "device": params["device"],
        "model": overlay(params["model"], own.get("model", {})),
        "corruption": own.get("corruption"),
        "losses": own["losses"],
        "train": overlay(train, own.get("train", {})),
    }
    return validate(values, Recipe, where), rule


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


SETTINGS_OF: dict[str, type[Settings]] = {
    kind.stage: kind for kind in (EvaluateSettings, GateSettings, CompareSettings, LadderSettings)
}
"""By stage."""


def settings_of(params: dict[str, Any], stage: str, recipe: str | None = None) -> dict[str, Any]:
    """The parameters that a stage reads; of the recipes, all or the given one.

    Under the policy `report` no limit decides anything, and the gate reads none: another limit re-runs no gate.
    """
    kind = SETTINGS_OF[stage]
    chosen = {key: params[key] for key in kind.model_fields if key in params}
    if issubclass(kind, EvaluateSettings):
        chosen["threads"] = params["train"]["threads"]  # several recipes run side by side, evaluations too
        gates = load_group(params, "gates", GatesParams)
        sets = sets_of(params["names"], params["recipes"], gates)
        chosen["left_out_after_phases"] = unread_tests(gates, sets.values())
        if stage == "gate" and gates.policy == "report":
            return chosen | {"gates": REPORT, "recipes": {}}
    if kind.of_recipes:
        recipes = params["recipes"] if recipe is None else {recipe: params["recipes"][recipe]}
        chosen["recipes"] = {
            name: {key: values[key] for key in kind.of_recipes if key in values} for name, values in recipes.items()
        }
    return chosen


def write_settings(directory: str | Path, params: dict[str, Any], recipes: Iterable[str], root: Path) -> None:
    """Write `<stage>.yaml`; for the gate, which is asked for one recipe after the other, `gate/<recipe>.yaml`.

    `root` is that of the repository, whose data/sources lists the stages' code.
    """
    files = {f"gate/{recipe}": settings_of(params, "gate", recipe) for recipe in recipes}
    files |= {stage: settings_of(params, stage) for stage in SETTINGS_OF if stage != "gate"}
    for name, chosen in files.items():
        stage = name.split("/")[0]
        code = code_line(stage, root) if issubclass(SETTINGS_OF[stage], EvaluateSettings) else ""
        text = yaml.safe_dump(chosen, sort_keys=False)
        write_text(Path(directory) / f"{name}.yaml", f"# From {PARAMS_FILE}, by stages/resolve.py.\n{code}{text}")
