"""Model directories: `model.safetensors` with the weights and `model.json` with everything needed to rebuild the model.

model = load_model("data/models/p5")
prediction = model.predict(contexts)   # [B, 5, D] unit rows -> [B, D] unit rows
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import ConfigDict, Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from lvm_core.bank.chunks import shrunk_mean
from lvm_core.config.models import ModelParams
from lvm_core.config.params import STRICT, shown, validate
from lvm_core.config.references import Sees, sees_of
from lvm_core.models import build_model
from lvm_core.models.base import LatentModel
from lvm_core.runtime.errors import READ_ERRORS, LvmError, printable
from lvm_core.runtime.files import atomic_directory, atomic_path, write_json, write_text
from lvm_core.runtime.readers import MAKE, REMAKE, read_json
from lvm_core.windows import CONTEXT

FORMAT_VERSION = 1

WIDEST = 65_536
"""Largest dimension of a vector that a model reads."""


@dataclass(frozen=True)
class ModelInfo:
    """What `model.json` says of a model."""

    recipe: dict[str, Any]
    """The resolved recipe it was trained by."""
    phase: Annotated[str, Field(pattern="^[abc]$")]
    """Last phase it went through, `a`, `b` or `c`."""
    epoch: Annotated[int, Field(ge=0)]
    """Epoch whose weights these are, counted from 1 over all phases."""
    dimension: Annotated[int, Field(ge=1, le=WIDEST)]
    """D of the vectors it reads and writes."""
    encoder: str
    """Name of the encoder of those vectors."""
    encoder_sha256: str
    """Of the encoder's weights."""
    data_sha256: str
    """Content hash of the bank it was trained on."""
    precision: str
    """Arithmetic of its training, `bf16` or `fp32`."""
    processor_features: list[str]
    """Of the machine that trained it and that change the result."""
    n_parameters: int
    """Number of trained numbers."""
    architecture: dict[str, Any]
    """Family and size, from which the model is rebuilt."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """One dict an epoch: `epoch, phase, lr, train_loss, dev_*`."""
    stopped_after: str | None = None
    """The phase after which it was not trained further, because it failed its gates; None otherwise."""
    why_stopped: str | None = None
    """The gates that it failed; None otherwise."""
    format_version: int = FORMAT_VERSION
    """Of this folder."""
    __pydantic_config__: ClassVar[ConfigDict] = STRICT


class LoadedModel:
    """A trained model, ready to predict: the torch module, in evaluation mode, and what `model.json` says."""

    def __init__(self, module: LatentModel, info: ModelInfo) -> None:
        self.module, self.info = module.eval(), info

    def to(self, device: torch.device | str) -> LoadedModel:
        """Move the weights to a device; returns self."""
        self.module.to(device)
        return self

    @torch.inference_mode()
    def predict_raw(self, contexts: torch.Tensor, memory: torch.Tensor | None = None) -> torch.Tensor:
        """[B, 5, D] and [B, D] float32 tensors -> [B, D] raw output, on the model's device."""
        raw: torch.Tensor = self.module(contexts, memory)
        return raw

    @property
    def sees(self) -> Sees:
        """What the model is given."""
        return sees_of(self.info.architecture.get("memory"))

    def predict(self, contexts: np.ndarray, memory: np.ndarray | None = None) -> np.ndarray:
        """Predict the next chunk's embedding: [B, 5, D] or [5, D], oldest chunk first -> [B, D] or [D] float32.

        All are unit rows. `memory` [B, D] or [D] is what the model sees beside the context (`memory_of`); None: that
        of a text of these five chunks. A model that sees the context alone does not look at it.

        Raises:
            LvmError: a shape is wrong or a value is not finite.
        """
        array = np.asarray(contexts, dtype=np.float32)
        dimension, device = self.info.dimension, next(self.module.parameters()).device
        if array.ndim not in (2, 3) or array.shape[-2:] != (CONTEXT, dimension):
            raise LvmError(f"contexts have shape {array.shape}, the model reads [B, {CONTEXT}, {dimension}]")
        _finite(array, "contexts hold")
        given = None
        if memory is not None and self.sees != "context":
            mean = np.asarray(memory, dtype=np.float32)
            if mean.shape != (*array.shape[:-2], dimension):
                wanted = f"[{', '.join(map(str, (*array.shape[:-2], dimension)))}]"
                raise LvmError(f"memory has shape {mean.shape}, the model reads {wanted} beside these contexts")
            _finite(mean, "memory holds")
            given = torch.from_numpy(mean.reshape(-1, dimension)).to(device)
        raw = self.predict_raw(torch.from_numpy(array.reshape(-1, CONTEXT, dimension)).to(device), given)
        unit: np.ndarray = nn.functional.normalize(raw, dim=1).cpu().numpy()
        return unit if array.ndim == 3 else unit[0]

    def memory_of(self, chunks: np.ndarray) -> np.ndarray | None:
        """[D] float32: what the model sees beside the context of a text with these chunks [n, D] before the target.

        Unit rows, the last five included, any number of them; None where the model sees the context alone.

        Raises:
            LvmError: the shape is wrong or a value is not finite.
        """
        array = np.asarray(chunks, dtype=np.float32)
        if array.ndim != 2 or array.shape[1] != self.info.dimension:
            raise LvmError(f"chunks have shape {array.shape}, the model reads [n, {self.info.dimension}]")
        _finite(array, "chunks hold")
        centre = self.module.centre
        if self.sees == "context" or centre is None:
            return None
        total = torch.from_numpy(array.sum(axis=0, dtype=np.float64).astype(np.float32))
        mean: np.ndarray = shrunk_mean(total, len(array), centre.cpu()).numpy()
        return mean


