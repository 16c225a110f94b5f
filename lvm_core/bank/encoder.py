"""Text to unit vectors: finds the encoder's weights on this machine and encodes in length-sorted batches, resumably."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lvm_core.bank import BankInfo, content_sha256
from lvm_core.bank.encoder_folder import PACKAGED, find_model, require_complete, require_modest, weights_sha256
from lvm_core.runtime.cli import Progress
from lvm_core.runtime.distributed import ALONE, Ranks
from lvm_core.runtime.errors import AGAIN, LvmError, printable
from lvm_core.runtime.files import atomic_path, sha256_of
from lvm_core.runtime.readers import read_npy
from lvm_core.runtime.resume import find_hashed, fingerprint, saved_array, source_sha256

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer


BATCHES_PER_SHARD = 32
"""Batches between two saved points: a kill loses at most that much work."""

TOKENIZED_AT_ONCE = 4096
"""Texts, to bound the memory of their tokens."""

Parts = list[tuple[int, list[int]]]
"""Number and positions of the texts of each saved part, longest texts first."""


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
        transformers.utils.logging.set_verbosity_error()  # what it finds wrong with weights is an error of ours
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        try:
            if name not in PACKAGED:
                require_modest(folder)
            self._model: SentenceTransformer = SentenceTransformer(
                str(folder), device=str(device), local_files_only=True, model_kwargs={"dtype": dtype}
            )
            self.dimension = int(self._model.get_embedding_dimension() or 0)
            if name not in PACKAGED:
                require_complete(self._model, folder)
        except LvmError:
            raise
        except Exception as error:  # whatever the libraries raise at a folder of somebody's
            raise LvmError(f"{folder}: is not a sentence-transformers model ({printable(error)})") from error
        self.name, self.precision, self.batch_size, self._folder = name, precision, batch_size, folder
        self.weights_sha256 = weights_sha256(folder)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """[len(texts), D] float32 unit vectors.

        Raises:
            LvmError: the encoder fails, or returns a zero or non-finite vector (names the text's position).
        """
        try:
            raw = self._model.encode(
                list(texts), batch_size=self.batch_size, show_progress_bar=False, convert_to_tensor=True
            )
        except Exception as error:  # a tokenizer that does not fit the weights, say, or a GPU that is too small
            remedy = f"lower encoder.batch_size if memory ran out; else {AGAIN}"
            raise LvmError(f"encoder {self.name}: cannot encode ({printable(error)}); {remedy}") from error
        vectors: np.ndarray = raw.float().cpu().numpy()
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        bad = np.flatnonzero(~(np.isfinite(norms[:, 0]) & (norms[:, 0] > 1e-6)))
        if len(bad):
            raise LvmError(f"encoder {self.name}: text {bad[0]} of this batch has no finite, non-zero vector")
        return vectors / norms

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """What a forward pass costs, by text: its tokens, or its characters if the encoder has no tokenizer that tells.

        A batch is padded to its longest text: batches of like numbers of characters held a third more tokens.
        """
        import transformers

        tokenizer = self._model.tokenizer
        if not isinstance(tokenizer, transformers.PreTrainedTokenizerBase):
            return [len(text) for text in texts]
        counts: list[int] = []
        for start in range(0, len(texts), TOKENIZED_AT_ONCE):
            part = list(texts[start : start + TOKENIZED_AT_ONCE])
            found = tokenizer(part, truncation=True, max_length=self._model.max_seq_length)
            counts += [len(ids) for ids in found["input_ids"]]
        return counts

    def fingerprint(self, texts: Sequence[str], features: Sequence[str]) -> str:
        """Hash of everything that shapes `encode(texts)`: names the folder of saved work."""
        import torch
        import transformers

        parts = [self.weights_sha256, self.precision, self.batch_size, BATCHES_PER_SHARD, torch.__version__]
        parts += [transformers.__version__, torch.get_num_threads(), list(features), source_sha256()]
        parts += [metadata.version("sentence-transformers"), metadata.version("tokenizers"), np.__version__]
        parts += [self._model.device.type, *(sha256_of(file) for file in sorted(self._folder.rglob("*.json")))]
        return fingerprint(*parts, *texts)


def encode_parts(texts: Sequence[str], encoder: Encoder, shards: Path, ranks: Ranks = ALONE) -> Parts:
    """Encode `texts` into files of some batches each, those that are not there yet.

    Texts are sorted by their tokens so that a batch needs little padding. With several processes each takes every so
    manieth file; which texts share a batch does not depend on their number, so that the bytes do not either.

    Args:
        texts: N texts.
        encoder: the encoder.
        shards: folder of saved work, named by `encoder.fingerprint(texts, features)`.
        ranks: the processes that share the work; returns when all have done theirs.

    Returns:
        All parts, for `write_vectors`.

    Raises:
        LvmError: the encoder's vectors are not usable, a file cannot be written, or another process was lost.
    """
    parts = _parts(texts, encoder)
    own = parts[ranks.rank :: ranks.size]
    there = [len(part) for number, part in own if find_hashed(shards / _name(number)) is not None]
    if there and ranks.first:
        print(f"embed: {len(there)} of {len(own)} saved parts found in {shards}, going on from there", flush=True)
    progress = Progress("embed", sum(len(part) for _, part in own), "chunks", done=sum(there))
    for number, part in own:
        made = find_hashed(shards / _name(number)) is None
        saved_array(shards / _name(number), lambda: encoder.encode([texts[i] for i in part]))  # noqa: B023 - called now
        if made:
            progress.update(len(part))
    progress.close()
    ranks.wait()
    return parts


def write_vectors(
    texts: Sequence[str],
    parts: Parts,
    encoder: Encoder,
    path: str | Path,
    shards: Path,
    *,
    dtype: str,
    features: Sequence[str],
) -> BankInfo:
    """Join what `encode_parts` saved into a .npy file, one unit row a text, in the order given.

    Args:
        texts: N texts.
        parts: from `encode_parts`.
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
        for number, part in parts:
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


def _parts(texts: Sequence[str], encoder: Encoder) -> Parts:
    """The parts of `texts`: which of them share a batch, and which batches a file."""
    lengths = encoder.lengths(texts)
    order = sorted(range(len(texts)), key=lambda index: (-lengths[index], index))
    size = encoder.batch_size * BATCHES_PER_SHARD
    return [(start, order[start : start + size]) for start in range(0, len(order), size)]


def _name(number: int) -> str:
    return f"{number:09d}.npy"
