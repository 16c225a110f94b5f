"""Variants of a recipe: trained once more with another seed, or on articles read backwards, all phases in a row."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lvm_core.bank import Bank
from lvm_core.checkpoint import load_model
from lvm_core.files import atomic_directory, sha256_of
from lvm_core.fivecat.evaluate import evaluate_splits
from lvm_core.fivecat.params import EvaluateParams
from lvm_core.fivecat.predictor import from_callable
from lvm_core.fivecat.store import write_evaluations
from lvm_core.hardware import resolve_device
from lvm_core.layout import evaluation_directory, variant_directory
from lvm_core.phases import ARTICLES, PREVIOUS, run_phase
from lvm_core.recipe import Recipe
from lvm_core.resume import fingerprint, progress_folder, source_sha256

PHASES = ("a", "b", "c")


def make_variant(
    variant: str, recipe: Recipe, bank: Bank, windows: Mapping[str, np.ndarray], params: EvaluateParams, seed: int
) -> None:
    """Train all phases, evaluate the model on `val` and `ood`, write `variant_directory` and `evaluation_directory`.

    Finished phases, and the one in progress, survive an interruption.

    Args:
        variant: its name (`layout`).
        recipe: what to do, the variant's seed included.
        bank: to train and test on.
        windows: [W] int64 target rows of each phase's windows.
        params: of the evaluation.
        seed: of the evaluation's random draws.

    Raises:
        LvmError: as `phases.run_phase`.
        KeyboardInterrupt: after the state was saved.
    """
    work = f"train-{recipe.name}-{variant}"
    with progress_folder(work, _key(recipe, bank, windows)) as folder:
        for phase in PHASES:
            before = folder / PREVIOUS[phase] if phase in PREVIOUS else None
            if not (folder / phase).exists():
                run_phase(f"{work}-{phase}", recipe, phase, bank, windows[phase], before, folder / phase, folder)
        model = load_model(folder / PHASES[-1]).to(resolve_device(recipe.device))
        predictor = from_callable(model.predict_raw, f"{recipe.name} {variant}")
        evaluations = evaluate_splits(bank, predictor, params, seed=seed, device=resolve_device(recipe.device))
        write_evaluations(evaluation_directory(variant) / recipe.name, evaluations)
        with atomic_directory(variant_directory(variant, recipe.name)) as directory:
            _copy_files(folder / PHASES[-1], directory)


def _key(recipe: Recipe, bank: Bank, windows: Mapping[str, np.ndarray]) -> str:
    rows = [windows[phase].tobytes() for phase in PHASES]
    return fingerprint(
        *(recipe.model_dump_json(), bank.info.content_sha256, *rows, sha256_of(ARTICLES), source_sha256())
    )


def _copy_files(source: Path, directory: Path) -> None:
    for file in sorted(source.iterdir()):
        shutil.copyfile(file, directory / file.name)
