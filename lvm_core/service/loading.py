"""What the service is made of, loaded and checked to fit together before the first request."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch

from lvm_core.bank import Bank, load_bank, require_content
from lvm_core.bank.encoder import Encoder
from lvm_core.models.checkpoint import LoadedModel, load_model
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import sha256_of
from lvm_core.service.confidence import Calibration, find_calibration, load_calibration
from lvm_core.service.nearest import ChunkSearch, ContextFiller, Decoder, Index, NearestChunk

BATCH = 32
"""Texts that the encoder takes at a time."""


@dataclass(frozen=True)
class Parts:
    """A model with the bank it was trained on, the encoder of both, and what its scores mean."""

    model: LoadedModel
    """On the processor."""
    bank: Bank
    index: Index
    """Of all its rows."""
    filler: ContextFiller
    """Fills contexts from it."""
    chunks: ChunkSearch
    """The bank's chunks by their vectors."""
    decoder: Decoder
    """Turns predictions into texts."""
    encoder: Encoder | None
    """None for a bank of imported vectors."""
    calibration: Calibration | None
    """None if there is none."""
    directory: Path
    """Of the model."""
    reasons: list[str] = field(default_factory=list)
    """What is missing, in words."""

    @property
    def name(self) -> str:
        """The model's recipe."""
        return str(self.model.info.recipe.get("name", self.directory.name))


def load_parts(model_directory: Path, bank_directory: Path, calibration_file: Path | None) -> Parts:
    """Load everything and check that it fits together."""
    model, bank = load_model(model_directory), load_bank(bank_directory)
    _check_bank(model, bank, model_directory, bank_directory)
    require_content(bank)
    path = calibration_file or find_calibration(model_directory)
    calibration = load_calibration(path) if path else None
    if calibration is not None:
        _check_calibration(calibration, path, bank, model_directory)
    encoder = _encoder(bank, bank_directory)
    reasons = []
    if calibration is None:
        reasons.append("no calibration of this model: no confidence is stated (run `dvc repro` to make it)")
    if encoder is None:
        reasons.append("the bank holds imported vectors and names no encoder: only vectors can be sent, not text")
    index = Index.of(bank)
    return Parts(
        model=model,
        bank=bank,
        index=index,
        filler=ContextFiller(bank, index),
        chunks=ChunkSearch(bank, index),
        decoder=NearestChunk(),
        encoder=encoder,
        calibration=calibration,
        directory=Path(model_directory),
        reasons=reasons,
    )


def _check_bank(model: LoadedModel, bank: Bank, model_directory: Path, bank_directory: Path) -> None:
    info = model.info
    if info.dimension != bank.info.dimension:
        raise LvmError(
            f"{model_directory}: reads vectors of dimension {info.dimension}, {bank_directory} holds "
            f"{bank.info.dimension}; name the bank it was trained on with --bank"
        )
    if info.encoder_sha256 != bank.info.weights_sha256:
        raise LvmError(
            f"{model_directory}: was trained on vectors of encoder {info.encoder!r} ({info.encoder_sha256[:12]}), "
            f"{bank_directory} has those of {bank.info.encoder!r} ({bank.info.weights_sha256[:12]})"
        )
    if info.data_sha256 != bank.info.content_sha256:
        raise LvmError(
            f"{model_directory}: was trained on another bank ({info.data_sha256[:12]}) than {bank_directory} "
            f"({bank.info.content_sha256[:12]}); run `dvc repro`, or name its bank with --bank"
        )


def _check_calibration(calibration: Calibration, path: Path | None, bank: Bank, model_directory: Path) -> None:
    weights = sha256_of(model_directory / "model.safetensors")
    if (calibration.model_sha256, calibration.bank_sha256) != (weights, bank.info.content_sha256):
        raise LvmError(f"{path}: was measured on another model or bank than {model_directory}; run `dvc repro`")


def _encoder(bank: Bank, bank_directory: Path) -> Encoder | None:
    if not bank.info.weights_sha256:
        return None
    encoder = Encoder(
        bank.info.encoder, batch_size=BATCH, precision=bank.info.precision or "fp32", device=torch.device("cpu")
    )
    if encoder.weights_sha256 != bank.info.weights_sha256:
        raise LvmError(
            f"{bank_directory}: was encoded by {bank.info.encoder!r} with other weights "
            f"({bank.info.weights_sha256[:12]}) than those installed ({encoder.weights_sha256[:12]})"
        )
    return encoder
