"""Variants of a recipe: trained once more with another seed, or on articles read backwards, all phases in a row."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from lvm_core.bank import Bank
from lvm_core.checkpoint import load_model, load_tensors
from lvm_core.errors import LvmError
from lvm_core.files import atomic_directory, sha256_of
from lvm_core.hardware import processor_features, resolve_device, resolve_precision
from lvm_core.layout import variant_directory
from lvm_core.phases import ARTICLES, NEEDED_NEXT, PREVIOUS, run_phase
from lvm_core.recipe import Recipe
from lvm_core.resume import fingerprint, progress_folder, source_sha256

PHASES = ("a", "b", "c")


def train_variant(variant: str, recipe: Recipe, bank: Bank, windows: Mapping[str, np.ndarray]) -> None:
    """Train all phases and write the model to `variant_directory`.

    Variants are not gated: they go through all phases under either policy. (So where the gates stop the recipe itself,
    its figures beside theirs are those of a shorter training.) Finished phases, and the one in progress, survive an
    interruption.

    Args:
        variant: its name (`layout`).
        recipe: what to do, the variant's seed included.
        bank: to train on.
        windows: [W] int64 target rows of each phase's windows.

    Raises:
        LvmError: as `phases.run_phase`.
        KeyboardInterrupt: after the state was saved.
    """
    work = f"train-{recipe.name}-{variant}"
    with progress_folder(work, _key(recipe, bank, windows)) as folder:
        for phase in PHASES:
            before = folder / PREVIOUS[phase] if phase in PREVIOUS else None
            if not _finished(folder / phase, phase):
                run_phase(f"{work}-{phase}", recipe, phase, bank, windows[phase], before, folder / phase, folder)
        with atomic_directory(variant_directory(variant, recipe.name)) as directory:
            for file in sorted((folder / PHASES[-1]).iterdir()):
                shutil.copyfile(file, directory / file.name)


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


def _key(recipe: Recipe, bank: Bank, windows: Mapping[str, np.ndarray]) -> str:
    """Everything that shapes the finished phases kept in the folder of progress."""
    device = resolve_device(recipe.device)
    machine = processor_features() if device.type == "cpu" else torch.cuda.get_device_name(device)
    rows = [windows[phase].tobytes() for phase in PHASES]
    return fingerprint(
        *(recipe.model_dump_json(), bank.info.content_sha256, *rows, sha256_of(ARTICLES), source_sha256()),
        *(resolve_precision(recipe.precision, device), device.type, machine, torch.get_num_threads()),
        *(torch.__version__, np.__version__),
    )
