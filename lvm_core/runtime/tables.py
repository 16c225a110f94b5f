"""Parquet files that somebody brings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lvm_core.runtime.errors import LvmError, open_regular_file, printable
from lvm_core.runtime.folders import refuse_pointer
from lvm_core.runtime.readers import readable_table

if TYPE_CHECKING:
    import pyarrow.parquet as pq


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
