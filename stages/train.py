"""Train one phase of one recipe: `python -m stages.train RECIPE PHASE` (a, b or c)."""

from __future__ import annotations

import pandas as pd

from lvm_core.bank import load_bank
from lvm_core.errors import run_stage
from lvm_core.files import read_npy, write_csv
from lvm_core.hardware import use_threads
from lvm_core.layout import phase_directory
from lvm_core.phases import PREVIOUS, run_phase
from lvm_core.recipe import read_recipe


def main(name: str, phase: str) -> None:
    """Go on from the phase before, train, write the model directory (and the curves after the last phase)."""
    directory = phase_directory(name, phase)  # refuses an unknown phase before anything is loaded
    before = phase_directory(name, PREVIOUS[phase]) if phase in PREVIOUS else None
    recipe = read_recipe(f"data/recipes/{name}.yaml")
    use_threads(recipe.threads)
    targets = read_npy(f"data/curriculum/{name}/{phase}.npy")
    state = run_phase(f"train-{name}-{phase}", recipe, phase, load_bank("data/bank"), targets, before, directory)
    if phase == "c":
        write_csv(f"plots/training/{name}.csv", pd.DataFrame(state.history))
    print(f"train {name} phase {phase}: kept epoch {state.best_epoch}", flush=True)


if __name__ == "__main__":
    run_stage(main, "RECIPE", "PHASE")
