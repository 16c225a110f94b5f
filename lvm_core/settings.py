"""What a stage reads of params.yaml, in a small file of its own: data/settings/.

DVC copies each parameter of a stage into dvc.lock, of a matrix stage once for each recipe, and reads and writes that
whole file after every stage. A file stands there with its hash, whatever it holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from lvm_core.errors import LvmError
from lvm_core.files import write_text
from lvm_core.params import PARAMS_FILE
from lvm_core.yaml_text import read_yaml

SETTINGS = Path("data/settings")
REMEDY = "run `dvc repro resolve`"

KEYS = {
    "evaluate": ("seed", "threads", "device", "evaluate"),
    "gate": ("seed", "threads", "gates", "evaluate", "recipes"),
    "compare": ("seed", "threads", "gates", "evaluate", "recipes", "names", "time_direction", "train"),
    "ladder": ("seed", "threads", "gates", "evaluate", "recipes", "names", "ladder", "device"),
}
"""Top-level parameters that a stage reads."""

OF_RECIPES = {"gate": ("gates",), "compare": ("about", "seed", "gates"), "ladder": ("about", "gates")}
"""Keys of each recipe that it reads: what shapes the training is in data/recipes/."""


def settings_of(params: dict[str, Any], stage: str, recipe: str | None = None) -> dict[str, Any]:
    """The parameters that a stage reads; of the recipes, all or the given one."""
    chosen = {key: params[key] for key in KEYS[stage]}
    if stage in OF_RECIPES:
        recipes = params["recipes"] if recipe is None else {recipe: params["recipes"][recipe]}
        chosen["recipes"] = {
            name: {key: values[key] for key in OF_RECIPES[stage] if key in values} for name, values in recipes.items()
        }
    return chosen


def write_settings(directory: str | Path, params: dict[str, Any], recipes: Iterable[str]) -> None:
    """Write `<stage>.yaml`; for the gate, which is asked for one recipe after the other, `gate/<recipe>.yaml`."""
    files = {f"gate/{recipe}": settings_of(params, "gate", recipe) for recipe in recipes}
    files |= {stage: settings_of(params, stage) for stage in KEYS if stage != "gate"}
    for name, chosen in files.items():
        text = yaml.safe_dump(chosen, sort_keys=False)
        write_text(Path(directory) / f"{name}.yaml", f"# From {PARAMS_FILE}, by stages/resolve.py.\n{text}")


def read_settings(stage: str, recipe: str | None = None) -> dict[str, Any]:
    """The parameters of a stage, as `lvm_core.params.read_params` gives them.

    Raises:
        LvmError: the file is missing, not YAML, or not what the stage reads.
    """
    path = SETTINGS / (f"{stage}/{recipe}.yaml" if recipe else f"{stage}.yaml")
    settings = read_yaml(path, REMEDY)
    if not isinstance(settings, dict) or set(settings) != set(KEYS[stage]):
        raise LvmError(f"{path}: must be a mapping with the keys {', '.join(KEYS[stage])}; {REMEDY}")
    return settings
