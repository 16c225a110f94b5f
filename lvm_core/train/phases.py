"""The chain of phases: where each phase goes on from, and what it leaves for the next.

A phase leaves a model directory that holds its best dev epoch; those of phases A and B also hold `last.safetensors` and
`optimizer.safetensors`, from which the next phase goes on.

Under the policy `enforce` (config.gates) a recipe that fails its gates after phase A goes no further: the later
phases pass its weights on, and its model.json says so.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from lvm_core.bank import Bank, BankInfo
from lvm_core.config.recipe import Recipe
from lvm_core.models import count_parameters
from lvm_core.models.checkpoint import ModelInfo, load_model, load_tensors, save_model, save_tensors
from lvm_core.runtime.distributed import ALONE, Ranks
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import atomic_directory, write_json
from lvm_core.runtime.hardware import processor_features, resolve_device, resolve_precision
from lvm_core.runtime.resume import ROOT, fingerprint, progress_folder, shared_folder
from lvm_core.train.decision import decision_file, read_decision
from lvm_core.train.sampling import training_vectors
from lvm_core.train.state import StateFile, phase_key
from lvm_core.train.trainer import TrainState, dev_metrics_on, start_training, train_phase

PREVIOUS = {"b": "a", "c": "b"}

GATED = ("a",)
"""Phases after which the gates decide whether a recipe goes on."""

NEEDED_NEXT = ("last.safetensors", "optimizer.safetensors")
"""What a phase leaves for the next one, beside its model."""

ARTICLES = Path("data/bank/articles.parquet")


def run_phase(
    work: str,
    recipe: Recipe,
    phase: str,
    bank: Bank,
    targets: np.ndarray,
    before: Path | None,
    directory: Path,
    root: Path = ROOT,
    ranks: Ranks = ALONE,
) -> TrainState:
    """Train one phase, going on where an interrupted run stopped, and write its directory.

    Args:
        work: name of this training, for saved progress and messages; one process at a time works under it.
        recipe: what to do, and on which device.
        phase: `a`, `b` or `c`.
        bank: with windows of `dev`.
        targets: [W] int64 target rows of the phase's windows.
        before: folder that the phase before left, None for phase A.
        directory: to write.
        root: where unfinished work lies.
        ranks: the processes that share the work; the first one writes.

    Raises:
        LvmError: the phase before does not fit, `dev` cannot measure, the training diverges, the disk is full, or
            another process was lost.
        KeyboardInterrupt: after the state was saved.
    """
    device = resolve_device(recipe.device, ranks.local if ranks.size > 1 else None)
    precision = resolve_precision(recipe.precision, device)
    state = begin_phase(recipe, phase, bank.info, device, before)
    vectors = training_vectors(bank, device, recipe.train.bank)
    if before is None and state.model.normaliser is not None:
        state.model.normaliser.fit(vectors[torch.from_numpy(train_rows(bank)).to(device)])
    measure = dev_metrics_on(bank, device, recipe.train.best_by)
    key = phase_key(recipe, phase, bank.info, targets, ARTICLES, before, precision, device, ranks.size)
    with shared_folder(ranks, work, key, root) as folder:
        saved = StateFile(folder / "state.safetensors")
        if saved.restore(state, device) and ranks.first:
            print(f"{work}: going on after epoch {state.epoch}, step {state.step}", flush=True)
        try:
            saver = saved if ranks.first else None
            train_phase(state, recipe, phase, vectors, targets, measure, precision, saver, bank.article_of_row, ranks)
        except FloatingPointError as error:
            remedy = f"lower recipes.{recipe.name}.train.lr in params.yaml"
            raise LvmError(f"recipe {recipe.name}, phase {phase}: {error}; {remedy}") from None
        if ranks.first:
            end_phase(state, recipe, phase, bank.info, precision, directory)
    return state


def begin_phase(recipe: Recipe, phase: str, info: BankInfo, device: torch.device, before: Path | None) -> TrainState:
    """The state to train from: fresh for phase A, else the last weights and moments of the phase before."""
    state = start_training(recipe, info.dimension, device)
    if before is None:
        return state
    left = _left_by(before, info)
    try:
        state.model.load_state_dict(load_tensors(before / "last.safetensors"))
        state.optimizer.restore(load_tensors(before / "optimizer.safetensors"))
    except (RuntimeError, KeyError, ValueError) as error:
        raise LvmError(f"{before}: does not fit recipe {recipe.name} ({error}); run `dvc repro`") from error
    state.history, state.epoch = list(left.history), recipe.train.epochs.before(phase)
    return state


def _left_by(before: Path, info: BankInfo) -> ModelInfo:
    """What the phase before says of its model, which must have been trained on this bank."""
    left = load_model(before).info
    if left.data_sha256 != info.content_sha256:
        raise LvmError(f"{before}/model.json: was trained on another bank (data_sha256); run `dvc repro`")
    return left


@dataclass(frozen=True)
class Stop:
    """A recipe goes no further: `after` which phase, and `why` in one line."""

    after: str
    why: str


def stop_before(recipe: str, phase: str, before: Path | None) -> Stop | None:
    """Whether a recipe was stopped before a phase: by the gates after the phase before, or earlier.

    Args:
        recipe: its name.
        phase: `a`, `b` or `c`.
        before: folder that the phase before left, None for phase A.

    Raises:
        LvmError: that folder or the decision of the gates is missing or damaged (names the file).
    """
    if before is None:
        return None
    left = load_model(before).info
    if left.stopped_after is not None:
        return Stop(left.stopped_after, left.why_stopped or "")
    if PREVIOUS[phase] not in GATED:
        return None
    decision = read_decision(decision_file(PREVIOUS[phase], recipe))
    return None if decision.why is None else Stop(PREVIOUS[phase], decision.why)


def pass_on(work: str, stop: Stop, phase: str, info: BankInfo, before: Path, directory: Path) -> ModelInfo:
    """Write a phase's directory without training: the files of the phase before, and a model.json that says why.

    Args:
        work: name of the training that this is in place of: not while another process is at it.
        stop: the reason.
        phase: `b` or `c`.
        info: of the bank.
        before: folder that the phase before left.
        directory: to write; the weights in it are those in `before`, byte for byte.

    Raises:
        LvmError: the phase before is missing, damaged or of another bank, or the folder cannot be written to.
    """
    left = _left_by(before, info)
    files = ("model.safetensors", *(NEEDED_NEXT if phase in PREVIOUS.values() else ()))
    for name in files:
        load_tensors(before / name)  # whole?
    said = asdict(left) | {"stopped_after": stop.after, "why_stopped": stop.why}
    with progress_folder(work, fingerprint("passed on")), atomic_directory(directory) as temporary:
        for name in files:
            shutil.copyfile(before / name, temporary / name)
        write_json(temporary / "model.json", said)
    return ModelInfo(**said)


def train_rows(bank: Bank) -> np.ndarray:
    """[n] int64, rows of all chunks of the `train` split, ascending."""
    of_train = (bank.articles["split"] == "train").to_numpy()
    return np.flatnonzero(of_train[bank.article_of_row])


def end_phase(state: TrainState, recipe: Recipe, phase: str, info: BankInfo, precision: str, directory: Path) -> None:
    """Write the phase's directory: best weights, and what the next phase needs unless this is the last."""
    model_info = ModelInfo(
        recipe=recipe.model_dump(),
        phase=phase,
        epoch=state.best_epoch,
        dimension=info.dimension,
        encoder=info.encoder,
        encoder_sha256=info.weights_sha256,
        data_sha256=info.content_sha256,
        precision=precision,
        processor_features=processor_features(),
        n_parameters=count_parameters(state.model),
        architecture=recipe.model.model_dump(),
        history=state.history,
    )
    with atomic_directory(directory) as temporary:
        save_model(temporary, state.best, model_info)
        if phase in PREVIOUS.values():
            save_tensors(temporary / "last.safetensors", state.model.state_dict())
            save_tensors(temporary / "optimizer.safetensors", state.optimizer.tensors())
