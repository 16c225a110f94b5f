"""Readers of json, YAML, csv, parquet and npy files, damaged or hostile ones too: what is wrong is one line."""

from __future__ import annotations

import io
import json
import math
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
import yaml

from lvm_core.runtime.errors import AGAIN, READ_ERRORS, LvmError, open_regular_file, printable, readable

if TYPE_CHECKING:
    import pandas as pd


_NUMBERS, _OTHER_PLAIN = "iufc", "bSUMm"

_LONGEST_HEADER = 10 + 65_536
"""numpy refuses headers of more than 10,000 characters anyway."""


class Header(NamedTuple):
    """Header of an .npy file."""

    shape: tuple[int, ...]
    """Sizes, non-negative."""
    dtype: np.dtype
    """As in the file, with its byte order."""
    is_fortran: bool
    """The first axis varies fastest."""
    size: int
    """Bytes of the header itself."""

    @property
    def data_size(self) -> int:
        """Bytes that must follow the header (without meaning for objects)."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(file: IO[bytes], where: str, remedy: str = AGAIN) -> Header:
    """Read and check the header at the position of `file` (`where`, for messages); this may read ahead of it."""
    with readable(where):
        head = io.BytesIO(file.read(_LONGEST_HEADER))
    if head.getbuffer()[:6] != np.lib.format.MAGIC_PREFIX:
        raise LvmError(f"{where}: is not an .npy array; save it with np.save or np.savez")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a header of Python 2
            version = np.lib.format.read_magic(head)
            if version == (3, 0):
                raise LvmError(f"{where}: is a structured array; save each field as an array of its own")
            if version not in ((1, 0), (2, 0)):
                raise ValueError(f"version {version} of the format is unknown")
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, is_fortran, dtype = read(head)
    except READ_ERRORS as error:
        reason = printable(str(error) or type(error).__name__)
        raise LvmError(f"{where}: its header is damaged ({reason}); {remedy}") from error
    if dtype.kind == "V" and dtype.names is None and dtype.subdtype is None:
        raise LvmError(
            f"{where}: has the type {printable(dtype)}, which np.save writes for bfloat16 and others that it does not "
            "know; save array.astype(np.float32)"
        )
    if dtype.kind != "O" and (dtype.kind not in _NUMBERS + _OTHER_PLAIN or dtype.itemsize == 0):
        raise LvmError(
            f"{where}: has the type {printable(dtype)}; save each field as an array of plain numbers or text"
        )
    impossible = len(shape) > 32 or any(type(n) is not int or n < 0 for n in shape)
    # numpy multiplies the sizes that are not zero.
    if impossible or math.prod(max(n, 1) for n in shape) * dtype.itemsize >= 2**63:
        raise LvmError(f"{where}: its header declares the shape {printable(shape)}; {remedy}")
    return Header(shape, dtype, is_fortran, head.tell())


def require_rows_of_numbers(header: Header, where: str) -> None:
    """Let pass only what can be read as rows of numbers: no objects, no text, not a single value."""
    if header.dtype.kind not in _NUMBERS:
        kind = "Python objects" if header.dtype.kind == "O" else f"values of type {header.dtype}"
        raise LvmError(f"{where}: holds {kind} where numbers are needed; save it as float32 or float16")
    if not header.shape:
        raise LvmError(f"{where}: is a single number where an array with rows is needed; save it with its rows")


MAKE = "run `dvc repro` to make it"

REMAKE = "delete it and run `dvc repro`"

SLACK = 64 * 2**20
"""Bytes that a file may grow to in memory, however small it is."""

GROWTH = 200
"""And how many times its own size. Our widest tables grow tenfold."""


def read_text(path: str | Path, *, missing: str = MAKE, remedy: str = REMAKE) -> str:
    """The text of a UTF-8 file."""
    try:
        with open_regular_file(Path(path), remedy=remedy, missing=missing) as file:
            return file.read().decode("utf-8")
    except OSError as error:
        raise LvmError(f"{path}: cannot be read ({error.strerror or error}); {remedy}") from error
    except UnicodeDecodeError as error:
        raise LvmError(f"{path}: is not valid UTF-8 text ({error}); {remedy}") from error


def read_json(path: str | Path) -> Any:
    """Read a json file."""
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LvmError(f"{path}: is not valid json ({printable(error)}); {REMAKE}") from error


def read_npy(path: str | Path, *, mmap: bool = False) -> np.ndarray:
    """Read a .npy file, memory-mapped read-only if `mmap`."""
    with open_regular_file(Path(path), remedy=REMAKE, missing=MAKE) as file:
        header = read_header(file, str(path), REMAKE)
        size = os.fstat(file.fileno()).st_size
    wrong = f"{path}: is not a complete .npy file"
    if header.dtype.kind == "O":
        raise LvmError(f"{wrong} of numbers (it holds Python objects); {REMAKE}")
    if size != header.size + header.data_size:
        raise LvmError(f"{wrong} ({size:,} bytes, its header makes {header.size + header.data_size:,}); {REMAKE}")
    try:
        return np.load(path, mmap_mode="r" if mmap and header.data_size else None, allow_pickle=False)
    except READ_ERRORS as error:
        raise LvmError(f"{wrong} ({printable(error)}); {REMAKE}") from error


def read_csv(path: str | Path, index: str) -> pd.DataFrame:
    """Read a csv file with the column `index` as its index."""
    import pandas as pd

    open_regular_file(Path(path), remedy=REMAKE, missing=MAKE).close()
    try:
        return pd.read_csv(path, index_col=index)
    except READ_ERRORS as error:
        raise LvmError(f"{path}: is not the table it should be ({printable(error)}); {REMAKE}") from error


def read_parquet(path: str | Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a parquet file (or some of its columns)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    open_regular_file(Path(path), remedy=REMAKE, missing=MAKE).close()
    try:
        require_bounded(path)
        lacking = sorted(set(columns or ()) - set(pq.read_schema(path).names))
        if lacking:
            raise LvmError(f"{path}: lacks the columns {printable(lacking)}; {REMAKE}")
        table = pq.read_table(path, columns=columns)
        table.validate(full=True)  # text that is not UTF-8 would show where it is used
        frame: pd.DataFrame = table.to_pandas()
        return frame
    except (*READ_ERRORS, pa.ArrowException) as error:
        raise LvmError(f"{path}: is not a complete parquet file ({printable(error)}); {REMAKE}") from error


@contextmanager
def readable_table(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises at a damaged file into an LvmError."""
    import pyarrow as pa

    with readable(str(path)):
        try:
            yield
        except pa.ArrowException as error:
            raise ValueError(str(error)) from error


