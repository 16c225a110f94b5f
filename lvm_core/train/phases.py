"""The chain of phases on disk: where each phase goes on from, and what it leaves for the next.

A phase leaves a model directory that holds its best dev epoch; those of phases A and B also hold `last.safetensors` and
`optimizer.safetensors`, from which the next phase goes on. The stages of the pipeline train one phase each; variants
(another seed, or articles read backwards) and the retries of the ladder train all of them in a row (`train_phases`).

Under the policy `enforce` (config.gates) a recipe that fails its gates after phase A goes no further: the later
phases pass its weights on, and its model.json says so.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from lvm_core.bank import BankInfo
from lvm_core.config.models import FormulaNumbers, TransformerParams
from lvm_core.fivecat.formulas import decaying, fit_formula, formula_of
from lvm_core.models import count_parameters
from lvm_core.models.base import LatentModel
from lvm_core.models.checkpoint import ModelInfo, copy_model, load_model, load_tensors, save_model, save_tensors
from lvm_core.models.families import Transformer
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import atomic_directory, sha256_of, variant_directory, write_json
from lvm_core.runtime.hardware import processor_features
from lvm_core.runtime.resume import ROOT, fingerprint, progress_folder, shared_folder, source_sha256
from lvm_core.train import decision_file, read_decision
from lvm_core.train.state import StateFile, TrainState
from lvm_core.train.trainer import Trainer

PHASES = ("a", "b", "c")

PREVIOUS = {"b": "a", "c": "b"}

GATED = ("a",)
"""Phases after which the gates decide whether a recipe goes on."""

NEEDED_NEXT = ("last.safetensors", "optimizer.safetensors")
"""What a phase leaves for the next one, beside its model."""

ARTICLES = Path("data/bank/articles.parquet")


def training_key(trainer: Trainer, windows: Mapping[str, np.ndarray]) -> str:
    """Everything that shapes the finished phases kept in the folder of progress (a `resume.fingerprint`)."""
    return _key(trainer, *(windows[phase].tobytes() for phase in PHASES))


def phase_key(trainer: Trainer, phase: str, targets: np.ndarray, before: Path | None) -> str:
    """The same of one phase on the windows with target rows `targets`, going on from the folder `before`."""
    left = [sha256_of(file) for file in sorted(before.iterdir())] if before else []
    return _key(trainer, phase, targets.tobytes(), left)


def _key(trainer: Trainer, *inputs: object) -> str:
    device, size = trainer.device, trainer.ranks.size
    machine = processor_features() if device.type == "cpu" else torch.cuda.get_device_name(device)
    return fingerprint(
        *(trainer.recipe.model_dump_json(), trainer.bank.info.content_sha256, sha256_of(ARTICLES), source_sha256()),
        *(trainer.precision, device.type, machine, torch.get_num_threads(), torch.__version__, np.__version__),
        *(size, *inputs),
    )


def run_phase(
    trainer: Trainer,
    work: str,
    phase: str,
    targets: np.ndarray,
    before: Path | None,
    directory: Path,
    root: Path = ROOT,
) -> TrainState:
    """Train one phase, going on where an interrupted run stopped, and write its directory.

    Args:
        trainer: its first process writes.
        work: name of this training, for saved progress and messages; one process at a time works under it.
        phase: `a`, `b` or `c`.
        targets: [W] int64 target rows of the phase's windows.
        before: folder that the phase before left, None for phase A.
        directory: to write.
        root: where unfinished work lies.

    Raises:
        LvmError: the phase before does not fit, `dev` cannot measure, the training diverges, the disk is full, or
            another process was lost.
        KeyboardInterrupt: after the state was saved.
    """
    recipe, first = trainer.recipe, trainer.ranks.first
    state = begin_phase(trainer, phase, before)
    _ = trainer.measure  # refuses a bank that it cannot measure on before a folder is made
    with shared_folder(trainer.ranks, work, phase_key(trainer, phase, targets, before), root) as folder:
        saved = StateFile(folder / "state.safetensors")
        if saved.restore(state, trainer.device) and first:
            print(f"{work}: going on after epoch {state.epoch}, step {state.step}", flush=True)
        if before is None and state.epoch == state.step == 0:
            fit(trainer, state.model)
        try:
            trainer.train(state, phase, targets, saved if first else None)
        except FloatingPointError as error:
            remedy = f"lower recipes.{recipe.name}.train.lr in params.yaml"
            raise LvmError(f"recipe {recipe.name}, phase {phase}: {error}; {remedy}") from None
        if first:
            end_phase(trainer, state, phase, directory)
    return state


def begin_phase(trainer: Trainer, phase: str, before: Path | None) -> TrainState:
    """The state to train from: fresh for phase A, else the last weights and moments of the phase before."""
    state = trainer.start()
    if before is None:
        return state
    left = _left_by(before, trainer.bank.info)
    try:
        state.model.load_state_dict(load_tensors(before / "last.safetensors"))
        state.optimizer.restore(load_tensors(before / "optimizer.safetensors"))
    except (RuntimeError, KeyError, ValueError) as error:
        raise LvmError(f"{before}: does not fit recipe {trainer.recipe.name} ({error}); run `dvc repro`") from error
    state.history, state.epoch = list(left.history), trainer.recipe.train.epochs.before(phase)
    return state


def fit(trainer: Trainer, model: LatentModel) -> None:
    """What a fresh model takes from the bank before its first step: normaliser, mean of `train`, numbers of a base."""
    if model.normaliser is not None:
        rows = trainer.of_train.rows.to(trainer.device)
        model.normaliser.fit(trainer.vectors[rows])
    if model.centre is not None:
        model.centre.copy_(trainer.of_train.mean)
    params = trainer.recipe.model
    if isinstance(model, Transformer) and isinstance(params, TransformerParams) and params.base is not None:
        bank, base = trainer.bank, params.base
        numbers = (
            formula_of(decaying(base.decay), base.less, None, bank.vectors.shape[1])
            if isinstance(base, FormulaNumbers)
            else None
        )
        model.start_from(numbers or fit_formula(bank, str(base)).formula)


def _left_by(before: Path, info: BankInfo) -> ModelInfo:
    """What the phase before says of its model, which must have been trained on this bank."""
    left = load_model(before).info
    if left.data_sha256 != info.content_sha256:
        raise LvmError(f"{before}/model.json: was trained on another bank (data_sha256); run `dvc repro`")
    return left


def end_phase(trainer: Trainer, state: TrainState, phase: str, directory: Path) -> None:
    """Write the phase's directory: best weights, and what the next phase needs unless this is the last."""
    recipe, bank = trainer.recipe, trainer.bank.info
    info = ModelInfo(
        recipe=recipe.model_dump(),
        phase=phase,
        epoch=state.best_epoch,
        dimension=bank.dimension,
        encoder=bank.encoder,
        encoder_sha256=bank.encoder_sha256,
        data_sha256=bank.content_sha256,
        precision=trainer.precision,
        processor_features=processor_features(),
        n_parameters=count_parameters(state.model),
        architecture=recipe.model.model_dump(),
        history=state.history,
    )
    with atomic_directory(directory) as temporary:
        save_model(temporary, state.best, info)
        if phase in PREVIOUS.values():
            save_tensors(temporary / "last.safetensors", state.model.state_dict())
            save_tensors(temporary / "optimizer.safetensors", state.optimizer.tensors())


