"""Arrays of foreign files that may be larger than memory: mapped in place, blocks of rows are read on demand."""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lvm_core.damage import AGAIN, open_regular_file, readable
from lvm_core.errors import LvmError
from lvm_core.npy_header import Header, read_header, require_rows_of_numbers

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
        """Map the array whose data begin at `offset` of an open file, which may be closed afterwards.

        Raises:
            LvmError: the file ends before the array does, or cannot be mapped.
        """
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
    """Map the array of an .npy file.

    Raises:
        LvmError: the file cannot be read, is damaged or truncated, or holds something else than rows of numbers.
    """
    path = Path(path)
    with open_regular_file(path) as file:
        header = read_header(file, str(path))
        require_rows_of_numbers(header, str(path))
        there = os.fstat(file.fileno()).st_size - header.size
        if there != header.data_size:
            raise LvmError(f"{path}: declares {header.data_size:,} bytes of data but has {there:,}; {AGAIN}")
        return DiskArray(file, header.size, header, str(path))
