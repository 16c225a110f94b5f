"""What is known of the rows of foreign vectors (ids, positions, texts), and the tables that hold it.

A table is a .csv or .parquet beside an .npy file, or a .parquet that has the vectors in one of its columns.
"""

from __future__ import annotations

import csv
import itertools
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lvm_core.importers.arrays import DiskArray, Values, open_npy
from lvm_core.runtime.cli import Progress
from lvm_core.runtime.errors import AGAIN, LvmError, open_regular_file, printable, readable
from lvm_core.runtime.files import write_npy_blocks
from lvm_core.runtime.readers import readable_table, require_bounded
from lvm_core.runtime.resume import fingerprint

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

LONGEST = 1000
"""Characters of an id."""

LARGEST = int(np.iinfo(np.int64).max)


def indices(values: Values, where: str) -> np.ndarray:
    """[N] int64 of whole numbers from 0 to 2**63 - 1."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
        bad = np.flatnonzero((values < 0) | (values > LARGEST))
        if len(bad):
            _check_index(values[bad[0]].item(), where, int(bad[0]))
        return values.astype(np.int64)
    if isinstance(values, np.ndarray):
        raise LvmError(f"{where}: holds {values.dtype}, need whole numbers (int64)")
    for row, value in enumerate(values):
        _check_index(value, where, row)
    return np.array([int(value) for value in values], dtype=np.int64)


def _check_index(value: Any, where: str, row: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise LvmError(f"{where}: row {row}: {shown_value(value)} is not a whole number")
    if value < 0:
        raise LvmError(f"{where}: row {row}: {shown_value(value)} is negative; positions and ids count from 0")
    if value > LARGEST:
        raise LvmError(f"{where}: row {row}: {shown_value(value)} exceeds the largest int64; renumber the ids")


def shown_value(value: Any) -> str:
    """A value of a foreign file for a message: short, printable, whatever it is."""
    if isinstance(value, int) and abs(value) > 10**40:
        return f"a number of {value.bit_length()} bits"  # Python refuses to write out very long ones
    if isinstance(value, (dict, list, tuple, np.ndarray)):
        return f"a {type(value).__name__}"
    return printable(repr(value), 60)


def article_ids(values: Values, where: str) -> np.ndarray:
    """[N] object array of str: ids that are whole numbers (written without leading zeros) or texts."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "S":
        values = [_decoded(value, where, row) for row, value in enumerate(values.tolist())]
    if isinstance(values, np.ndarray) and values.dtype.kind != "U":
        values = indices(values, where).tolist()
    for row, value in enumerate(values):
        if not isinstance(value, str):
            _check_index(value, where, row)
        elif not value.strip() or len(value) > LONGEST or "\0" in value:
            too_long = f"is longer than {LONGEST} characters"
            problem = "is empty" if not value.strip() else too_long if len(value) > LONGEST else "has a NUL"
            raise LvmError(f"{where}: row {row}: the id {problem}; give the article a short name or number")
        elif re.fullmatch(r"[+-]?\d{1,4000}", value.strip()):
            _check_index(int(value), where, row)
    ids = np.empty(len(values), dtype=object)
    ids[:] = [str(value) for value in values]
    return ids


def _decoded(value: bytes, where: str, row: int) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:  # replacing what cannot be read might make two ids one
        raise LvmError(f"{where}: row {row}: {shown_value(value)} is not UTF-8; save the ids as text") from None


def texts(values: Values, where: str) -> list[str]:
    """Texts of chunks; None becomes the empty text."""
    cleaned = []
    for row, value in enumerate(values):
        missing = value is None or (isinstance(value, float) and math.isnan(value))  # pandas writes NaN for no text
        if not missing and not isinstance(value, str):
            raise LvmError(f"{where}: row {row}: {shown_value(value)} is not a text")
        cleaned.append("" if missing else str(value))
    return cleaned


ALIASES = {
    **dict.fromkeys(("article_id", "article_ids", "article_index", "article_indices"), "article_ids"),
    **dict.fromkeys(("chunk_index", "chunk_indices", "seq_idx"), "chunk_indices"),
    **dict.fromkeys(("text", "texts", "concept_texts"), "texts"),
}
"""Columns by the names they may have, and the name of the member that means the same in an .npz file."""

VECTOR_COLUMNS = ("vector", "vectors", "embedding", "embeddings")

BATCH = 4096


def read_id_table(vectors: Path) -> tuple[dict[str, Values], Path]:
    """The columns, by member name, of the .csv or .parquet of the same name beside an .npy file, and its path."""
    beside = [vectors.with_suffix(suffix) for suffix in (".csv", ".parquet")]
    found = [path for path in beside if path.is_file()]
    if len(found) != 1:
        problem = "both are there, remove one" if found else "neither is there"
        raise LvmError(f"{vectors}: needs the ids of its rows in {' or '.join(map(str, beside))}; {problem}")
    path = found[0]
    return _read_csv(path) if path.suffix == ".csv" else _read_parquet_ids(path), path


def _read_csv(path: Path) -> dict[str, Values]:
    csv.field_size_limit(sys.maxsize)  # a text may be long
    with readable(str(path)), open(path, newline="", encoding="utf-8-sig") as file:
        try:
            header, *records = (fields for fields in csv.reader(file, skipinitialspace=True, strict=True) if fields)
        except csv.Error as error:
            raise ValueError(str(error)) from error
        for number, fields in enumerate(records, start=1):
            if len(fields) != len(header):
                problem = f"record {number} has {len(fields)} fields, the header {len(header)}"
                raise ValueError(f"{problem}: put texts with commas into quotes")
    columns: dict[str, Values] = {}
    for member, name in _choose(header, str(path)).items():
        values = [fields[header.index(name)] for fields in records]
        columns[member] = [_number(value) for value in values] if member == "chunk_indices" else values
    return columns


