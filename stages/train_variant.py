"""Train a variant of a recipe: `python -m stages.train_variant RECIPE VARIANT`.

VARIANT is `reversed`, `seed-<number>` or both, `reversed-seed-<number>`.
"""

from __future__ import annotations

import re

from lvm_core.bank import load_bank, reversed_bank
from lvm_core.config.recipe import read_recipe
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.distributed import joined
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import REVERSED
from lvm_core.runtime.hardware import use_threads
from lvm_core.runtime.readers import read_npy
from lvm_core.train import kept_line
from lvm_core.train.phases import PHASES, train_variant
from lvm_core.train.trainer import Trainer


def main(name: str, variant: str) -> None:
    """Train all phases with the variant's seed, on articles read as it says.

    (The seed shapes the first weights, the order of the windows and dropout.)
    """
    known = re.fullmatch(rf"{REVERSED}|(?:{REVERSED}-)?seed-(?P<seed>[0-9]+)", variant)
    if known is None:
        raise LvmError(f"VARIANT = {variant!r} is none of {REVERSED}, seed-<number> and {REVERSED}-seed-<number>")
    recipe = read_recipe(f"data/recipes/{name}.yaml")
    use_threads(recipe.threads)
    bank, folder = load_bank("data/bank"), f"data/curriculum/{name}"
    if variant.startswith(REVERSED):
        bank, folder = reversed_bank(bank), f"data/curriculum_reversed/{name}"
    if known["seed"]:
        recipe = recipe.model_copy(update={"seed": int(known["seed"])})
    windows = {phase: read_npy(f"{folder}/{phase}.npy") for phase in PHASES}
    with joined(recipe.device) as ranks:
        info = train_variant(Trainer(recipe, bank, ranks), variant, windows)
        if ranks.first:
            print(f"train {name} {variant}: {kept_line(info.history, info.epoch)}", flush=True)


if __name__ == "__main__":
    run_stage(main, "RECIPE", "VARIANT")
