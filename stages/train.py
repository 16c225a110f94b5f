"""Train one phase of one recipe: `python -m stages.train RECIPE PHASE` (a, b or c)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch

from lvm_core.bank import load_bank
from lvm_core.dev_metrics import dev_metrics_on
from lvm_core.errors import LvmError, run_stage
from lvm_core.files import read_npy, write_csv
from lvm_core.hardware import resolve_device, resolve_precision, use_threads
from lvm_core.layout import phase_directory
from lvm_core.phases import begin_phase, directory_before, end_phase
from lvm_core.recipe import read_recipe
from lvm_core.resume import progress_folder
from lvm_core.train_resume import StateFile, phase_key
from lvm_core.trainer import train_phase


def main(name: str, phase: str) -> None:
    """Go on from the phase before, train, write the model directory (and the curves after the last phase)."""
    phase_directory(name, phase)  # refuses an unknown phase before anything is loaded
    recipe = read_recipe(f"data/recipes/{name}.yaml")
    use_threads(recipe.threads)
    device = resolve_device(recipe.device)
    precision = resolve_precision(recipe.precision, device)
    bank = load_bank("data/bank")
    targets = read_npy(f"data/curriculum/{name}/{phase}.npy")
    state = begin_phase(recipe, phase, bank.info, device)
    vectors = torch.from_numpy(bank.read_vectors()).to(device)
    measure = dev_metrics_on(bank, device, recipe.train.best_by)
    articles, before = Path("data/bank/articles.parquet"), directory_before(name, phase)
    key = phase_key(recipe, phase, bank.info, targets, articles, before, precision, device)
    with progress_folder(f"train-{name}-{phase}", key) as folder:
        saved = StateFile(folder / "state.safetensors")
        if saved.restore(state, device):
            print(f"train {name} phase {phase}: going on after epoch {state.epoch}, step {state.step}", flush=True)
        try:
            train_phase(state, recipe, phase, vectors, targets, measure, precision, saved)
        except FloatingPointError as error:
            remedy = f"lower recipes.{name}.train.lr in params.yaml"
            raise LvmError(f"recipe {name}, phase {phase}: {error}; {remedy}") from None
        end_phase(state, recipe, phase, bank.info, precision)
        if phase == "c":
            write_csv(f"plots/training/{name}.csv", pd.DataFrame(state.history))
    print(f"train {name} phase {phase}: kept epoch {state.best_epoch}", flush=True)


if __name__ == "__main__":
    run_stage(main, "RECIPE", "PHASE")
