"""Train one phase of one recipe: `python -m stages.train RECIPE PHASE` (a, b or c)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lvm_core.bank import load_bank
from lvm_core.config.recipe import Recipe, read_recipe
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.distributed import Ranks, joined
from lvm_core.runtime.files import phase_directory, write_csv
from lvm_core.runtime.hardware import use_threads
from lvm_core.runtime.readers import read_npy
from lvm_core.train import enter_curve, kept_line
from lvm_core.train.phases import PHASES, PREVIOUS, pass_on, run_phase, stop_before
from lvm_core.train.trainer import Trainer


def main(name: str, phase: str) -> None:
    """Go on from the phase before, train, write the model directory (and the curves after the last phase).

    A recipe that the gates have stopped is not trained: what the phase before left is passed on.
    """
    directory = phase_directory(name, phase)  # refuses an unknown phase
    before = phase_directory(name, PREVIOUS[phase]) if phase in PREVIOUS else None
    recipe = read_recipe(f"data/recipes/{name}.yaml")
    use_threads(recipe.threads)
    with joined(recipe.device) as ranks:
        train(recipe, phase, before, directory, ranks)


def train(recipe: Recipe, phase: str, before: Path | None, directory: Path, ranks: Ranks) -> None:
    """The same, in each of the processes that `launch` in params.yaml started; the first one writes."""
    name = recipe.name
    work, bank = f"train-{name}-{phase}", load_bank("data/bank")
    stop = stop_before(name, phase, before)
    if stop is not None and before is not None:
        if not ranks.first:
            return
        passed = pass_on(work, stop, phase, bank.info, before, directory)
        history, epoch = passed.history, passed.epoch
        print(f"train {name} phase {phase}: not trained, stopped after phase {stop.after} by the gates: {stop.why}")
    else:
        targets = read_npy(f"data/curriculum/{name}/{phase}.npy")
        trainer = Trainer(recipe, bank, ranks, on_epoch=lambda state: enter_curve(name, state.history))
        state = run_phase(trainer, work, phase, targets, before, directory)
        history, epoch = state.history, state.best_epoch
    if not ranks.first:
        return
    if phase == PHASES[-1]:
        write_csv(f"plots/training/{name}.csv", pd.DataFrame(history))
    print(f"train {name} phase {phase}: {kept_line(history, epoch)}", flush=True)


if __name__ == "__main__":
    run_stage(main, "RECIPE", "PHASE")
