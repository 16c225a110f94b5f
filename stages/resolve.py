"""Check all of params.yaml, then resolve it to small files: one per recipe, the curricula's rules, stages' settings.

The checked marker is a dependency of the corpus stage and never changes: it makes this stage run before all others, so
that a mistake in params.yaml ends a run before DVC has removed any other stage's outputs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lvm_core.bank.encoder_files import require_encoder
from lvm_core.config.data import DataParams
from lvm_core.config.groups import Rule
from lvm_core.config.params import load_group, read_params
from lvm_core.config.recipe import Recipe, write_recipe
from lvm_core.config.resolve import resolve_recipes, write_settings
from lvm_core.config.settings import SETTINGS
from lvm_core.corpus.sources import check_named, check_watched
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.files import atomic_directory, write_text
from lvm_core.runtime.sources import code_line


def check() -> tuple[dict[str, Any], list[Recipe], dict[str, Rule]]:
    """Check all that DVC and the stages read of params.yaml, and what DVC is to read of corpora/; nothing is opened.

    Returns:
        The parameters, the recipes in `names`, and the curriculum rule of each.

    Raises:
        LvmError: one line on the first mistake.
    """
    params = read_params()
    recipes, rules = resolve_recipes(params)
    check_named(load_group(params, "data", DataParams))
    check_watched()
    require_encoder(params["encoder"]["model"])
    return params, recipes, rules


def main() -> None:
    """Check everything, then write the recipes in `names`, and what other stages read of the parameters."""
    params, recipes, rules = check()
    with atomic_directory("data/recipes") as directory:
        for recipe in recipes:
            write_recipe(directory, recipe, code_line("train", Path()))
    with atomic_directory(SETTINGS) as directory:
        write_settings(directory, params, [recipe.name for recipe in recipes], Path())
    text = yaml.safe_dump({name: rule.model_dump() for name, rule in rules.items()}, sort_keys=False)
    write_text("data/curricula.yaml", text)
    write_text("data/params_checked", "params.yaml was valid when this was written\n")
    print(f"resolve: {', '.join(recipe.name for recipe in recipes)}")


if __name__ == "__main__":
    run_stage(main)
