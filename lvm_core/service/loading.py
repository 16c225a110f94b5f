"""What the service is made of, loaded and checked to fit together before the first request."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lvm_core.bank import Bank, load_bank, require_content
from lvm_core.bank.encoder import Encoder
from lvm_core.config.params import validate
from lvm_core.models.checkpoint import LoadedModel, load_model
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import sha256_of
from lvm_core.runtime.readers import read_json
from lvm_core.service import schemas
from lvm_core.service.confidence import Calibration, load_calibration
from lvm_core.service.nearest import ChunkSearch, ContextFiller, Decoder, Index, NearestChunk
from lvm_core.service.schemas import ChatAnswer, Settings

if TYPE_CHECKING:
    from lvm_core.service.engine import Engine

OTHER_BANK = (
    "No confidence is stated: it was measured with the bank that the model was trained on, and this is another."
)

NO_ENCODER = "the bank holds imported vectors and names no encoder"

BATCH = 32
"""Texts that the encoder takes at a time."""


@dataclass(frozen=True)
class Parts:
    """A model with the bank it was trained on, the encoder of both, and what its scores mean."""

    name: str
    """Of the model's recipe."""
    model: LoadedModel
    """On the processor."""
    bank: Bank
    index: Index
    """Of all its rows."""
    filler: ContextFiller
    chunks: ChunkSearch
    decoder: Decoder
    encoder: Encoder | None
    """None for a bank of imported vectors."""
    calibration: Calibration | None
    directory: Path
    """Of the model."""
    figures: dict[str, Any]
    """Its main held-out figures by split."""
    reasons: list[str]
    """What is missing, in words."""
    other_bank: bool
    """Whether the model was trained on another bank than this one."""

    def info(self, settings: Settings) -> dict[str, Any]:
        """What /info answers."""
        info, bank = self.model.info, self.bank.info
        kept: dict[str, Any] = next((one for one in info.history if one.get("epoch") == info.epoch), {})
        return {
            "model": {
                "recipe": self.name,
                "losses": list(info.recipe.get("losses") or {}),
                "architecture": info.architecture,
                "parameters": info.n_parameters,
                "sees": self.model.sees,
                "phase": info.phase,
                "epoch": info.epoch,
            },
            "metrics": {"dev": {key: value for key, value in kept.items() if key.startswith("dev_")}} | self.figures,
            "encoder": {"name": bank.encoder, "precision": bank.precision} if self.encoder else None,
            "bank": {
                "chunks": bank.n_chunks,
                "articles": len(self.bank.articles),
                "dimension": bank.dimension,
                "sources": sorted(set(self.bank.articles["source"])),
            },
            "calibration": self.calibration and self.calibration.told,
            "notice": settings.notice or (OTHER_BANK if self.other_bank else None),
            "limits": {
                "body_bytes": schemas.BODY_BYTES,
                "messages": schemas.MESSAGES,
                "characters": schemas.CHARACTERS,
                "steps": settings.steps,
                "candidates": schemas.CANDIDATES,
                "retrieved": schemas.RETRIEVED,
                "contexts": schemas.VECTORS,
                "queue": settings.queue,
            },
            "fill": settings.fill,
            "versions": {name: metadata.version(name) for name in ("lvm-lab", "torch")}
            | {"python": platform.python_version()},
        }


def load_parts(
    model_directory: Path,
    bank_directory: Path,
    calibration_file: Path | None = None,
    metrics: Path | None = None,
    *,
    any_bank: bool = False,
) -> Parts:
    """Load everything and check that it fits together.

    Args:
        model_directory: of the model.
        bank_directory: of the bank that it was trained on.
        calibration_file: what its scores mean; found where the pipeline puts it.
        metrics: folder with RECIPE.json, the model's held-out figures, if any.
        any_bank: another bank of the same encoder will do. The calibration was measured with the model's own: with
            another one, no confidence is stated.
    """
    model = load_model(model_directory)
    check_servable(model, model_directory)
    bank = load_bank(bank_directory)
    other_bank = model.info.data_sha256 != bank.info.content_sha256
    _check_bank(model, bank, model_directory, bank_directory)
    if other_bank and not any_bank:
        raise LvmError(
            f"{model_directory}: was trained on another bank ({model.info.data_sha256[:12]}) than {bank_directory} "
            f"({bank.info.content_sha256[:12]}); run `dvc repro`, or name its bank with --bank"
        )
    require_content(bank)
    path = None if other_bank else calibration_file or find_calibration(model_directory)
    calibration = load_calibration(path) if path else None
    weights = sha256_of(model_directory / "model.safetensors")
    if calibration and (calibration.model_sha256, calibration.bank_sha256) != (weights, bank.info.content_sha256):
        raise LvmError(f"{path}: was measured on another model or bank than {model_directory}; run `dvc repro`")
    encoder = _encoder(bank, bank_directory)
    reasons = []
    if calibration is None and not other_bank:
        reasons.append("no calibration of this model: no confidence is stated (run `dvc repro` to make it)")
    if calibration and calibration.why_not:
        reasons.append(f"no confidence is stated: {calibration.why_not}")
    if encoder is None:
        reasons.append(f"{NO_ENCODER}: only vectors can be sent, not text")
    index = Index.of(bank)
    name = str(model.info.recipe.get("name", model_directory.name))
    return Parts(
        name=name,
        model=model,
        bank=bank,
        index=index,
        filler=ContextFiller(bank, index),
        chunks=ChunkSearch(bank, index),
        decoder=NearestChunk(),
        encoder=encoder,
        calibration=calibration,
        directory=model_directory,
        figures=_figures(metrics, name),
        reasons=reasons,
        other_bank=other_bank,
    )


