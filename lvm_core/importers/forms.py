"""The forms that files of vectors come in, told apart by what is in them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from lvm_core.importers.arrays import (
    LONGEST,
    DiskArray,
    Values,
    WindowIds,
    article_ids,
    indices,
    open_npy,
    read_metadata,
    texts,
)
from lvm_core.importers.npz import NpzFile, open_npz
from lvm_core.importers.tables import read_id_table, unpack_vector_column
from lvm_core.runtime.cli import Progress
from lvm_core.runtime.errors import LvmError, printable
from lvm_core.runtime.resume import saved_array
from lvm_core.windows import CONTEXT

# Names that the files and loaders of the earlier work use for the same thing (prior results, sections 1.2 and 1.3).
CONTEXTS = ("context_sequences", "contexts", "context", "X", "train_context_sequences")

TARGETS = ("target_vectors", "targets", "target", "y", "train_target_vectors")

TARGET_INDICES = ("target_indices", "target_chunk_indices")

VECTORS = ("vectors", "embeddings", "X")

ARTICLES = ("article_indices", "article_ids")

CHUNK_INDICES = ("chunk_indices", "seq_idx")

TEXTS = ("concept_texts", "texts", "text")

WANTED = (
    f"windows ({'|'.join(CONTEXTS)} and {'|'.join(TARGETS)}, with article_ids and target_indices or metadata) or a "
    f"bank ({'|'.join(VECTORS)} and {'|'.join(ARTICLES)})"
)


@dataclass(frozen=True)
class WindowsFile:
    """A file of windows."""

    contexts: DiskArray
    """[W, 5, D], oldest first."""
    targets: DiskArray
    """[W, D]."""
    ids: WindowIds | None
    """Of the windows; None if the file has none."""

    @property
    def dimension(self) -> int:
        """D of the vectors."""
        return self.targets.shape[1]


@dataclass(frozen=True)
class BankFile:
    """A file of chunk vectors."""

    vectors: DiskArray
    """[N, D]."""
    article: np.ndarray
    """[N] str, id of each row's article."""
    chunk_index: np.ndarray | None
    """[N] int64, position in the article; None: the order of the file."""
    texts: list[str] | None
    """Of the rows; None if the file has none."""
    where_ids: str
    """Name of the ids, for messages."""

    @property
    def dimension(self) -> int:
        """D of the vectors."""
        return self.vectors.shape[1]


VectorFile = WindowsFile | BankFile


def open_vector_file(path: Path, unpack_to: Path) -> VectorFile:
    """Open an .npz, .npy (with ids in a .csv or .parquet of the same name beside it) or .parquet file."""
    if path.suffix == ".npz":
        with open_npz(path, unpack_to) as file:
            return _read_npz(file, path)
    if path.suffix == ".npy":
        vectors = _check_vectors(open_npy(path), 2, "[N, D]")
        table = read_id_table(path)
        return _bank(vectors, table.columns, table.where)
    if path.suffix == ".parquet":
        vectors, table = unpack_vector_column(path, VECTORS, unpack_to)
        return _bank(_check_vectors(vectors, 2, "[N, D]"), table.columns, table.where)
    raise LvmError(
        f"{path}: unknown kind of file; vectors come as .npz, as .npy with a .csv or .parquet, or as .parquet"
    )


def _read_npz(file: NpzFile, path: Path) -> VectorFile:
    # X means contexts if it has three axes, a bank's vectors otherwise.
    names = [name for name in file.names if name != "X" or len(file.header("X")[0]) == 3]
    contexts, targets = _find(names, CONTEXTS), _find(names, TARGETS)
    vectors = _find([name for name in file.names if name != contexts], VECTORS)
    if contexts and targets:
        return _read_windows(file, str(path), contexts, targets)
    there = printable(", ".join(file.names) or "no members")
    if contexts or targets or not vectors:
        missing = "targets" if contexts else "contexts" if targets else "vectors"
        raise LvmError(f"{path}: has no {missing}; wanted: {WANTED}; there are: {there}")
    if not _find(names, ARTICLES):
        raise LvmError(f"{path}: has no ids of articles; wanted: {' or '.join(ARTICLES)}; there are: {there}")
    found = [name for name in (_find(names, roles) for roles in (ARTICLES, CHUNK_INDICES, TEXTS)) if name]
    rows = (*file.header(vectors)[0], 0)[0]
    members = {name: _values(file, str(path), name, vectors, rows) for name in found}
    return _bank(_check_vectors(file.array(vectors), 2, "[N, D]"), members, str(path))


def _read_windows(file: NpzFile, where: str, contexts_name: str, targets_name: str) -> WindowsFile:
    ids = _window_ids(file, where, targets_name)  # first: a mistake in them should not wait for gigabytes
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
    return WindowsFile(contexts, targets, ids)


def _window_ids(file: NpzFile, where: str, targets: str) -> WindowIds | None:
    article, target = _find(file.names, ARTICLES), _find(file.names, TARGET_INDICES)
    rows = (*file.header(targets)[0], 0)[0]
    if article and target:
        ids = article_ids(_values(file, where, article, targets, rows), f"{where}: {article}")
        positions = indices(_values(file, where, target, targets, rows), f"{where}: {target}")
        return WindowIds(ids, positions, np.zeros(len(ids), dtype=bool))
    if "metadata" in file.names:
        return read_metadata(list(_values(file, where, "metadata", targets, rows)), f"{where}: metadata")
    if article or target:
        there, lacking = (article, "target_indices") if article else (target, "article_ids")
        raise LvmError(f"{where}: has {there} but no {lacking}; give both, or neither to import each window by itself")
    return None