@dataclass(frozen=True)
class Stop:
    """A recipe goes no further: `after` which phase, and `why` in one line."""

    after: str
    why: str


def stop_before(recipe: str, phase: str, before: Path | None) -> Stop | None:
    """Whether a recipe was stopped before a phase: by the gates after the phase before (its folder), or earlier.

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
        before: folder that the phase before left; of the bank of `info`.
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


def train_variant(trainer: Trainer, variant: str, windows: Mapping[str, np.ndarray]) -> ModelInfo:
    """Train all phases of a variant (its recipe has the variant's seed) and write the model to `variant_directory`.

    What model.json says of it is returned.

    Variants are not gated: they go through all phases under either policy. (So where the gates stop the recipe itself,
    its figures beside theirs are those of a shorter training.) Finished phases, and the one in progress, survive an
    interruption. Fails as `run_phase`.

    Args:
        variant: `reversed` or `seed-<n>`.
        windows: [W] int64 target rows of each phase's windows.
    """
    name = trainer.recipe.name
    work = f"train-{name}-{variant}"
    with shared_folder(trainer.ranks, work, training_key(trainer, windows)) as folder:
        last = train_phases(trainer, work, windows, folder)
        if trainer.ranks.first:
            copy_model(last, variant_directory(variant, name))
        return load_model(last).info


def train_phases(
    trainer: Trainer, work: str, windows: Mapping[str, np.ndarray], folder: Path, last: str = PHASES[-1]
) -> Path:
    """Train the phases up to `last` that are not finished in `folder`, or fail as `run_phase`; the directory of `last`.

    Args:
        work: name of this training, for saved progress and messages.
        windows: [W] int64 target rows of each phase's windows.
        folder: of progress, kept by the caller until what is made of it is written; under a name that has
            `training_key` in it.
    """
    for phase in PHASES[: PHASES.index(last) + 1]:
        before = folder / PREVIOUS[phase] if phase in PREVIOUS else None
        if not trainer.ranks.broadcast(_finished(folder / phase, phase) if trainer.ranks.first else None):
            run_phase(trainer, f"{work}-{phase}", phase, windows[phase], before, folder / phase, folder)
    return folder / last


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
