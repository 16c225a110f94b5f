"""The forms that files of vectors come in, told apart by what is in them."""

from __future__ import annotations

from collections.abc import Container, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lvm_core.importers.arrays import DiskArray, NpzFile, Values, open_npy
from lvm_core.importers.tables import (
    LONGEST,
    article_ids,
    indices,
    read_id_table,
    shown_value,
    texts,
    unpack_vector_column,
)
from lvm_core.runtime.errors import LvmError, printable
from lvm_core.windows import CONTEXT

# Names that the files and loaders of the earlier work use for the same thing (prior results, sections 1.2 and 1.3).
CONTEXTS = ("context_sequences", "contexts", "context", "X", "train_context_sequences")
TARGETS = ("target_vectors", "targets", "target", "y", "train_target_vectors")
TARGET_INDICES = ("target_indices", "target_chunk_indices")
VECTORS = ("vectors", "embeddings", "X")
ARTICLES = ("article_indices", "article_ids")
CHUNK_INDICES = ("chunk_indices", "seq_idx")
TEXTS = ("concept_texts", "texts", "text")
ARTICLE_KEYS = ("article_index", "article_id")
TARGET_KEYS = ("target_chunk_index", "target_idx")

WANTED = (
    f"windows ({'|'.join(CONTEXTS)} and {'|'.join(TARGETS)}, with article_ids and target_indices or metadata) or a "
    f"bank ({'|'.join(VECTORS)} and {'|'.join(ARTICLES)})"
)


@dataclass(frozen=True)
class Ids:
    """Where the rows of a file, or the targets of its windows, come from."""

    article: np.ndarray
    """[N] str, id of the article."""
    index: np.ndarray | None
    """[N] int64 >= 0, position in it; None (of rows only): the order of the file."""
    starts_foreign: np.ndarray | None = None
    """[N] bool, of windows: the last context chunk is said to be of another article."""


@dataclass(frozen=True)
class VectorFile:
    """A file of chunk vectors, or of windows of them."""

    path: Path
    form: Literal["bank", "windows", "windows without ids"]
    arrays: list[DiskArray]
    """[N, D] of a bank; of windows the contexts, [W, 5, D], oldest first, and the targets, [W, D]."""
    ids: Ids | None
    """Of the rows or of the targets; None of windows without ids."""
    texts: list[str] | None = None
    """Of the rows; None if the file has none."""
    where_ids: str = ""
    """Name of the ids of the rows, for messages."""

    @property
    def dimension(self) -> int:
        """D of the vectors."""
        return self.arrays[0].shape[-1]


def open_vector_file(path: Path, unpack_to: Path) -> VectorFile:
    """Open an .npz, .npy (with ids in a .csv or .parquet of the same name beside it) or .parquet file."""
    if path.suffix == ".npz":
        with closing(NpzFile(path, unpack_to)) as file:
            return _read_npz(file)
    if path.suffix == ".npy":
        vectors = _check_vectors(open_npy(path), 2, "[N, D]")
        return _bank(path, vectors, *read_id_table(path))
    if path.suffix == ".parquet":
        vectors, columns = unpack_vector_column(path, VECTORS, unpack_to)
        return _bank(path, _check_vectors(vectors, 2, "[N, D]"), columns, path)
    raise LvmError(
        f"{path}: unknown kind of file; vectors come as .npz, as .npy with a .csv or .parquet, or as .parquet"
    )


def _read_npz(file: NpzFile) -> VectorFile:
    # X means contexts if it has three axes, a bank's vectors otherwise.
    names = [name for name in file.names if name != "X" or len(file.header("X").shape) == 3]
    contexts, targets = _find(names, CONTEXTS), _find(names, TARGETS)
    vectors = _find([name for name in file.names if name != contexts], VECTORS)
    if contexts and targets:
        return _read_windows(file, contexts, targets)
    there = printable(", ".join(file.names) or "no members")
    if contexts or targets or not vectors:
        missing = "targets" if contexts else "contexts" if targets else "vectors"
        raise LvmError(f"{file.path}: has no {missing}; wanted: {WANTED}; there are: {there}")
    if not _find(names, ARTICLES):
        raise LvmError(f"{file.path}: has no ids of articles; wanted: {' or '.join(ARTICLES)}; there are: {there}")
    found = [name for name in (_find(names, roles) for roles in (ARTICLES, CHUNK_INDICES, TEXTS)) if name]
    members = {name: _values(file, name, vectors) for name in found}
    return _bank(file.path, _check_vectors(file.array(vectors), 2, "[N, D]"), members, file.path)


def _read_windows(file: NpzFile, contexts_name: str, targets_name: str) -> VectorFile:
    ids = _window_ids(file, targets_name)  # first: a mistake in them should not wait for gigabytes
    contexts = _check_vectors(file.array(contexts_name), 3, f"[W, {CONTEXT}, D]")
    targets = _check_vectors(file.array(targets_name), 2, "[W, D]")
    if contexts.shape[1] != CONTEXT:
        raise LvmError(f"{contexts.where}: has {contexts.shape[1]} context chunks a window, need {CONTEXT}")
    if (contexts.shape[0], contexts.shape[2]) != targets.shape:
        raise LvmError(f"{contexts.where} is {contexts.shape}, {targets.where} is {targets.shape}: they do not fit")
    if contexts.dtype != targets.dtype:
        raise LvmError(
            f"{contexts.where} is {contexts.dtype}, {targets.where} is {targets.dtype}: the same chunk would not have "
            "the same vector in both; save both with one type"
        )
    return VectorFile(file.path, "windows" if ids else "windows without ids", [contexts, targets], ids)


