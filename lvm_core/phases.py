"""The chain of phases on disk: where each phase finds what the one before left, and what it leaves itself.

`data/phases/{a,b}/<recipe>/` and `data/models/<recipe>/` (phase C) are model directories holding the best dev epoch of
the phase; phases A and B also hold `last.safetensors` and `optimizer.safetensors`, from which the next phase goes on.
"""

from __future__ import annotations

from pathlib import Path

import torch

from lvm_core.bank import BankInfo
from lvm_core.checkpoint import ModelInfo, load_model, load_tensors, save_model, save_tensors
from lvm_core.errors import LvmError
from lvm_core.files import atomic_directory
from lvm_core.hardware import processor_features
from lvm_core.layout import phase_directory
from lvm_core.models import count_parameters
from lvm_core.recipe import Recipe
from lvm_core.trainer import TrainState, optimizer_tensors, restore_optimizer, start_training

PREVIOUS = {"b": "a", "c": "b"}


def directory_before(recipe: str, phase: str) -> Path | None:
    """Folder of the phase before; None for phase A."""
    return phase_directory(recipe, PREVIOUS[phase]) if phase in PREVIOUS else None


def begin_phase(recipe: Recipe, phase: str, info: BankInfo, device: torch.device) -> TrainState:
    """The state to train from: fresh for phase A, else the last weights and moments of the phase before.

    Raises:
        LvmError: the phase before is missing, damaged, or was trained on other data or by another architecture.
    """
    state = start_training(recipe, info.dimension, device)
    directory = directory_before(recipe.name, phase)
    if directory is None:
        return state
    before = load_model(directory).info
    if before.data_sha256 != info.content_sha256:
        raise LvmError(f"{directory}/model.json: was trained on another bank (data_sha256); run `dvc repro`")
    try:
        state.model.load_state_dict(load_tensors(directory / "last.safetensors"))
        restore_optimizer(state.optimizer, load_tensors(directory / "optimizer.safetensors"))
    except (RuntimeError, KeyError, ValueError) as error:
        raise LvmError(f"{directory}: does not fit recipe {recipe.name} ({error}); run `dvc repro`") from error
    state.history, state.epoch = list(before.history), recipe.train.epochs.before(phase)
    return state


def end_phase(state: TrainState, recipe: Recipe, phase: str, info: BankInfo, precision: str) -> None:
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
    with atomic_directory(phase_directory(recipe.name, phase)) as directory:
        save_model(directory, state.best, model_info)
        if phase in PREVIOUS.values():
            save_tensors(directory / "last.safetensors", state.model.state_dict())
            save_tensors(directory / "optimizer.safetensors", optimizer_tensors(state.optimizer))
