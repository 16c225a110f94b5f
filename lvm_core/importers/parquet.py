"""Foreign .parquet files: columns as values, and a column of vectors unpacked to disk, a few rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lvm_core.importers.arrays import DiskArray, Values
from lvm_core.runtime.cli import Progress
from lvm_core.runtime.errors import AGAIN, LvmError, open_regular_file, printable
from lvm_core.runtime.files import atomic_path
from lvm_core.runtime.readers import Header, require_bounded
from lvm_core.runtime.resume import fingerprint, saved_array
from lvm_core.runtime.tables import column_values, open_parquet, readable_parquet

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BATCH, BATCH_BYTES = 4096, 32 * 2**20
"""Rows, and bytes of vectors, that are unpacked at a time."""


def open_table(path: Path) -> pq.ParquetFile:
    """Open a file whose columns have different names and do not grow out of all memory."""
    file = open_parquet(path)
    with readable_parquet(path):
        require_bounded(path, AGAIN)
    names = file.schema_arrow.names
    if again := next((name for name in names if names.count(name) > 1), None):
        raise LvmError(f"{path}: has two columns of the name {printable(again)}; remove one")
    return file


def read_columns(file: pq.ParquetFile, names: Sequence[str], path: Path) -> dict[str, Values]:
    """Columns with one value a row: numbers without nulls as arrays, else lists in which None is a null."""
    with readable_parquet(path):
        table = file.read(columns=list(names))
        return {name: _values(table.column(name)) for name in names}


def _values(column: pa.ChunkedArray) -> Values:
    import pyarrow as pa

    kind = column.type
    if (pa.types.is_integer(kind) or pa.types.is_floating(kind)) and column.null_count == 0:
        return column.to_numpy()
    return column_values(column)


def levels_of_lists(kind: pa.DataType) -> int:
    """How many lists lie around the floats that a type holds: 1 of a vector, 2 of a document; 0 if it is neither."""
    import pyarrow as pa

    levels = 0
    while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind, levels = kind.value_type, levels + 1
    return levels if pa.types.is_floating(kind) and levels <= 2 else 0


def unpack_vectors(file: pq.ParquetFile, path: Path, column: str, unpack_to: Path) -> tuple[DiskArray, np.ndarray]:
    """A column of vectors, or of documents (lists of vectors), as an array on disk, once.

    Returns:
        [N, D], and the number of vectors of each row of the table, [rows] int64.

    Raises:
        LvmError: a vector is null or of another length than the first one (names the row).
    """
    kind = file.schema_arrow.field(column).type
    is_documents = levels_of_lists(kind) == 2
    while hasattr(kind, "value_type"):
        kind = kind.value_type
    dtype = np.dtype(kind.to_pandas_dtype())
    target = unpack_to / f"{fingerprint(path.resolve(), column)[:16]}.bin"

    def unpack() -> np.ndarray:
        counts = [np.empty(0, dtype=np.int64)]
        with atomic_path(target) as temporary, open(temporary, "wb") as out:
            for number, vectors in _blocks(file, path, column, dtype.itemsize, is_documents=is_documents):
                out.write(np.ascontiguousarray(vectors).data)
                counts.append(number)
        return np.concatenate(counts)

    counts = saved_array(target.with_suffix(".npy"), unpack)
    rows, size = int(counts.sum()), target.stat().st_size
    if not rows:
        raise LvmError(f"{path}: {column}: has no vectors; take the file away")
    with open_regular_file(target) as unpacked:
        shape = (rows, size // (rows * dtype.itemsize))
        array = DiskArray(unpacked, 0, Header(shape, dtype, False, 0), f"{path}: {column}")
    if is_documents:
        array.documents = np.cumsum(counts) - counts
    return array, counts


def _blocks(
    file: pq.ParquetFile, path: Path, column: str, itemsize: int, *, is_documents: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The number of vectors of each row, and the vectors as [n, D], in parts."""
    where, rows, start, dimension = f"{path}: {column}", file.metadata.num_rows, 0, 0
    progress = Progress(f"import: unpack {where}", rows, "rows")
    for lists in batches(file, path, column, itemsize):
        counts = np.maximum(_lengths(lists), 0) if is_documents else np.ones(len(lists), dtype=np.int64)
        ends = np.cumsum(counts)

        def place(vector: int, start: int = start, counts: np.ndarray = counts, ends: np.ndarray = ends) -> str:
            row = int(np.searchsorted(ends, vector, side="right"))
            sentence = f", sentence {vector - ends[row] + counts[row]}" if is_documents else ""
            return f"{where}: row {start + row}{sentence}"

        vectors = _vectors(lists.flatten() if is_documents else lists, dimension, place)
        dimension = vectors.shape[1]
        start += len(lists)
        if start > rows:
            raise LvmError(f"{where}: has more rows than the {rows:,} that the file says; {AGAIN}")
        yield counts, vectors
        progress.update(len(lists))
    if start != rows:
        raise LvmError(f"{where}: has {start:,} rows, the file says {rows:,}; {AGAIN}")
    progress.close()


def _vectors(lists: pa.Array, dimension: int, place: Callable[[int], str]) -> np.ndarray:
    """[n, D] out of lists of D numbers; `dimension`: D, or 0 for that of the first list; `place`: names a list."""
    lengths = _lengths(lists)
    if not len(lengths):
        return np.empty((0, dimension))
    dimension = dimension or int(lengths[0])
    bad = np.flatnonzero((lengths != dimension) | (lengths < 1))
    if len(bad):
        length = int(lengths[bad[0]])
        several = f"has {length} numbers, the first one has {dimension}"
        holds = "is null" if length < 0 else several if length != dimension else "has no numbers"
        raise LvmError(f"{place(int(bad[0]))}: {holds}")
    values = lists.flatten()
    if values.null_count:
        position = int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
        raise LvmError(f"{place(position // dimension)}: holds a null")
    return values.to_numpy(zero_copy_only=False).reshape(-1, dimension)


def _lengths(lists: pa.Array) -> np.ndarray:
    """[n] int64 lengths of lists, -1 of a null."""
    return np.array([-1 if length is None else length for length in lists.value_lengths().to_pylist()], dtype=np.int64)


def batches(file: pq.ParquetFile, path: Path, column: str, itemsize: int = 1) -> Iterator[pa.Array]:
    """The column, in parts of about `BATCH_BYTES`, if each value has `itemsize` bytes, and at most `BATCH` rows."""
    with readable_parquet(path):
        step = min([BATCH, *(_rows_of(group, column, itemsize) for group in _groups(file))])
        parts = file.iter_batches(step, columns=[column])
    while True:
        with readable_parquet(path):
            batch = next(parts, None)
        if batch is None:
            return
        if len(batch):
            yield batch.column(column)


def _groups(file: pq.ParquetFile) -> Iterator[pq.RowGroupMetaData]:
    return (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))


def _rows_of(group: pq.RowGroupMetaData, column: str, itemsize: int) -> int:
    """How many rows of a group have `BATCH_BYTES` of a column."""
    chunks = [group.column(number) for number in range(group.num_columns)]
    values = sum(chunk.num_values for chunk in chunks if f"{chunk.path_in_schema}.".startswith(f"{column}."))
    return max(BATCH_BYTES * group.num_rows // max(values * itemsize, 1), 1)