def _window_ids(file: NpzFile, targets: str) -> Ids | None:
    article, target = _find(file.names, ARTICLES), _find(file.names, TARGET_INDICES)
    if article and target:
        ids = article_ids(_values(file, article, targets), f"{file.path}: {article}")
        positions = indices(_values(file, target, targets), f"{file.path}: {target}")
        return Ids(ids, positions, np.zeros(len(ids), dtype=bool))
    if "metadata" in file.names:
        return _read_metadata(list(_values(file, "metadata", targets)), f"{file.path}: metadata")
    if article or target:
        there, lacking = (article, "target_indices") if article else (target, "article_ids")
        raise LvmError(
            f"{file.path}: has {there} but no {lacking}; give both, or neither to import each window by itself"
        )
    return None


def _read_metadata(items: Sequence[Any], where: str) -> Ids | None:
    """Ids out of one dict a window: `article_index|article_id`, `target_chunk_index|target_idx`, and, if it is there,
    `last_context_article` or `crosses_article`.
    """
    for row, item in enumerate(items):
        if not isinstance(item, dict):
            raise LvmError(f"{where}: row {row}: holds {type(item).__name__}, need a dict")
    columns = [
        [next((item[key] for key in keys if key in item), None) for item in items]
        for keys in (ARTICLE_KEYS, TARGET_KEYS)
    ]
    if all(value is None for column in columns for value in column):
        return None
    for keys, column in zip((ARTICLE_KEYS, TARGET_KEYS), columns, strict=True):
        lacking = next((number for number, value in enumerate(column) if value is None), None)
        if lacking is not None:
            there = printable(", ".join(map(str, items[lacking])) or "nothing")
            raise LvmError(f"{where}: row {lacking}: lacks {' or '.join(keys)}; there are: {there}")
    article = article_ids(columns[0], f"{where}: article")
    foreign = [
        _starts_foreign(item, own, where, row) for row, (item, own) in enumerate(zip(items, article, strict=True))
    ]
    return Ids(article, indices(columns[1], f"{where}: target position"), np.array(foreign, dtype=bool))


def _starts_foreign(item: dict[Any, Any], article: str, where: str, row: int) -> bool:
    """Does a window's metadata say that its last context chunk is of another article?"""
    last: Any = item.get("last_context_article")
    if isinstance(last, (float, np.floating)):  # what a table makes of a number that may be missing
        last = int(last) if float(last).is_integer() else None
    if last is not None:
        return bool(article_ids([last], f"{where}: row {row}: last_context_article")[0] != article)
    crosses = item.get("crosses_article", False)
    if not isinstance(crosses, (bool, np.bool_, int, np.integer, type(None))):
        raise LvmError(f"{where}: row {row}: crosses_article: {shown_value(crosses)} is neither true nor false")
    return bool(crosses)


def _bank(path: Path, vectors: DiskArray, members: dict[str, Values], where: Path) -> VectorFile:
    article, chunk, text = (_find(members, names) for names in (ARTICLES, CHUNK_INDICES, TEXTS))
    if article is None:  # pragma: no cover - the readers of files and of tables refuse this, and name what is there
        raise ValueError("no ids of articles")
    for name in filter(None, (article, chunk, text)):
        _check_length(vectors.where, len(vectors), f"{where}: {name}", len(members[name]))
    ids = Ids(
        article_ids(members[article], f"{where}: {article}"),
        indices(members[chunk], f"{where}: {chunk}") if chunk else None,
    )
    said = texts(members[text], f"{where}: {text}") if text else None
    return VectorFile(path, "bank", [vectors], ids, said, f"{where}: {article}" + (f", {chunk}" if chunk else ""))


def _values(file: NpzFile, name: str, vectors: str) -> Values:
    """A member with one value for each row of the member `vectors`, looked at before it is read."""
    shape, dtype, *_ = file.header(name)
    if len(shape) != 1:
        raise LvmError(f"{file.path}: {name}: has shape {shape}, need one value a row")
    _check_length(f"{file.path}: {vectors}", (*file.header(vectors).shape, 0)[0], name, shape[0])
    if dtype.kind in "US" and name not in TEXTS and dtype.itemsize > 4 * LONGEST:
        raise LvmError(
            f"{file.path}: {name}: has ids longer than {LONGEST} characters; give articles short names or numbers"
        )
    return file.values(name)


def _check_length(where_rows: str, rows: int, what: str, length: int) -> None:
    if length != rows:
        raise LvmError(f"{where_rows}: has {rows:,} rows, {what} {length:,}; they must agree")


def _find(there: Container[str], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in there), None)


def _check_vectors(array: DiskArray, dimensions: int, wanted: str) -> DiskArray:
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise LvmError(f"{array.where}: holds {array.dtype}, need float16, float32 or float64")
    if len(array.shape) != dimensions or 0 in array.shape:
        raise LvmError(f"{array.where}: has shape {array.shape}, need {wanted}, none of them 0")
    return array
