"""The rows of the sources to `data/imported/`: gathered in parts from disk, made unit length, with their tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lvm_core.bank import start_content_sha256
from lvm_core.errors import LvmError
from lvm_core.files import write_npy_blocks, write_parquet
from lvm_core.foreign.scan import BLOCK_BYTES, UNIT_TOLERANCE, row_norms
from lvm_core.foreign.sources import SourceRows
from lvm_core.imported import ImportInfo
from lvm_core.progress import Progress
from lvm_core.resume import saved_array

TABLE_ROWS = 50_000
"""Rows of the table of chunks written at a time."""


def check_apart(train: SourceRows, ood: SourceRows) -> np.ndarray:
    """The ids under which the articles of `ood` enter the bank: their own, or `ood/<id>` if `train` has some of them.

    Two data sets may both number their articles from 0; but an article in both, with the same chunks, is a mistake.

    Raises:
        LvmError: an article is in both (names both rows).
    """
    shared = np.intersect1d(train.article_id.astype(str), ood.article_id.astype(str))
    if not len(shared):
        return ood.article_id
    in_train, in_ood = (np.flatnonzero(np.isin(s.article_id.astype(str)[s.piece], shared)) for s in (train, ood))
    _, left, right = np.intersect1d(train.digest[in_train], ood.digest[in_ood], return_indices=True)
    for first, second in zip(in_train[left], in_ood[right], strict=True):
        article = train.article_id[train.piece[first]]
        if article == ood.article_id[ood.piece[second]]:
            raise LvmError(
                f"{train.where(first)} and {ood.where(second)}: article {article} is in data.train and in data.ood; "
                "ood must be another source"
            )
    return np.array([f"ood/{article}" for article in ood.article_id], dtype=object)


def write_import(sources: dict[str, SourceRows], encoder: str, work: Path, directory: Path) -> ImportInfo:
    """Write `vectors.npy`, `chunks.parquet`, `articles.parquet` and `import.json`.

    Args:
        sources: by origin, `train` and perhaps `ood`, in the order of the bank.
        encoder: name of the encoder, for the record.
        work: folder where finished parts are kept.
        directory: to write into.

    Returns:
        What `import.json` says.
    """
    ids = {origin: source.article_id for origin, source in sources.items()}
    if "ood" in sources:
        ids["ood"] = check_apart(sources["train"], sources["ood"])
    dtypes = {array.dtype for source in sources.values() for array in source.arrays}
    dtype = np.dtype(np.float16 if dtypes == {np.dtype(np.float16)} else np.float32)
    shape = (sum(len(source.row) for source in sources.values()), sources["train"].arrays[0].shape[-1])
    digest = start_content_sha256(dtype, shape)

    def hashed() -> Iterator[np.ndarray]:
        progress = Progress("import: write vectors", shape[0], "rows")
        for origin, source in sources.items():
            for block in _blocks(source, dtype, work / f"rows-{origin}"):
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


def _blocks(source: SourceRows, dtype: np.dtype, saved: Path) -> Iterator[np.ndarray]:
    """The rows of a source in parts, each kept under a path that begins with `saved`."""
    step = max(BLOCK_BYTES // (source.arrays[0].shape[-1] * dtype.itemsize), 1)
    for start in range(0, len(source.row), step):
        part = slice(start, start + step)
        path = saved.with_name(f"{saved.name}-{start:09d}.npy")
        yield saved_array(path, lambda: _unit_rows(source, part, dtype))  # noqa: B023 - called at once


def _unit_rows(source: SourceRows, part: slice, dtype: np.dtype) -> np.ndarray:
    """[n, D] rows of the bank, divided by their norms unless they are of unit length already."""
    array, row = source.array[part], source.row[part]
    out = np.empty((len(row), source.arrays[0].shape[-1]), dtype=dtype)
    for number in np.unique(array):
        chosen = np.flatnonzero(array == number)
        held = source.arrays[number]
        rows = held.take(row[chosen]) if len(held.shape) == 2 else held.flat_take(row[chosen])
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
                "title": source.article_id,
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
