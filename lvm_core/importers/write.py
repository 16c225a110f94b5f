"""The rows of the sources to `data/imported/`: gathered in parts from disk, made unit length, with their tables."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from lvm_core.bank import start_content_sha256
from lvm_core.bank.imported import ImportInfo
from lvm_core.importers.paths import find_vectors, tables_beside
from lvm_core.importers.sources import UNIT_TOLERANCE, SourceRows, row_norms, saved_parts
from lvm_core.runtime.cli import Progress
from lvm_core.runtime.errors import READ_ERRORS, LvmError
from lvm_core.runtime.files import write_npy_blocks, write_parquet
from lvm_core.runtime.resume import fingerprint
from lvm_core.windows import CONTEXT

TABLE_ROWS = 50_000
"""Rows of the table of chunks written at a time."""


def _ids_of_ood(train: SourceRows, ood: SourceRows) -> np.ndarray:
    """The ids under which the articles of `ood` enter the bank: their own, or `ood/<id>` if `train` has some of them.

    Two data sets may both number their articles from 0, and share a chunk of boilerplate; but a source of which half
    is in the other, or an article in both of which half the chunks are the same, is a mistake.
    """

    def same_rows(rows: np.ndarray, others: np.ndarray) -> str | None:
        """The names of two equal rows, if more than half of the `others` of ood are among the `rows` of train."""
        same = np.isin(ood.digest[others], train.digest[rows])
        if 2 * same.sum() <= len(same):
            return None
        second = int(others[same.argmax()])
        first = int(rows[(train.digest[rows] == ood.digest[second]).argmax()])
        return f"{train.where(first)} and {ood.where(second)}"

    in_train = np.isin(ood.digest, train.digest)
    if pair := same_rows(np.arange(len(train.digest)), np.arange(len(ood.digest))):
        raise LvmError(
            f"{pair} are the same, as are {in_train.mean():.0%} of the rows of data.ood with some of data.train; ood "
            "must be another source"
        )
    shared = np.intersect1d(train.article_id, ood.article_id)
    for article in shared if in_train.any() else ():
        if pair := same_rows(*(np.flatnonzero(one.article_id[one.piece] == article) for one in (train, ood))):
            raise LvmError(f"{pair}: article {article} is in data.train and in data.ood; ood must be another source")
    if not len(shared):
        return ood.article_id
    return np.array([f"ood/{article}" for article in ood.article_id], dtype=object)


def _check_windows(train: SourceRows) -> None:
    """Make sure that there is something to divide and to learn from."""
    longest = int(np.bincount(train.piece).max(initial=0))
    if longest <= CONTEXT:
        raise LvmError(
            f"{train.arrays[0].where}: the longest article has {longest} chunks, a window needs {CONTEXT + 1}; bring "
            "longer articles"
        )
    groups = len(set(train.group.tolist()))
    if groups < 3:
        raise LvmError(
            f"{train.arrays[0].where}: data.train has {groups} articles (or groups of overlapping windows); train, dev "
            "and val need one each; bring more"
        )


def write_import(sources: dict[str, SourceRows], encoder: str, work: Path, directory: Path) -> ImportInfo:
    """Write `vectors.npy`, `chunks.parquet`, `articles.parquet` and `import.json`; return what the last one says.

    Args:
        sources: by origin, `train` and perhaps `ood`, in the order of the bank.
        encoder: name of the encoder, for the record.
        work: folder where finished parts are kept.
        directory: to write into.
    """
    _check_windows(sources["train"])
    ids = {origin: source.article_id for origin, source in sources.items()}
    if "ood" in sources:
        ids["ood"] = _ids_of_ood(sources["train"], sources["ood"])
    dtypes = {array.dtype for source in sources.values() for array in source.arrays}
    dtype = np.dtype(np.float16 if dtypes == {np.dtype(np.float16)} else np.float32)
    shape = (sum(len(source.row) for source in sources.values()), sources["train"].arrays[0].shape[-1])
    digest = start_content_sha256(dtype, shape)

    def hashed() -> Iterator[np.ndarray]:
        progress = Progress("import: write vectors", shape[0], "rows")
        for origin, source in sources.items():
            make = partial(_unit_rows, source, dtype)
            for block in saved_parts(work / f"rows-{origin}", len(source.row), shape[1] * dtype.itemsize, make):
                digest.update(np.ascontiguousarray(block).data)
                yield block
                progress.update(len(block))
        progress.close()

    write_npy_blocks(directory / "vectors.npy", dtype, shape, hashed())
    _write_chunks(directory / "chunks.parquet", sources, ids)
    _write_articles(directory / "articles.parquet", sources, ids)
    counts = {origin: {"form": source.form, **source.counts} for origin, source in sources.items()}
    if "ood" in sources:
        counts["ood"]["rows_also_in_train"] = int(np.isin(sources["ood"].digest, sources["train"].digest).sum())
    info = ImportInfo("vectors", encoder, shape[1], shape[0], digest.hexdigest(), counts)
    info.write(directory)
    return info


def _unit_rows(source: SourceRows, dtype: np.dtype, start: int, stop: int) -> np.ndarray:
    """[n, D] rows of the bank, divided by their norms unless they are of unit length already."""
    array, row = source.array[start:stop], source.row[start:stop]
    out = np.empty((len(row), source.arrays[0].shape[-1]), dtype=dtype)
    for number in np.unique(array):
        chosen = np.flatnonzero(array == number)
        rows = source.arrays[number].take(row[chosen])
        norms = row_norms(rows)
        unit = np.abs(norms - 1) <= UNIT_TOLERANCE[rows.dtype.itemsize]
        out[chosen[unit]] = rows[unit]
        out[chosen[~unit]] = rows[~unit].astype(np.float64) / norms[~unit, None]
    return out


def _write_chunks(path: Path, sources: dict[str, SourceRows], ids: dict[str, np.ndarray]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("article_id", pa.string()), ("chunk_index", pa.int64()), ("text", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for origin, source in sources.items():
            for start in range(0, len(source.row), TABLE_ROWS):
                part = slice(start, start + TABLE_ROWS)
                article, chunk = ids[origin][source.piece[part]], source.chunk_index[part]
                texts: Sequence[str] = [""] * len(chunk) if source.texts is None else source.texts[part].tolist()
                writer.write_table(pa.table([article.tolist(), chunk, texts], schema=schema))


def _write_articles(path: Path, sources: dict[str, SourceRows], ids: dict[str, np.ndarray]) -> None:
    import pandas as pd

    parts = [
        pd.DataFrame(
            {
                "article_id": ids[origin],
                "title": source.title,
                "source": source.name,
                "origin": origin,
                "group": source.group,
                "n_chunks": np.bincount(source.piece, minlength=len(source.article_id)),
            }
        )
        for origin, source in sources.items()
    ]
    articles = pd.concat(parts, ignore_index=True)
    articles.insert(5, "first_row", articles["n_chunks"].cumsum() - articles["n_chunks"])
    write_parquet(path, articles)


BLOCK = 16 * 2**20


def file_identities(value: str, key: str) -> list[str]:
    """One text for each file that the parameter `key` names, ids beside an .npy file included."""
    identities = []
    for path in find_vectors(value, key).files.values():
        beside = tables_beside(path) if path.suffix.lower() == ".npy" else []
        identities += [f"{file}={_identity(file)}" for file in (path, *beside) if file.is_file()]
    return identities


def _identity(path: Path) -> str:
    """Of a zip archive its table of contents, whose checksums are verified when members are read; else a hash."""
    try:
        if path.suffix.lower() == ".npz":
            with zipfile.ZipFile(path) as archive:
                members = [
                    (i.filename, i.CRC, i.file_size, i.compress_size, i.header_offset) for i in archive.infolist()
                ]
            return fingerprint(path.stat().st_size, members)
        return _sha256(path)
    except OSError as error:
        raise LvmError(f"{path}: cannot be read ({error.strerror or error})") from error
    except READ_ERRORS:
        return ""  # opening it says what is wrong with it


def _sha256(path: Path) -> str:
    digest, progress = hashlib.sha256(), Progress(f"import: hash {path}", path.stat().st_size // 2**20, "MB")
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            progress.update(file.tell() // 2**20 - progress.done)
    progress.close()
    return digest.hexdigest()
