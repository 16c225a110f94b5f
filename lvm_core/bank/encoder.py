"""Text to unit vectors, encoded in length-sorted batches, resumably."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lvm_core.bank import BankInfo, content_sha256
from lvm_core.bank.encoder_files import ENDLESS, PACKAGED, WordPieces, body_of, encoder_sha256, find_model
from lvm_core.runtime.cli import Progress
from lvm_core.runtime.distributed import ALONE, Ranks
from lvm_core.runtime.errors import AGAIN, LvmError, printable
from lvm_core.runtime.files import atomic_path
from lvm_core.runtime.readers import read_json
from lvm_core.runtime.resume import find_hashed, fingerprint, saved_array, source_sha256

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer


MOST_PARTS = 1000
"""Layers, experts or labels that config.json may describe: each is made one by one."""

_PARTS = re.compile("layer|block|expert|label")


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
    source = str(body_of(folder))
    _, told = type(body).from_pretrained(source, config=body.config, local_files_only=True, output_loading_info=True)
    missing = sorted(key for key in told["missing_keys"] if "pooler" not in key)  # poolings read the layer before
    if missing:
        some = f"{', '.join(missing[:3])}{' and others' if missing[3:] else ''}"
        raise LvmError(f"{source}: its weights lack {len(missing)} tensors ({printable(some)}); {AGAIN}")


BATCHES_PER_SHARD = 32
"""Batches between two saved points: a kill loses at most that much work."""


@dataclass(frozen=True)
class TextCounts:
    """What an encoder makes of texts before it encodes them."""

    lengths: list[int]
    """What a forward pass costs, by text: the tokens it reads, or the characters if the encoder has no tokenizer that
    tells."""
    cut: int = 0
    """Texts of which it does not read the end."""
    longest: int = 0
    """Tokens of the longest text, read or not."""
    unknown: int = 0
    """Texts of which it does not know more than half of the characters."""
    unknown_share: float = 0.0
    """Of all characters but spaces."""


class Encoder:
    """A loaded text encoder, whose `encode` returns unit vectors of `dimension` D in `precision` `bf16` or `fp32`."""

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
        self.name, self.precision, self.batch_size = name, precision, batch_size
        self.sha256 = encoder_sha256(folder)
        self.prompt: str = self._model.prompts.get(self._model.default_prompt_name or "") or ""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """[len(texts), D] float32 unit vectors."""
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

    @cached_property
    def pieces(self) -> WordPieces | None:
        """How it cuts texts into word pieces; None for an encoder that does not."""
        try:
            tokenizer = self._model.tokenizer
            if not hasattr(getattr(tokenizer, "backend_tokenizer", tokenizer), "num_special_tokens_to_add"):
                return None
            return WordPieces.of(tokenizer, self._model.max_seq_length, self.prompt)
        except Exception as error:
            raise LvmError(f"encoder {self.name}: its tokenizer fails ({printable(error)}); {AGAIN}") from error

    def measure(self, texts: Sequence[str]) -> TextCounts:
        """Count what it reads of texts, and what it does not.

        A batch is padded to its longest text: batches of like numbers of characters held a third more tokens.
        """
        if self.pieces is None:
            return TextCounts([len(text) for text in texts])
        most = self.pieces.longest or ENDLESS
        whole, unknown = self.pieces.lengths_and_unknown(texts)
        characters = [len(text) - text.count(" ") for text in texts]
        return TextCounts(
            lengths=[min(length, most) for length in whole],
            cut=sum(length > most for length in whole),
            longest=max(whole, default=0),
            unknown=sum(2 * some > of for some, of in zip(unknown, characters, strict=True)),
            unknown_share=sum(unknown) / max(sum(characters), 1),
        )

    def fingerprint(self, texts: Sequence[str], features: Sequence[str]) -> str:
        """Hash of everything that shapes `encode(texts)`: names the folder of saved work."""
        import torch
        import transformers

        parts = [self.sha256, self.precision, self.batch_size, BATCHES_PER_SHARD, torch.__version__]
        parts += [transformers.__version__, torch.get_num_threads(), list(features), source_sha256()]
        parts += [metadata.version("sentence-transformers"), metadata.version("tokenizers"), np.__version__]
        return fingerprint(*parts, self._model.device.type, *texts)


def encode_bank(
    texts: Sequence[str],
    encoder: Encoder,
    path: str | Path,
    shards: Path,
    *,
    dtype: str,
    features: Sequence[str],
    ranks: Ranks = ALONE,
) -> BankInfo | None:
    """Encode `texts` into a .npy file, one unit row a text in the order given, and say what `bank.json` records.

    Each part of some batches is saved on the way. Texts are sorted by their tokens so that a batch needs little
    padding. Of n processes each encodes every n-th part, and the first one writes the file (the others
    return None); which texts share a batch does not depend on their number, so that the bytes do not either.

    `shards` is the folder of saved parts, named by `encoder.fingerprint(texts, features)`; the processor's `features`
    are recorded.
    """
    found = encoder.measure(texts)
    lengths = found.lengths
    order = sorted(range(len(texts)), key=lambda index: (-lengths[index], index))
    size = encoder.batch_size * BATCHES_PER_SHARD
    parts = {shards / f"{start:09d}.npy": order[start : start + size] for start in range(0, len(order), size)}
    own = dict(list(parts.items())[ranks.rank :: ranks.size])
    there = {shard for shard in own if find_hashed(shard) is not None}
    if there and ranks.first:
        print(f"embed: {len(there)} of {len(own)} saved parts found in {shards}, going on from there", flush=True)

    def rows_of(shard: Path) -> np.ndarray:
        return saved_array(shard, lambda: encoder.encode([texts[index] for index in parts[shard]]))

    def encode_own() -> Iterator[tuple[Path, np.ndarray]]:
        done = sum(len(own[shard]) for shard in there)
        progress = Progress("embed", sum(map(len, own.values())), "chunks", done=done)
        for shard, part in own.items():
            yield shard, rows_of(shard)
            if shard not in there:
                progress.update(len(part))
        progress.close()
        ranks.wait()

    if not ranks.first:
        for _ in encode_own():
            pass
        return None
    with atomic_path(path) as temporary:
        out = np.lib.format.open_memmap(temporary, "w+", dtype=np.dtype(dtype), shape=(len(texts), encoder.dimension))
        for shard, rows in encode_own():
            out[parts[shard]] = rows
        for shard in parts.keys() - own.keys():  # those of the other processes
            out[parts[shard]] = rows_of(shard)
        out.flush()
        content = content_sha256(out)
        del out
    return BankInfo(
        encoder=encoder.name,
        encoder_sha256=encoder.sha256,
        precision=encoder.precision,
        processor_features=list(features),
        dimension=encoder.dimension,
        n_chunks=len(texts),
        content_sha256=content,
        prompt=encoder.prompt,
        cut_chunks=found.cut,
        longest_chunk=found.longest,
        unknown_chunks=found.unknown,
        unknown_share=found.unknown_share,
    )