def require_bounded(path: str | Path, remedy: str = REMAKE) -> None:
    """Refuse a parquet file that takes little space and would take all memory.

    Runs of equal values cost almost nothing in a file and their full size when they are read. What the table of
    contents declares is looked at first; columns of text, whose values have any length, are read with each distinct
    value once where that leaves doubt. A damaged file raises an ArrowException of pyarrow.
    """
    import pyarrow.parquet as pq

    size = os.stat(path).st_size
    limit = SLACK + GROWTH * size
    with pq.ParquetFile(path) as file:
        groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
        names = file.schema_arrow.names
    chunks = [group.column(index) for group in groups for index in range(group.num_columns)]
    declared = sum(max(8 * chunk.num_values, chunk.total_uncompressed_size) for chunk in chunks)
    if declared > limit:
        raise LvmError(f"{path}: its {size:,} bytes claim to hold {declared:,}; {remedy}")
    texts = [chunk for chunk in chunks if chunk.physical_type == "BYTE_ARRAY"]
    if sum(chunk.num_values * chunk.total_uncompressed_size for chunk in texts) <= limit:
        return
    columns = sorted({chunk.path_in_schema for chunk in texts} & set(names))
    if (total := _text_bytes(path, columns, limit)) > limit:
        raise LvmError(f"{path}: its {size:,} bytes hold more than {total:,} of text; {remedy}")