class TextModel(LoadedModel):
    """A trained model that takes text too. Bank and encoder are loaded when the first text comes."""

    def __init__(self, directory: str | Path, bank: str | Path = "data/bank") -> None:
        loaded = load_model(directory)
        super().__init__(loaded.module, loaded.info)
        self._directory, self._bank = Path(directory), Path(bank)

    def continue_text(self, text: str, k: int = 5) -> ChatAnswer:
        """What comes next in a text, which is cut into chunks as the corpus was; the last five are read.

        Of those before them a model with a memory reads the mean (`read_before` says of how many).

        Args:
            text: at most `schemas.CHARACTERS` long; paragraphs are parted by blank lines.
            k: number of candidates, at most `schemas.CANDIDATES`.

        Returns:
            What the service answers: `candidates`, the chunks of the bank nearest to the prediction, best first; the
            calibrated `confidence`, if there is one; how the `context` was filled.

        Raises:
            LvmError: there is no text, too much of it, or k is out of range; or bank and encoder do not fit the model.
        """
        return self._answer(paragraph=text, candidates=k)

    def from_texts(self, texts: Sequence[str], k: int = 5) -> ChatAnswer:
        """The same after one to five chunks, oldest first; a chunk is only cut where it is longer than the corpus's."""
        return self._answer(messages=list(texts), candidates=k)

    def _answer(self, **asked: Any) -> ChatAnswer:
        from lvm_core.service.engine import Now

        request = validate(asked, schemas.ChatRequest, "", "request")
        return schemas.ChatAnswer.model_validate(self._engine.chat([Now(request)])[0])

    @cached_property
    def _engine(self) -> Engine:
        from lvm_core.service.engine import Engine

        parts = load_parts(self._directory, self._bank, any_bank=True)
        if parts.encoder is None:
            raise LvmError(f"{self._bank}: {NO_ENCODER}")
        return Engine(parts, schemas.Settings.configured())


def check_servable(model: LoadedModel, directory: Path) -> None:
    """Refuse a model that sees what a text that is being written does not have."""
    if model.sees not in ("context", "memory"):
        raise LvmError(
            f"{directory}: sees the whole document, which a text that is being written does not have; choose a model "
            "with model.memory null or read"
        )


def find_calibration(model_directory: str | Path) -> Path | None:
    """The calibration of a model directory: in it, or where the pipeline puts it (data/calibration); None if none.

    There, any that was measured on the same weights: the selected model is one of the recipes.
    """
    directory = Path(model_directory).resolve()
    of_pipeline = directory.parent.parent / "calibration"
    named = [directory / "calibration.json", of_pipeline / f"{directory.name}.json"]
    weights = sha256_of(directory / "model.safetensors")
    same = (path for path in sorted(of_pipeline.glob("*.json")) if _measured_on(path, weights))
    return next((path for path in named if path.is_file()), None) or next(same, None)


def _measured_on(path: Path, weights: str) -> bool:
    try:
        raw = read_json(path)
    except LvmError:  # of another model, as far as we can tell
        return False
    return isinstance(raw, dict) and raw.get("model_sha256") == weights


def _check_bank(model: LoadedModel, bank: Bank, model_directory: Path, bank_directory: Path) -> None:
    info = model.info
    if info.dimension != bank.info.dimension:
        raise LvmError(
            f"{model_directory}: reads vectors of dimension {info.dimension}, {bank_directory} holds "
            f"{bank.info.dimension}; name the bank it was trained on with --bank"
        )
    if info.encoder_sha256 != bank.info.encoder_sha256:
        raise LvmError(
            f"{model_directory}: was trained on vectors of encoder {info.encoder!r} ({info.encoder_sha256[:12]}), "
            f"{bank_directory} has those of {bank.info.encoder!r} ({bank.info.encoder_sha256[:12]})"
        )


def _figures(folder: Path | None, recipe: str) -> dict[str, Any]:
    path = folder / f"{recipe}.json" if folder is not None and "/" not in recipe else None
    raw = read_json(path) if path is not None and path.is_file() else None
    if not isinstance(raw, dict):
        return {}
    wanted = ("recall_at_5", "recall_at_1", "mrr", "cosine", "full_bank_recall_at_5")
    splits = [split for split in ("val", "ood") if isinstance(raw.get(split), dict)]
    return {split: {key: raw[split][key] for key in wanted if key in raw[split]} for split in splits}


def _encoder(bank: Bank, bank_directory: Path) -> Encoder | None:
    if not bank.info.encoder_sha256:
        return None
    encoder = Encoder(
        bank.info.encoder, batch_size=BATCH, precision=bank.info.precision or "fp32", device=torch.device("cpu")
    )
    if encoder.sha256 != bank.info.encoder_sha256:
        raise LvmError(
            f"{bank_directory}: was encoded by {bank.info.encoder!r} with other files "
            f"({bank.info.encoder_sha256[:12]}) than those installed ({encoder.sha256[:12]})"
        )
    return encoder
