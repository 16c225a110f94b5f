"""Train a recipe with another seed and evaluate it: `python -m stages.repeat RECIPE SEED`."""

from __future__ import annotations

from lvm_core.bank import load_bank
from lvm_core.errors import LvmError, run_stage
from lvm_core.files import read_npy
from lvm_core.fivecat.params import EvaluateParams
from lvm_core.hardware import use_threads
from lvm_core.layout import seed_variant
from lvm_core.params import Seed, load_group, read_params
from lvm_core.recipe import read_recipe
from lvm_core.variants import PHASES, make_variant


def main(name: str, other_seed: str) -> None:
    """Train all phases on the recipe's own windows with the other seed (first weights, order, dropout), evaluate."""
    if not other_seed.isdecimal():
        raise LvmError(f"SEED = {other_seed!r} is not a whole number")
    params = read_params()
    evaluate_params = load_group(params, "evaluate", EvaluateParams)
    seed: int = load_group(params, "seed", Seed)
    recipe = read_recipe(f"data/recipes/{name}.yaml").model_copy(update={"seed": int(other_seed)})
    use_threads(recipe.threads)
    bank = load_bank("data/bank")
    windows = {phase: read_npy(f"data/curriculum/{name}/{phase}.npy") for phase in PHASES}
    make_variant(seed_variant(recipe.seed), recipe, bank, windows, evaluate_params, seed)


if __name__ == "__main__":
    run_stage(main, "RECIPE", "SEED")