def _bank(vectors: DiskArray, members: dict[str, Values], where: str) -> BankFile:
    article, chunk, text = (_find(members, names) for names in (ARTICLES, CHUNK_INDICES, TEXTS))
    if article is None:  # pragma: no cover - the readers of files and of tables refuse this, and name what is there
        raise ValueError("no ids of articles")
    for name in filter(None, (article, chunk, text)):
        if len(members[name]) != len(vectors):
            _refuse_length(vectors.where, len(vectors), f"{where}: {name}", len(members[name]))
    return BankFile(
        vectors,
        article_ids(members[article], f"{where}: {article}"),
        indices(members[chunk], f"{where}: {chunk}") if chunk else None,
        texts(members[text], f"{where}: {text}") if text else None,
        f"{where}: {article}" + (f", {chunk}" if chunk else ""),
    )


def _values(file: NpzFile, where: str, name: str, vectors: str, rows: int) -> Values:
    """A member with one value for each of the `rows` of the member `vectors`, looked at before it is read."""
    shape, dtype = file.header(name)
    if len(shape) != 1:
        raise LvmError(f"{where}: {name}: has shape {shape}, need one value a row")
    if shape[0] != rows:
        _refuse_length(f"{where}: {vectors}", rows, name, shape[0])
    if dtype.kind in "US" and name not in TEXTS and dtype.itemsize > 4 * LONGEST:
        raise LvmError(
            f"{where}: {name}: has ids longer than {LONGEST} characters; give articles short names or numbers"
        )
    return file.objects(name) if file.is_object(name) else file.values(name)


def _refuse_length(where_rows: str, rows: int, what: str, length: int) -> None:
    raise LvmError(f"{where_rows}: has {rows:,} rows, {what} {length:,}; they must agree")


def _find(there: Iterable[str], names: Sequence[str]) -> str | None:
    known = set(there)
    return next((name for name in names if name in known), None)


def _check_vectors(array: DiskArray, dimensions: int, wanted: str) -> DiskArray:
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise LvmError(f"{array.where}: holds {array.dtype}, need float16, float32 or float64")
    if len(array.shape) != dimensions or 0 in array.shape:
        raise LvmError(f"{array.where}: has shape {array.shape}, need {wanted}, none of them 0")
    return array


SMALLEST_NORM = 1e-6
"""Shorter rows have no direction."""

UNIT_TOLERANCE = {2: 2e-3, 4: 1e-5, 8: 1e-5}
"""How far from 1 the norm of a unit row may be, by the bytes of a number: what rounding to that type can do."""

BLOCK_BYTES = 32 * 2**20
"""Read at a time, and work lost at most when the import is interrupted."""


def scan(file: VectorFile, saved: Path) -> np.ndarray:
    """Digests of a file's windows (contexts, then the target), or of a bank's rows, and which are not of unit length.

    Returns:
        [W, 6, 2] uint64, or [N, 1, 2]: the digest of the row's bytes, and 1 where its norm is not 1.
    """
    arrays = [file.contexts, file.targets] if isinstance(file, WindowsFile) else [file.vectors]
    rows = len(arrays[0])
    step = max(BLOCK_BYTES // sum(math.prod(array.shape[1:]) * array.dtype.itemsize for array in arrays), 1)
    progress = Progress(f"import: check {arrays[0].where.split(': ')[0]}", rows, "rows")
    parts = []
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        path = saved.with_name(f"{saved.name}-{start:09d}.npy")
        parts.append(saved_array(path, lambda: np.hstack([_measure(array, start, stop) for array in arrays])))  # noqa: B023 - called at once
        progress.update(stop - start)
    progress.close()
    return np.concatenate(parts)


def _measure(array: DiskArray, start: int, stop: int) -> np.ndarray:
    """[stop - start, rows of a window, 2] uint64."""
    block = array.rows(start, stop)
    flat = block.reshape(-1, block.shape[-1])
    norms = row_norms(flat)
    bad = np.flatnonzero(~(np.isfinite(norms) & (norms > SMALLEST_NORM)))
    if len(bad):
        row, position = divmod(int(bad[0]), len(flat) // len(block))
        at = f"row {start + row}" + (f", position {position}" if block.ndim == 3 else "")
        finite = bool(np.isfinite(flat[bad[0]]).all())
        problem = "holds NaN or infinity" if not finite else "is zero" if norms[bad[0]] < 1 else "is too long"
        raise LvmError(f"{array.where}: {at}: {problem}; remove or repair the row")
    joined = b"".join([blake2b(row, digest_size=8).digest() for row in np.ascontiguousarray(flat)])
    not_unit = (np.abs(norms - 1) > UNIT_TOLERANCE[block.dtype.itemsize]).astype(np.uint64)
    return np.stack([np.frombuffer(joined, dtype=np.uint64), not_unit], axis=1).reshape(len(block), -1, 2)


def row_norms(rows: np.ndarray) -> np.ndarray:
    """[n] float64 norms of [n, D] rows of any float type; finite for any finite float16 and float32 row."""
    with np.errstate(over="ignore", invalid="ignore"):
        norms: np.ndarray = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
    return norms