def _text_bytes(path: str | Path, columns: list[str], limit: int) -> int:
    """Bytes of the texts in these columns, with every repetition; counting ends above `limit`."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    total = 0
    with pq.ParquetFile(path, read_dictionary=columns) as file:
        for group in range(file.num_row_groups):
            for column in file.read_row_group(group, columns).columns:
                for piece in column.chunks:
                    lengths = pc.binary_length(piece.dictionary).cast("int64")
                    total += pc.sum(lengths.take(piece.indices)).as_py() or 0
                    if total > limit:
                        return total
    return total


LONGEST_FILE = 2**20
"""Characters that a YAML file may have; ours has 20,000."""

MOST_VALUES = 100_000
"""Values that it may have when every alias is written out; ours has under a thousand."""

LONGEST_NUMBER = 1000
"""Characters of a plain value; Python takes a number of so many digits for one, and long ones for minutes."""


def read_yaml(path: str | Path, remedy: str) -> Any:
    """The one document in a YAML file; `remedy`: what to do if it is not there or cannot be read as YAML."""
    text = read_text(path, missing=remedy, remedy=remedy)
    try:
        return parse_yaml(text, str(path))
    except LvmError as error:
        raise LvmError(f"{error}; {remedy}") from error


def parse_yaml(text: str, where: str) -> Any:
    """The one document in a YAML text, made of dicts, lists, strings, numbers, dates, bools and None.

    A few bytes of a hostile one can stand for more than any memory holds, so its values are counted first.
    """
    if len(text) > LONGEST_FILE:
        raise LvmError(f"{where}: has {len(text):,} characters, more than any file of parameters ({LONGEST_FILE:,})")
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _count_values(node, where, {})
        return loader.construct_document(node)
    except (yaml.YAMLError, RecursionError) as error:
        raise LvmError(f"{where}: is not valid YAML: {printable(' '.join(str(error).split()))}") from error
    except (ValueError, LookupError, TypeError, ArithmeticError, AttributeError) as error:  # a date of month 13, say
        raise LvmError(f"{where}: is not valid YAML: a value cannot be read: {printable(error)}") from error
    finally:
        if loader is not None:
            loader.dispose()


def _count_values(node: yaml.Node, where: str, sizes: dict[int, int]) -> int:
    """Values of a node with aliases written out; refuses what would grow too large, or be lost without a word.

    `sizes` are those of the nodes counted so far, by their id, 0 while the parts of a node are counted.
    """
    known = sizes.get(id(node))
    if known == 0:
        raise _at(node, where, "an alias (*) stands inside what it stands for")
    if known is not None:
        return known
    sizes[id(node)] = 0
    total = 1
    if isinstance(node, yaml.MappingNode):
        _check_keys(node, where)
        total += sum(_count_values(part, where, sizes) for pair in node.value for part in pair)
    elif isinstance(node, yaml.SequenceNode):
        total += sum(_count_values(part, where, sizes) for part in node.value)
    elif node.tag.endswith((":int", ":float")) and re.match(r"[-+]?(0[0-9_]+$|.*:)", node.value):
        raise _at(node, where, f"{printable(node.value)} is one number to us and another to DVC: write it plainly")
    elif node.tag.endswith((":int", ":float")) and len(node.value) > LONGEST_NUMBER:
        raise _at(node, where, f"a number of {len(node.value):,} digits")
    if total > MOST_VALUES:
        raise _at(node, where, f"holds more than {MOST_VALUES:,} values when aliases (*) are written out")
    sizes[id(node)] = total
    return total


def _check_keys(node: yaml.MappingNode, where: str) -> None:
    seen = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _at(key, where, "a key must be a single word or number")
        if (key.tag, key.value) in seen:
            raise _at(key, where, f"the key {printable(key.value)} is there twice")
        seen.add((key.tag, key.value))


def _at(node: yaml.Node, where: str, message: str) -> LvmError:
    return LvmError(f"{where}: line {node.start_mark.line + 1}: {message}")
