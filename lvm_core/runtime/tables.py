"""Parquet files that somebody brings, and ids and titles in any table."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from lvm_core.runtime.errors import LvmError, open_regular_file, printable
from lvm_core.runtime.folders import refuse_pointer
from lvm_core.runtime.readers import readable_table

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

LONGEST_INT = 4096
"""Bits; Python refuses to write out very long numbers."""


@contextmanager
def readable_parquet(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises at a file that it cannot read, or that is damaged, into an LvmError."""
    import pyarrow as pa

    with readable_table(path):
        try:
            yield
        except pa.ArrowNotImplementedError as error:  # such as categories in lists
            remedy = "write it with plain texts and numbers"
            raise LvmError(f"{path}: pyarrow cannot read it ({printable(error)}); {remedy}") from error


def open_parquet(path: Path, dictionary: str | None = None) -> pq.ParquetFile:
    """Open a parquet file; a column that `dictionary` names is read as one: a text that is repeated is one object."""
    import pyarrow.parquet as pq

    with open_regular_file(path) as head:  # says plainly if it is not there
        refuse_pointer(head.read(64), path)
    with readable_parquet(path):
        file = pq.ParquetFile(
            path,
            read_dictionary=[dictionary] if dictionary else None,
            page_checksum_verification=True,
            # without read-ahead, and through a small buffer: else a whole group of rows is in memory, often the file
            pre_buffer=False,
            buffer_size=2**20,
        )
        _ = file.schema_arrow.names, file.metadata.num_rows  # decoded now, while errors are looked for
    return file


def column_values(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """The values of a column, None for a null; 16 bytes, as which a UUID is stored, are the text of one."""
    import pyarrow as pa

    values: list[Any] = column.to_pylist()
    if pa.types.is_fixed_size_binary(column.type) and column.type.byte_width == 16:
        return [value if value is None else str(UUID(bytes=value)) for value in values]
    return values


def as_label(value: Any, what: str, remedy: str) -> str | None:
    """An id or title as text; None where there is none (null, or the NaN of pandas).

    It is a text (bytes in UTF-8 too), a number (1.0, which pandas makes of 1 after a join, is 1), a date or a UUID;
    anything else is refused, `what` and what to do (`remedy`) said.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    try:
        value = value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        raise LvmError(f"{what} is {printable(value, 60)}, which is not UTF-8; {remedy}") from None
    if isinstance(value, (float, Decimal)) and math.isfinite(value):
        value = int(value) if value == math.floor(value) else str(value)
    if isinstance(value, bool) or not isinstance(value, (str, int, UUID, date)):
        raise LvmError(f"{what} is {type(value).__name__}, must be a text or a number; {remedy}")
    if isinstance(value, int) and value.bit_length() > LONGEST_INT:
        raise LvmError(f"{what} is a number of {value.bit_length():,} bits; {remedy}")
    return str(value)