def _finite(array: np.ndarray, which: str) -> None:
    if not np.isfinite(array).all():
        raise LvmError(f"{which} NaN or infinite values")


def save_tensors(path: str | Path, tensors: dict[str, torch.Tensor], notes: dict[str, str] | None = None) -> None:
    """Write tensors (and `notes`, texts by name) as .safetensors, atomically."""
    with atomic_path(path) as temporary:
        try:
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, temporary, notes)
        except SafetensorError as error:  # what it makes of a full disk
            raise OSError(str(error)) from error


def load_tensors(path: str | Path) -> dict[str, torch.Tensor]:
    """Read a .safetensors file, or an `LvmError` that names it: it is missing or damaged."""
    with _safetensors(path):
        tensors: dict[str, torch.Tensor] = load_file(path)
    return tensors


def load_notes(path: str | Path) -> dict[str, str]:
    """The notes in a .safetensors file; fails as `load_tensors`."""
    with _safetensors(path), safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


@contextmanager
def _safetensors(path: str | Path) -> Iterator[None]:
    wrong = f"{path}: is not a complete .safetensors file"
    try:
        if not Path(path).is_file():  # a pipe would be waited for
            raise LvmError(f"{wrong} (there is no file); {MAKE}")
        yield
    except (*READ_ERRORS, SafetensorError) as error:
        raise LvmError(f"{wrong} ({printable(error)}); {REMAKE}") from error


def save_model(directory: str | Path, weights: dict[str, torch.Tensor], info: ModelInfo) -> None:
    """Write a model directory (weights first, so that a json file always has its weights)."""
    save_tensors(Path(directory) / "model.safetensors", weights)
    write_json(Path(directory) / "model.json", asdict(info))


README = "README.md"
"""Of a model directory, for people (`fivecat.readme`); nothing reads it."""


def copy_model(source: Path, directory: Path, readme: str | None = None) -> None:
    """Make `directory` a copy of a model directory, file by file with the same bytes, with a README.md of its own."""
    with atomic_directory(directory) as temporary:
        for file in sorted(source.iterdir()):
            if file.name != README:
                shutil.copyfile(file, temporary / file.name)
        if readme is not None:
            write_text(temporary / README, readme)


def load_model(directory: str | Path) -> LoadedModel:
    """Rebuild a model from its own directory.

    Raises:
        LvmError: a file is missing, damaged or of another format, or weights and json disagree.
    """
    directory = Path(directory)
    raw = read_json(directory / "model.json")
    if not isinstance(raw, dict) or raw.get("format_version") != FORMAT_VERSION:
        raise LvmError(f"{directory / 'model.json'}: format_version must be {FORMAT_VERSION}; train the model again")
    info: ModelInfo = validate(raw, ModelInfo, "", directory / "model.json")
    architecture: ModelParams = validate(info.architecture, ModelParams, "architecture", directory / "model.json")
    weights = load_tensors(directory / "model.safetensors")
    with torch.device("meta"):  # sizes without memory: the file must hold the weights before room is made for them
        wanted, there = _shapes(build_model(architecture, info.dimension).state_dict()), _shapes(weights)
    for name in (*wanted, *there):
        if wanted.get(name) != there.get(name):
            has, needs = there.get(name, "not there"), wanted.get(name, "not there")
            raise LvmError(
                f"{directory / 'model.safetensors'}: does not fit the architecture in model.json: {shown(name)} is "
                f"{has}, must be {needs}"
            )
    module = build_model(architecture, info.dimension)
    module.load_state_dict(weights)
    return LoadedModel(module, info)


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """Type and shape of each tensor, in words."""
    return {name: f"{tensor.dtype} {list(tensor.shape)}" for name, tensor in tensors.items()}
