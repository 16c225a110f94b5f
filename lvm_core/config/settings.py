"""What a stage reads of params.yaml, in a small file of its own: data/settings/.

DVC copies each parameter of a stage into dvc.lock, of a matrix stage once for each recipe, and reads and writes that
whole file after every stage. A file stands there with its hash, whatever it holds. For the same reason the settings of
a stage that runs once a recipe name its code too, in a comment.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from lvm_core.config.gates import GatesParams, sets_of, unread_tests
from lvm_core.config.params import PARAMS_FILE, load_group
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import write_text
from lvm_core.runtime.readers import read_yaml
from lvm_core.runtime.sources import code_line

SETTINGS = Path("data/settings")

REMEDY = "run `dvc repro resolve`"

KEYS = {
    "evaluate": ("seed", "threads", "device", "evaluate", "left_out_after_phases"),
    "gate": ("seed", "threads", "device", "evaluate", "left_out_after_phases", "gates", "recipes"),
    "compare": ("seed", "threads", "gates", "evaluate", "recipes", "names", "time_direction", "train"),
    "ladder": ("seed", "threads", "gates", "evaluate", "recipes", "names", "ladder", "device"),
}
"""Top-level parameters that a stage reads, and `left_out_after_phases`: tests (`figures.COSTLY_TESTS`) that are not
made of the models after phases A and B, because no set of gates that is asked for reads them."""

OF_RECIPES = {"gate": ("gates",), "compare": ("about", "seed", "gates"), "ladder": ("about", "gates")}
"""Keys of each recipe that it reads: what shapes the training is in data/recipes/."""

ONCE_A_RECIPE = ("evaluate", "gate")
"""Stages whose settings name their code too (`runtime.sources.code_line`): one dependency, and not two, a recipe."""


def settings_of(params: dict[str, Any], stage: str, recipe: str | None = None) -> dict[str, Any]:
    """The parameters that a stage reads; of the recipes, all or the given one.

    Under the policy `report` no limit decides anything, and the gate reads none: another limit re-runs no gate.
    """
    chosen = {key: params[key] for key in KEYS[stage] if key in params}
    if stage in ONCE_A_RECIPE:
        chosen["threads"] = params["train"]["threads"]  # several recipes run side by side, evaluations too
    if "left_out_after_phases" in KEYS[stage]:
        gates: GatesParams = load_group(params, "gates", GatesParams)
        sets = sets_of(params["names"], params["recipes"], gates)
        chosen["left_out_after_phases"] = unread_tests(gates, sets.values())
        if stage == "gate" and gates.policy == "report":
            return chosen | {"gates": {"policy": "report"}, "recipes": {}}
    if stage in OF_RECIPES:
        recipes = params["recipes"] if recipe is None else {recipe: params["recipes"][recipe]}
        chosen["recipes"] = {
            name: {key: values[key] for key in OF_RECIPES[stage] if key in values} for name, values in recipes.items()
        }
    return chosen


def write_settings(directory: str | Path, params: dict[str, Any], recipes: Iterable[str], root: Path) -> None:
    """Write `<stage>.yaml`; for the gate, which is asked for one recipe after the other, `gate/<recipe>.yaml`.

    Args:
        directory: to write into.
        params: all of params.yaml.
        recipes: names of the recipes that are run.
        root: of the repository, whose data/sources lists the stages' code.
    """
    files = {f"gate/{recipe}": settings_of(params, "gate", recipe) for recipe in recipes}
    files |= {stage: settings_of(params, stage) for stage in KEYS if stage != "gate"}
    for name, chosen in files.items():
        stage = name.split("/")[0]
        code = code_line(stage, root) if stage in ONCE_A_RECIPE else ""
        text = yaml.safe_dump(chosen, sort_keys=False)
        write_text(Path(directory) / f"{name}.yaml", f"# From {PARAMS_FILE}, by stages/resolve.py.\n{code}{text}")


def read_settings(stage: str, recipe: str | None = None) -> dict[str, Any]:
    """The parameters of a stage, as `lvm_core.config.params.read_params` gives them.

    Raises:
        LvmError: the file is missing, not YAML, or not what the stage reads.
    """
    path = SETTINGS / (f"{stage}/{recipe}.yaml" if recipe else f"{stage}.yaml")
    settings = read_yaml(path, REMEDY)
    if not isinstance(settings, dict) or set(settings) != set(KEYS[stage]):
        raise LvmError(f"{path}: must be a mapping with the keys {', '.join(KEYS[stage])}; {REMEDY}")
    return settings