def _choose(there: list[str], where: str) -> dict[str, str]:
    """Name of the column for each member; names are compared without case and surrounding blanks."""
    chosen: dict[str, str] = {}
    for name in there:
        member = ALIASES.get(name.strip().lower())
        if member in chosen:
            raise LvmError(f"{where}: the columns {chosen[member]} and {printable(name)} mean the same; remove one")
        if member:
            chosen[member] = name
    if "article_ids" not in chosen:
        columns = printable(", ".join(there))
        raise LvmError(f"{where}: has no ids of articles; wanted: a column article_id; there are: {columns}")
    return chosen


def _number(value: str) -> int | str:
    """A whole number if the text is one; else the text, which the check of indices will name."""
    try:
        return int(value)
    except ValueError:
        return value


def _open_parquet(path: Path) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    open_regular_file(path).close()  # says plainly if it is not there
    with readable_table(path):
        require_bounded(path, AGAIN)
        # Without read-ahead, and through a small buffer: else a whole group of rows is in memory, often the whole file.
        file = pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False, buffer_size=2**20)
        names, _ = file.schema_arrow.names, file.metadata.num_rows  # decoded now, while errors are looked for
    if again := next((name for name in names if names.count(name) > 1), None):
        raise LvmError(f"{path}: has two columns of the name {printable(again)}; remove one")
    return file


def _read_parquet_ids(path: Path) -> dict[str, Values]:
    file = _open_parquet(path)
    chosen = _choose(file.schema_arrow.names, str(path))
    with readable_table(path):
        table = file.read(columns=list(chosen.values()))
        columns = {member: _values(table.column(name), member, f"{path}: {name}") for member, name in chosen.items()}
    return columns


def _values(column: pa.ChunkedArray, member: str, where: str) -> Values:
    import pyarrow as pa

    if pa.types.is_integer(column.type) and column.null_count == 0:
        return column.to_numpy()
    values: list[object] = column.to_pylist()
    if None in values and member != "texts":
        raise LvmError(f"{where}: row {values.index(None)}: is null")
    return values


def unpack_vector_column(path: Path, names: tuple[str, ...], unpack_to: Path) -> tuple[DiskArray, dict[str, Values]]:
    """The column of vectors of a .parquet file as an array on disk, and its columns of ids by member name."""
    import pyarrow as pa

    file = _open_parquet(path)
    wanted = dict.fromkeys((*VECTOR_COLUMNS, *names))
    column = next((name for name in wanted if name in file.schema_arrow.names), None)
    if column is None:
        there = ", ".join(file.schema_arrow.names)
        raise LvmError(f"{path}: has no column of vectors; wanted: {' or '.join(wanted)}; there are: {there}")
    where = f"{path}: {column}"
    kind = file.schema_arrow.field(column).type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not (is_list and pa.types.is_floating(kind.value_type)):
        raise LvmError(f"{where}: holds {kind}, need lists of float16, float32 or float64")
    target = unpack_to / f"{fingerprint(path.resolve(), column)[:16]}.npy"
    if not target.exists():
        blocks = _blocks(file, path, column)
        first = next(blocks, None)
        if first is None:
            raise LvmError(f"{path}: has no rows")
        shape = (file.metadata.num_rows, first.shape[1])
        write_npy_blocks(target, np.dtype(kind.value_type.to_pandas_dtype()), shape, itertools.chain([first], blocks))
    array = open_npy(target)
    array.where = where
    return array, _read_parquet_ids(path)


def _blocks(file: pq.ParquetFile, path: Path, column: str) -> Iterator[np.ndarray]:
    """The lists of the column as [n, D], in parts."""
    where, rows, start, dimension = f"{path}: {column}", file.metadata.num_rows, 0, 0
    progress = Progress(f"import: unpack {where}", rows, "rows")
    batches = file.iter_batches(BATCH, columns=[column])
    while True:
        with readable_table(path):
            batch = next(batches, None)
        if batch is None:
            break
        if not len(batch):
            continue
        lists = batch.column(0)
        lengths = np.array([-1 if length is None else length for length in lists.value_lengths().to_pylist()])
        dimension = dimension or int(lengths[0])
        if dimension < 1:
            raise LvmError(f"{where}: row 0: has no numbers")
        bad = np.flatnonzero(lengths != dimension)
        if len(bad):
            holds = "is null" if lengths[bad[0]] < 0 else f"has {lengths[bad[0]]} numbers, row 0 has {dimension}"
            raise LvmError(f"{where}: row {start + bad[0]}: {holds}")
        values = lists.flatten()
        if values.null_count:
            position = int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
            raise LvmError(f"{where}: row {start + position // dimension}: holds a null")
        if start + len(lists) > rows:
            raise LvmError(f"{where}: has more rows than the {rows:,} that the file says; {AGAIN}")
        yield values.to_numpy(zero_copy_only=False).reshape(-1, dimension)
        start += len(lists)
        progress.update(len(lists))
    if start not in (0, rows):
        raise LvmError(f"{where}: has {start:,} rows, the file says {rows:,}; {AGAIN}")
    progress.close()
