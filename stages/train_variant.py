"""Train a variant of a recipe: `python -m stages.train_variant RECIPE VARIANT` (reversed, or another seed)."""

from __future__ import annotations

from lvm_core.bank import load_bank, reversed_bank
from lvm_core.config.recipe import read_recipe
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.distributed import joined
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import REVERSED, seed_variant
from lvm_core.runtime.hardware import use_threads
from lvm_core.runtime.readers import read_npy
from lvm_core.train.phases import PHASES, train_variant
from lvm_core.train.trainer import Trainer


def main(name: str, variant: str) -> None:
    """Train all phases on articles read backwards, or on the recipe's own windows with another seed.

    (Which shapes the first weights, the order of the windows and dropout.)
    """
    if variant != REVERSED and not variant.isdecimal():
        raise LvmError(f"VARIANT = {variant!r} is neither {REVERSED} nor a seed, a whole number")
    recipe = read_recipe(f"data/recipes/{name}.yaml")
    use_threads(recipe.threads)
    bank, folder = load_bank("data/bank"), f"data/curriculum/{name}"
    if variant == REVERSED:
        bank, folder = reversed_bank(bank), f"data/curriculum_reversed/{name}"
    else:
        recipe = recipe.model_copy(update={"seed": int(variant)})
        variant = seed_variant(recipe.seed)
    windows = {phase: read_npy(f"{folder}/{phase}.npy") for phase in PHASES}
    with joined(recipe.device) as ranks:
        train_variant(Trainer(recipe, bank, ranks), variant, windows)


if __name__ == "__main__":
    run_stage(main, "RECIPE", "VARIANT")
