"""What a stage reads of params.yaml, in a small file of its own: data/settings/.

DVC copies each parameter of a stage into dvc.lock, of a matrix stage once for each recipe, and reads and writes that
whole file after every stage. A file stands there with its hash, whatever it holds. For the same reason the settings of
a stage that runs once a recipe name its code too, in a comment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BeforeValidator

from lvm_core.config.gates import GatesParams
from lvm_core.config.groups import EvaluateParams
from lvm_core.config.params import Device, Group, Seed, Threads, validate
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.readers import read_yaml

SETTINGS = Path("data/settings")

REMEDY = "run `dvc repro resolve`"

S = TypeVar("S", bound="Settings")


class Settings(Group):
    """What every such stage reads. The fields are keys of params.yaml."""

    stage: ClassVar[str]
    """Its name, and that of its file or folder in `SETTINGS`."""
    of_recipes: ClassVar[tuple[str, ...]] = ()
    """Keys of each recipe in `recipes`: what shapes the training is in data/recipes/."""
    seed: Seed
    threads: Threads


class EvaluateSettings(Settings):
    """Of the stage `evaluate`, which runs once a recipe: its file names its code too, one dependency instead of two."""

    stage = "evaluate"
    device: Device
    evaluate: EvaluateParams
    left_out_after_phases: list[str]
    """Tests (`figures.COSTLY_TESTS`) that are not made of the models after phases A and B, because no set of gates that
    is asked for reads them."""


REPORT = {"policy": "report"}
"""In place of the gates under the policy `report`, which reads none."""


class GateSettings(EvaluateSettings):
    """Of the stage `gate`, which is asked for one recipe after the other."""

    stage = "gate"
    of_recipes = ("gates",)
    gates: Annotated[GatesParams | None, BeforeValidator(lambda gates: None if gates == REPORT else gates)]
    recipes: dict[str, dict[str, Any]]


class WholeSettings(Settings):
    """Of a stage that looks at all recipes."""

    gates: GatesParams
    recipes: dict[str, dict[str, Any]]
    names: list[str]


class CompareSettings(WholeSettings):
    """Of the stage `compare`."""

    stage = "compare"
    of_recipes = ("about", "seed", "gates")
    time_direction: list[str]
    train: dict[str, Any]


def read_settings(kind: type[S], recipe: str | None = None) -> S:
    """The settings of a stage; of the gate, for one recipe.

    Raises:
        LvmError: the file is missing, not YAML, or not what the stage reads.
    """
    path = SETTINGS / (f"{kind.stage}/{recipe}.yaml" if recipe else f"{kind.stage}.yaml")
    settings = read_yaml(path, REMEDY)
    if not isinstance(settings, dict) or set(settings) != set(kind.model_fields):
        raise LvmError(f"{path}: must be a mapping with the keys {', '.join(kind.model_fields)}; {REMEDY}")
    return validate(settings, kind, "", path)
