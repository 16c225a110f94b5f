"""Tables with one article a row: .parquet as text collections are published, .arrow as `datasets` saves it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvm_core.corpus import Document, Reading, parse_plain
from lvm_core.corpus.decode import clean_text, read_text
from lvm_core.corpus.fields import Fields, label
from lvm_core.runtime.errors import AGAIN, LvmError, open_regular_file, printable
from lvm_core.runtime.folders import refuse_pointer
from lvm_core.runtime.tables import column_values, open_parquet, readable_parquet

if TYPE_CHECKING:
    import pyarrow as pa

BATCH, BATCH_BYTES = 4096, 2**24
"""Most rows in memory, and about how many bytes of them."""

SMALL_BATCH = 64
"""Most rows of a column of texts that pyarrow cannot read as a dictionary."""

_AS_DICTIONARY = {"PLAIN", "RLE", "BIT_PACKED", "PLAIN_DICTIONARY", "RLE_DICTIONARY"}

NULLS = "rows without a text (null)"

_OTHER = "convert the column, or name another as data.text_column"

_END = b"\xff\xff\xff\xff\0\0\0\0"
"""How a stream of arrow ends. Without it a file that was cut between two batches would look whole."""


def table_fields(path: Path, wanted: Fields) -> Fields:
    """The columns of a table to read; refuses it if the text is no text."""
    import pyarrow as pa

    with readable_parquet(path):
        schema = open_parquet(path).schema_arrow if _is_parquet(path) else _open_arrow(path)[0]
        names = schema.names
    if again := next((name for name in names if names.count(name) > 1), None):
        raise LvmError(f"{path}: has two columns of the name {printable(again)}; remove one")
    chosen = wanted.choose(names, f"{path}")
    kind = schema.field(chosen.text).type
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not any(is_(values) for is_ in (pa.types.is_string, pa.types.is_large_string, pa.types.is_null, _is_view)):
        raise LvmError(f"{path}: {chosen.text}: holds {printable(kind)}, need text (string); {_OTHER}")
    return chosen


def same_fields(paths: list[Path], wanted: Fields) -> Fields:
    """The columns to read of all tables of a source, which must be the same."""
    chosen = [table_fields(path, wanted) for path in paths]
    for path, found in zip(paths, chosen, strict=True):
        for mine, first in zip(astuple(found), astuple(chosen[0]), strict=True):
            if mine != first:
                both = f"has {'no' if mine is None else 'a'} column {mine or first}"
                other = f"{paths[0]} reads {first}" if first else f"{paths[0]} has none"
                raise LvmError(f"{path}: {both}, {other}; make them alike, or bring them apart")
    return chosen[0] if chosen else wanted


def read_table(path: Path, name: str, columns: Fields, reading: Reading) -> Iterator[Document]:
    """The rows of a table as articles, a batch at a time; nulls are counted. Ids are `<name>:<id, or row from 1>`."""
    start, size, row = reading.done, path.stat().st_size, 0
    wanted = [column for column in astuple(columns) if column]
    batches, total = _parquet_batches(path, columns, wanted) if _is_parquet(path) else _open_arrow(path)[1:]
    while True:
        with readable_parquet(path):
            batch = next(batches, None)
            if batch is None:
                break
            rows = [_values(batch, column) for column in astuple(columns)]
        for text, key, title in zip(*rows, strict=True):
            row += 1
            where = f"{path}: row {row}"
            if text is None:
                reading.leave_out(NULLS, f"{path.name}: row {row}")
                continue
            key = label(key, f"{where}: {columns.id}", "id") or str(row)
            title = label(title, f"{where}: {columns.title}", "title") or f"{path.stem} {key}"
            yield Document(f"{name}:{key}", title, clean_text(text), parse_plain)
        if total:
            reading.done = start + int(size * min(row / total, 1))
    if total is not None and row != total:
        raise LvmError(f"{path}: has {row:,} rows, the file says {total:,}; {AGAIN}")


def _values(batch: pa.RecordBatch, column: str | None) -> list[Any]:
    """The values of a column; equal ones of a dictionary are one object, however often and long they are."""
    import pyarrow as pa

    if column is None:
        return [None] * len(batch)
    values = batch.column(column)
    values.validate(full=True)
    if not pa.types.is_dictionary(values.type):
        return column_values(values)
    distinct = column_values(values.dictionary)
    return [None if index is None else distinct[index] for index in values.indices.to_pylist()]


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _is_view(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string_view(kind))


def _parquet_batches(path: Path, columns: Fields, wanted: list[str]) -> tuple[Iterator[pa.RecordBatch], int]:
    with readable_parquet(path):
        file = open_parquet(path)
        groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
        parts = [group.column(index) for group in groups for index in range(group.num_columns)]
        encodings = {name for part in parts if part.path_in_schema == columns.text for name in part.encodings}
        widest = max((group.total_byte_size / max(group.num_rows, 1) for group in groups), default=1)
        size = max(1, min(BATCH, int(BATCH_BYTES / max(widest, 1))))
        # a few bytes of a file can repeat a long text a million times
        if encodings <= _AS_DICTIONARY:
            file = open_parquet(path, columns.text)
        else:
            size = min(size, SMALL_BATCH)
        return file.iter_batches(size, columns=wanted), file.metadata.num_rows


def _open_arrow(path: Path) -> tuple[pa.Schema, Iterator[pa.RecordBatch], None]:
    """Schema and batches (and no number of rows) of an arrow file, in its form for streams or for files."""
    import pyarrow as pa

    with open_regular_file(path) as head:
        start = head.read(64)
        refuse_pointer(start, path)
        head.seek(-min(len(_END), path.stat().st_size), 2)
        whole = head.read() == _END
    # not memory-mapped: what was read of the file would count as memory of the process
    source = pa.OSFile(str(path))
    if start.startswith(b"ARROW1"):
        file = pa.ipc.open_file(source)
        rows = (file.get_batch(index) for index in range(file.num_record_batches))
        return file.schema, rows, None
    if not whole:
        raise LvmError(f"{path}: does not end as an arrow file does, it was cut short; {AGAIN}")
    stream = pa.ipc.open_stream(source)
    return stream.schema, iter(stream), None


STATE, INFO, SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"
"""Files of a folder that `datasets` has saved (`save_to_disk`); of several splits, each in a folder of its own."""


def saved_files(folder: Path) -> list[str]:
    """Names of the files that hold the rows of a saved dataset, by its own list."""
    try:
        state = json.loads(read_text(folder / STATE))
        names = [entry["filename"] for entry in state["_data_files"]]
        selected = state.get("_indices_data_files")
        if any(Path(name).name != name or name.startswith(".") or not name.endswith(".arrow") for name in names):
            raise ValueError("a file elsewhere, or of another kind")
    except (TypeError, KeyError, AttributeError, ValueError, RecursionError) as error:
        raise LvmError(f"{folder / STATE}: does not name the files of a saved dataset; save it again") from error
    if selected:
        raise LvmError(f"{folder}: was saved as a selection of rows by an old `datasets`; save its flatten_indices()")
    if lacking := next((folder / name for name in names if not os.path.isfile(folder / name)), None):
        raise LvmError(f"{printable(lacking)}: is named in {STATE} and not there; {AGAIN}")
    return names


def require_splits(folder: Path) -> None:
    """Make sure that the splits which a folder of several names are there."""
    try:
        names = json.loads(read_text(folder / SPLITS))["splits"]
        lacking = [name for name in names if not os.path.isfile(folder / name / STATE)]
    except (TypeError, KeyError, ValueError, RecursionError) as error:
        raise LvmError(f"{folder / SPLITS}: does not name the splits of a saved dataset; save it again") from error
    if lacking:
        raise LvmError(f"{printable(folder / lacking[0])}: is named in {SPLITS} and holds no saved dataset; {AGAIN}")
