"""The bank: all chunk vectors of a data set, one row a chunk, and its articles (data/bank)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import ConfigDict, Field

from lvm_core.config.params import STRICT, shown, validate
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import write_json
from lvm_core.runtime.readers import read_json, read_npy, read_parquet
from lvm_core.windows import CONTEXT, window_targets

if TYPE_CHECKING:
    import pandas as pd


FORMAT_VERSION = 2

SPLITS = ("train", "dev", "val", "ood")

UNIT_WITHIN = 0.01
"""How far from 1 the length of a row may be; float16 leaves up to 0.001."""


UNKNOWN_SHARE = 0.01
"""Share of characters that the encoder does not know from which on it is worth a warning."""


def start_content_sha256(dtype: np.dtype, shape: tuple[int, ...]) -> hashlib._Hash:
    """The hash of `content_sha256` before the first row: to be updated with the bytes of the rows in order."""
    return hashlib.sha256(f"{dtype.str}{shape}".encode())


def content_sha256(vectors: np.ndarray, block: int = 65_536) -> str:
    """Hex sha256 of an array's rows in order, read in blocks of rows."""
    digest = start_content_sha256(vectors.dtype, vectors.shape)
    for start in range(0, len(vectors), block):
        digest.update(np.ascontiguousarray(vectors[start : start + block]).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class BankInfo:
    """What shaped the vectors of a bank (`bank.json`)."""

    encoder: str
    """Name of the encoder as given in `encoder.model`; of imported vectors as in `data.encoder`, or ""."""
    encoder_sha256: str
    """Of the encoder's files that shape vectors ("" for imported vectors)."""
    precision: str
    """Arithmetic of the encoder, `bf16` or `fp32` ("" for imported vectors)."""
    processor_features: list[str]
    """Of the machine that encoded and that change the result, sorted (none for imported ones)."""
    dimension: Annotated[int, Field(ge=1)]
    """D of the vectors."""
    n_chunks: Annotated[int, Field(ge=1)]
    """Number of chunks."""
    content_sha256: str
    """Of the vectors' bytes in row order."""
    prompt: str = ""
    """What the encoder put before every text."""
    cut_chunks: int = 0
    """Chunks of which the encoder did not read the end."""
    longest_chunk: int = 0
    """Tokens of the longest chunk, special ones and the prompt among them (0 where there are none)."""
    unknown_chunks: int = 0
    """Chunks that are for more than half, by characters, word pieces that the encoder's vocabulary lacks."""
    unknown_share: float = 0.0
    """Share of all characters in such pieces, spaces aside."""
    format_version: int = FORMAT_VERSION
    """Of this folder."""
    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def write(self, directory: str | Path) -> None:
        """Write `bank.json` into `directory`."""
        write_json(Path(directory) / "bank.json", asdict(self))


def warnings(info: BankInfo) -> list[str]:
    """A sentence on each kind of text that the encoder did not read, with what helps; none where it read all."""
    lines = []
    if info.cut_chunks:
        lines.append(
            f"{info.cut_chunks:,} of {info.n_chunks:,} chunks are longer than the encoder reads (up to "
            f"{info.longest_chunk:,} tokens): their ends are in no vector; set corpus.max_pieces: auto"
        )
    if info.unknown_share >= UNKNOWN_SHARE or info.unknown_chunks:
        lines.append(
            f"{info.unknown_share:.1%} of all characters, and more than half of {info.unknown_chunks:,} of "
            f"{info.n_chunks:,} chunks, are word pieces that the encoder's vocabulary lacks: they are in no vector; "
            "choose an encoder of their language (encoder.model)"
        )
    return lines


@dataclass(frozen=True)
class Bank:
    """An opened bank."""

    vectors: np.ndarray
    """[N, D] float32 or float16, unit rows, usually memory-mapped."""
    articles: pd.DataFrame
    """One row an article: `article_id, title, source, split, first_row, n_chunks`."""
    info: BankInfo
    """What shaped the vectors."""
    directory: Path | None = field(default=None, compare=False)
    """Where it lies; None for a bank made in memory."""

    def articles_of(self, split: str | Sequence[str]) -> pd.DataFrame:
        """The articles of one split (or several), in bank order."""
        wanted = [split] if isinstance(split, str) else list(split)
        return self.articles[self.articles["split"].isin(wanted)]

    def targets(self, split: str | Sequence[str]) -> np.ndarray:
        """[W] int64 target rows of all windows of a split (or several), in bank order."""
        chosen = self.articles_of(split)
        return window_targets(chosen["first_row"].to_numpy(), chosen["n_chunks"].to_numpy())

    @cached_property
    def article_of_row(self) -> np.ndarray:
        """[N] int64: position in `articles` of the article of each row."""
        return np.repeat(np.arange(len(self.articles), dtype=np.int64), self.articles["n_chunks"].to_numpy())

    @cached_property
    def position_of_row(self) -> np.ndarray:
        """[N] int64: position of each row in its article."""
        return np.arange(len(self.vectors)) - self.articles["first_row"].to_numpy()[self.article_of_row]

    def read_vectors(self) -> np.ndarray:
        """[N, D] the vectors in memory, once: read from the file, without touching the pages of the map."""
        return np.array(self.vectors) if self.directory is None else read_npy(self.directory / "vectors.npy")

    def texts(self) -> list[str]:
        """The text of every row (read from disk at each call; empty strings for a bank made in memory)."""
        if self.directory is None:
            return [""] * len(self.vectors)
        return read_parquet(self.directory / "chunks.parquet", ["text"])["text"].tolist()


def require_content(bank: Bank) -> None:
    """Compare the vectors, which must be of length 1, and the number of texts with bank.json: `load_bank` does not."""
    directory = bank.directory or Path()
    where = directory / "vectors.npy"
    if content_sha256(bank.vectors) != bank.info.content_sha256:
        raise LvmError(f"{where}: is not what bank.json says; delete the folder and run `dvc repro`")
    norms = row_norms(bank.vectors)
    odd = np.flatnonzero(~(np.abs(norms - 1) < UNIT_WITHIN))
    if len(odd):
        raise LvmError(f"{where}: row {odd[0]} has the length {norms[odd[0]]:.6g}, must be 1")
    if (texts := len(bank.texts())) != bank.info.n_chunks:
        raise LvmError(f"{directory / 'chunks.parquet'}: has {texts} chunks, bank.json says {bank.info.n_chunks}")


def row_norms(vectors: np.ndarray, block: int = 65_536) -> np.ndarray:
    """[N] float32 lengths of the rows of vectors [N, D], read in blocks of rows."""
    norms = np.empty(len(vectors), dtype=np.float32)
    for start in range(0, len(vectors), block):
        norms[start : start + block] = np.linalg.norm(np.asarray(vectors[start : start + block], np.float32), axis=1)
    return norms


def load_bank(directory: str | Path) -> Bank:
    """Open a bank folder, vectors memory-mapped, and check that its parts fit together."""
    directory = Path(directory)
    path = directory / "bank.json"
    raw = read_json(path)
    if not isinstance(raw, dict) or raw.get("format_version") != FORMAT_VERSION:
        raise LvmError(f"{path}: format_version must be {FORMAT_VERSION}; delete the folder and run `dvc repro`")
    info: BankInfo = validate(raw, BankInfo, "", path)
    vectors = read_npy(directory / "vectors.npy", mmap=True)
    articles = read_parquet(directory / "articles.parquet")
    where, wanted = directory / "vectors.npy", (info.n_chunks, info.dimension)
    if vectors.ndim != 2 or vectors.dtype not in (np.float32, np.float16):
        raise LvmError(f"{where}: holds {vectors.dtype} {vectors.shape}, need float32 or float16 [N, D]")
    if vectors.shape != wanted:
        raise LvmError(f"{where}: has shape {vectors.shape}, bank.json says {wanted}")
    _check_articles(articles, len(vectors), directory / "articles.parquet")
    return Bank(vectors, articles, info, directory)


def _check_articles(articles: pd.DataFrame, n_rows: int, path: Path) -> None:
    missing = {"article_id", "title", "source", "split", "first_row", "n_chunks"} - set(articles.columns)
    if missing:
        raise LvmError(f"{path}: lacks the columns {sorted(missing)}")
    for name in ("article_id", "title", "source", "split"):
        odd = [value for value in articles[name] if not isinstance(value, str)]
        if odd:
            raise LvmError(f"{path}: column {name} holds {shown(odd[0])}, which is no text")
    for name in ("first_row", "n_chunks"):
        if articles[name].dtype != np.int64:
            raise LvmError(f"{path}: column {name} holds {articles[name].dtype}, need int64")
    unknown = set(articles["split"]) - set(SPLITS)
    if unknown:
        raise LvmError(f"{path}: column split has {shown(sorted(unknown))}, allowed are {list(SPLITS)}")
    again = articles["article_id"][articles["article_id"].duplicated()]
    if len(again):
        raise LvmError(f"{path}: the article {shown(again.iloc[0])} is there twice")
    # Between 1 and N each, their sums stay far from the largest int64.
    counts = articles["n_chunks"]
    ends = counts.clip(0, n_rows).cumsum()
    if (
        len(articles) == 0
        or not counts.between(1, n_rows).all()
        or not (articles["first_row"] == ends - counts).all()
        or ends.iloc[-1] != n_rows
    ):
        raise LvmError(f"{path}: articles do not cover the {n_rows} rows of vectors.npy contiguously and in order")


def split_sizes(articles: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Articles, chunks and windows of each split in a bank's table of articles."""
    sizes = {}
    for name in SPLITS:
        counts = articles.loc[articles["split"] == name, "n_chunks"]
        windows = (counts - CONTEXT).clip(lower=0)
        sizes[name] = {"articles": len(counts), "chunks": int(counts.sum()), "windows": int(windows.sum())}
    return sizes


def reversed_bank(bank: Bank) -> Bank:
    """The same articles in the same places, the chunks of each in reverse order (in memory, without a folder)."""
    last = (bank.articles["first_row"] + bank.articles["n_chunks"] - 1).to_numpy()
    vectors = bank.vectors[last[bank.article_of_row] - bank.position_of_row]
    return Bank(vectors, bank.articles, replace(bank.info, content_sha256=content_sha256(vectors)))


def lag_similarities(vectors: np.ndarray, max_lag: int = CONTEXT, block: int = 1024, threads: int = 1) -> np.ndarray:
    """Cosine of every bank row with each of the rows before it.

    Reads the bank once, in blocks that stay in the processor's cache while every lag is computed, so that it runs at
    about the speed of memory and needs no more memory than a block, whatever the size of the file. The threads take
    the blocks in turn; the result does not depend on them.

    Returns:
        [N, L] float32; column l-1 holds cos(row r, row r-l), NaN where r < l. Article borders are not looked at:
        take the rows whose predecessors lie in their own article (window targets do, for l <= 5).
    """
    out = np.full((max_lag, len(vectors)), np.nan, dtype=np.float32)

    def fill(start: int) -> None:
        low = max(start - max_lag, 0)
        rows = np.asarray(vectors[low : start + block], dtype=np.float32)
        for lag in range(1, max_lag + 1):
            first = max(start - low, lag)
            if first < len(rows):
                out[lag - 1, low + first : low + len(rows)] = np.vecdot(rows[first:], rows[first - lag : -lag])

    with ThreadPoolExecutor(threads) as pool:  # numpy lets other threads work while it computes
        for _ in pool.map(fill, range(0, len(vectors), block)):
            pass
    return out.T
