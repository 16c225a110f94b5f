"""The arrays of foreign files: vectors, and the ids beside them."""

from __future__ import annotations

import math
import mmap
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lvm_core.runtime.errors import AGAIN, LvmError, open_regular_file, printable, readable
from lvm_core.runtime.readers import Header, read_header, require_rows_of_numbers

RELEASE_BYTES = 64 * 2**20
"""Read pages are given back to the system after so many bytes."""

FAULT_BYTES = 2 * 2**20
"""What the kernel may map around an address that is read for the first time (measured on Linux 6.18)."""


class DiskArray:
    """Array of numbers in a file, read in blocks of rows; what has been read does not stay in memory.

    Attributes:
        where: file and array, for messages.
        shape: [N, ...].
        dtype: of what is read, in native byte order.
    """

    def __init__(self, file: BinaryIO, offset: int, header: Header, where: str) -> None:
        """Map the array whose data begin at `offset` of an open file, which may be closed afterwards."""
        self.where, self.shape, self.dtype = where, header.shape, header.dtype.newbyteorder("=")
        self._is_fortran, self._touched = header.is_fortran, 0
        count, width = self.shape[0], math.prod(self.shape[1:])
        # In Fortran order the file has whole columns, the last axis varying slowest.
        layout = (width, count) if self._is_fortran else (count, width)
        with readable(where):
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._data: np.ndarray = np.ndarray(layout, header.dtype, self._map, offset)

    def __len__(self) -> int:
        return self.shape[0]

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Copy of the rows `start:stop` (as a slice), [rows, ...]."""
        if self._is_fortran:
            columns = self._data[:, start:stop]
            each = columns.shape[1] * self.dtype.itemsize + FAULT_BYTES
            return self._from_columns(self._copy(columns.__getitem__, columns.shape, each), self.shape[1:])
        rows = self._data[start:stop]
        copy = self._copy(rows.__getitem__, rows.shape, rows.shape[1] * self.dtype.itemsize)
        return copy.reshape(len(rows), *self.shape[1:])

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Copy of the rows at `indices` (any integers that index the first axis), [len(indices), ...]."""
        indices = np.asarray(indices, dtype=np.int64)
        if self._is_fortran:
            return self._from_columns(self._take_columns(self._data, (indices,)), self.shape[1:])
        return self._take_rows(self._data, indices).reshape(len(indices), *self.shape[1:])

    def flat_take(self, indices: np.ndarray) -> np.ndarray:
        """Copy of rows of an array [W, K, D] seen as [W * K, D], [len(indices), D]."""
        indices = np.asarray(indices, dtype=np.int64)
        windows, slots, dimension = self.shape
        if self._is_fortran:
            columns = self._data.reshape(dimension, slots, windows)
            window, slot = np.divmod(indices, slots)
            return self._from_columns(self._take_columns(columns, (slot, window)), (dimension,))
        return self._take_rows(self._data.reshape(windows * slots, dimension), indices)

    def _take_rows(self, rows: np.ndarray, indices: np.ndarray) -> np.ndarray:
        each = rows.shape[1] * self.dtype.itemsize + FAULT_BYTES
        return self._copy(lambda piece: rows[indices[piece]], (len(indices), rows.shape[1]), each)

    def _take_columns(self, columns: np.ndarray, indices: tuple[np.ndarray, ...]) -> np.ndarray:
        count = len(indices[0])
        each = min(columns[:1].nbytes, count * FAULT_BYTES) + FAULT_BYTES
        chosen: Any = (slice(None), *indices)
        return self._copy(lambda piece: columns[piece][chosen], (len(columns), count), each)

    @staticmethod
    def _from_columns(columns: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return np.ascontiguousarray(columns.reshape(*shape[::-1], columns.shape[1]).T)

    def _copy(self, pick: Callable[[slice], np.ndarray], shape: tuple[int, ...], each: int) -> np.ndarray:
        """Copy what `pick` gives for pieces of the first axis of `shape`, each of whose items touches `each` bytes."""
        result = np.empty(shape, dtype=self.dtype)
        step = max(1, RELEASE_BYTES // max(each, 1)) if self._data.nbytes > RELEASE_BYTES else max(1, len(result))
        for start in range(0, len(result), step):
            piece = slice(start, min(start + step, len(result)))
            result[piece] = pick(piece)
            self._touched += each * (piece.stop - piece.start)
            if self._touched > RELEASE_BYTES and hasattr(self._map, "madvise"):
                self._map.madvise(mmap.MADV_DONTNEED)  # else the pages count as ours until memory runs out
                self._touched = 0
        return result


def open_npy(path: str | Path) -> DiskArray:
    """Map the array of an .npy file."""
    path = Path(path)
    with open_regular_file(path) as file:
        header = read_header(file, str(path))
        require_rows_of_numbers(header, str(path))
        there = os.fstat(file.fileno()).st_size - header.size
        if there != header.data_size:
            raise LvmError(f"{path}: declares {header.data_size:,} bytes of data but has {there:,}; {AGAIN}")
        return DiskArray(file, header.size, header, str(path))


LARGEST = int(np.iinfo(np.int64).max)

LONGEST = 1000
"""Characters of an id."""

ARTICLE_KEYS = ("article_index", "article_id")

TARGET_KEYS = ("target_chunk_index", "target_idx")

Values = np.ndarray | Sequence[Any]
"""A member's values: an array, or the items of an object array."""


@dataclass(frozen=True)
class WindowIds:
    """What is known of the windows of a file."""

    article: np.ndarray
    """[W] str, id of the article of the target."""
    target_index: np.ndarray
    """[W] int64 >= 0, position of the target in it."""
    starts_foreign: np.ndarray
    """[W] bool: the last context chunk is said to be of another article."""


def indices(values: Values, where: str) -> np.ndarray:
    """[N] int64 of whole numbers from 0 to 2**63 - 1."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
        bad = np.flatnonzero(values < 0) if values.dtype.kind == "i" else np.flatnonzero(values > LARGEST)
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
        raise LvmError(f"{where}: row {row}: {_shown(value)} is not a whole number")
    if value < 0:
        raise LvmError(f"{where}: row {row}: {_shown(value)} is negative; positions and ids count from 0")
    if value > LARGEST:
        raise LvmError(f"{where}: row {row}: {_shown(value)} exceeds the largest int64; renumber the ids")


def _shown(value: Any) -> str:
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
        elif problem := _problem(value):
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
        raise LvmError(f"{where}: row {row}: {_shown(value)} is not UTF-8; save the ids as text") from None


def _problem(name: str) -> str | None:
    """What is wrong with a text as an id, as the predicate of a sentence."""
    if not name.strip():
        return "is empty"
    if len(name) > LONGEST:
        return f"is longer than {LONGEST} characters"
    return "has a NUL" if "\0" in name else None


def texts(values: Values, where: str) -> list[str]:
    """Texts of chunks; None becomes the empty text."""
    cleaned = []
    for row, value in enumerate(values):
        missing = value is None or (isinstance(value, float) and math.isnan(value))  # pandas writes NaN for no text
        if not missing and not isinstance(value, str):
            raise LvmError(f"{where}: row {row}: {_shown(value)} is not a text")
        cleaned.append("" if missing else str(value))
    return cleaned


def read_metadata(items: Sequence[Any], where: str) -> WindowIds | None:
    """Ids out of one dict a window: `article_index|article_id`, `target_chunk_index|target_idx`, and, if it is there,
    `last_context_article` or `crosses_article`.
    """
    for row, item in enumerate(items):
        if not isinstance(item, dict):
            raise LvmError(f"{where}: row {row}: holds {type(item).__name__}, need a dict")
    columns = []
    for keys in (ARTICLE_KEYS, TARGET_KEYS):
        columns.append([next((item[key] for key in keys if key in item), None) for item in items])
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
    return WindowIds(article, indices(columns[1], f"{where}: target position"), np.array(foreign, dtype=bool))


def _starts_foreign(item: dict[Any, Any], article: str, where: str, row: int) -> bool:
    """Does a window's metadata say that its last context chunk is of another article?"""
    last: Any = item.get("last_context_article")
    if isinstance(last, (float, np.floating)):  # what a table makes of a number that may be missing
        last = int(last) if float(last).is_integer() else None
    if last is not None:
        return bool(article_ids([last], f"{where}: row {row}: last_context_article")[0] != article)
    crosses = item.get("crosses_article", False)
    if not isinstance(crosses, (bool, np.bool_, int, np.integer, type(None))):
        raise LvmError(f"{where}: row {row}: crosses_article: {_shown(crosses)} is neither true nor false")
    return bool(crosses)
