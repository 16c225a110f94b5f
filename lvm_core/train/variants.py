"""Trainings beside the pipeline's own, phases in a row: another seed, or articles read backwards.

`train_phases` is what they have in common with the retries of the ladder.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from lvm_core.bank import Bank
from lvm_core.config.recipe import Recipe
from lvm_core.models.checkpoint import load_model, load_tensors
from lvm_core.runtime.distributed import ALONE, Ranks
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import atomic_directory, sha256_of, variant_directory
from lvm_core.runtime.hardware import processor_features, resolve_device, resolve_precision
from lvm_core.runtime.resume import fingerprint, shared_folder, source_sha256
from lvm_core.train.phases import ARTICLES, NEEDED_NEXT, PREVIOUS, run_phase

PHASES = ("a", "b", "c")


def train_variant(
    variant: str, recipe: Recipe, bank: Bank, windows: Mapping[str, np.ndarray], ranks: Ranks = ALONE
) -> None:
    """Train all phases and write the model to `variant_directory`.

    Variants are not gated: they go through all phases under either policy. (So where the gates stop the recipe itself,
    its figures beside theirs are those of a shorter training.) Finished phases, and the one in progress, survive an
    interruption.

    Args:
        variant: its name (`layout`).
        recipe: what to do, the variant's seed included.
        bank: to train on.
        windows: [W] int64 target rows of each phase's windows.
        ranks: the processes that share the work.

    Raises:
        LvmError: as `phases.run_phase`.
        KeyboardInterrupt: after the state was saved.
    """
    work = f"train-{recipe.name}-{variant}"
    with shared_folder(ranks, work, training_key(recipe, bank, windows, ranks.size)) as folder:
        last = train_phases(work, recipe, bank, windows, folder, ranks=ranks)
        if ranks.first:
            copy_model(last, variant_directory(variant, recipe.name))


def train_phases(
    work: str,
    recipe: Recipe,
    bank: Bank,
    windows: Mapping[str, np.ndarray],
    folder: Path,
    last: str = PHASES[-1],
    ranks: Ranks = ALONE,
) -> Path:
    """Train the phases up to `last` that are not finished in `folder`; the directory of that phase.

    Args:
        work: name of this training, for saved progress and messages.
        recipe: what to do.
        bank: to train on.
        windows: [W] int64 target rows of each phase's windows.
        folder: of progress, kept by the caller until what is made of it is written; under a name that has
            `training_key` in it.
        last: `a`, `b` or `c`.
        ranks: the processes that share the work.

    Raises:
        LvmError: as `phases.run_phase`.
        KeyboardInterrupt: after the state was saved.
    """
    for phase in PHASES[: PHASES.index(last) + 1]:
        before = folder / PREVIOUS[phase] if phase in PREVIOUS else None
        if not ranks.broadcast(_finished(folder / phase, phase) if ranks.first else None):
            run_phase(f"{work}-{phase}", recipe, phase, bank, windows[phase], before, folder / phase, folder, ranks)
    return folder / last


def copy_model(source: Path, directory: Path) -> None:
    """Make `directory` a copy of a model directory, file by file with the same bytes.

    Raises:
        LvmError: the folder cannot be written to, or `source` not be read (names the folder).
    """
    with atomic_directory(directory) as temporary:
        for file in sorted(source.iterdir()):
            shutil.copyfile(file, temporary / file.name)


def _finished(directory: Path, phase: str) -> bool:
    """Whether a phase's folder is whole; what a kill left of one (while it was being removed, say) is removed."""
    if not directory.exists():
        return False
    try:
        load_model(directory)
        for name in NEEDED_NEXT if phase in PREVIOUS.values() else ():
            load_tensors(directory / name)
    except LvmError:
        print(f"{directory}: saved work is damaged and will be done again", file=sys.stderr, flush=True)
        shutil.rmtree(directory)
        return False
    return True


def training_key(recipe: Recipe, bank: Bank, windows: Mapping[str, np.ndarray], processes: int = 1) -> str:
    """Everything that shapes the finished phases kept in the folder of progress (a `resume.fingerprint`)."""
    device = resolve_device(recipe.device)
    machine = processor_features() if device.type == "cpu" else torch.cuda.get_device_name(device)
    rows = [windows[phase].tobytes() for phase in PHASES]
    return fingerprint(
        *(recipe.model_dump_json(), bank.info.content_sha256, *rows, sha256_of(ARTICLES), source_sha256()),
        *(resolve_precision(recipe.precision, device), device.type, machine, torch.get_num_threads()),
        *(torch.__version__, np.__version__, *([processes] if processes > 1 else [])),
    )
