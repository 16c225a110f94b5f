"""Arrays in foreign .npy and .npz files, read in blocks from where they lie.

A stored member of an .npz lies in it as a whole .npy file and is mapped in place; a compressed one is unpacked to a
folder first, once. Before an array is given out, its checksum has been compared over all of its bytes.
"""

from __future__ import annotations

import hashlib
import io
import math
import mmap
import os
import re
import struct
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import numpy as np

from lvm_core.importers.pickle_reader import read_object_array
from lvm_core.importers.pickle_types import array_of_bytes
from lvm_core.runtime.cli import Progress
from lvm_core.runtime.errors import AGAIN, LvmError, open_regular_file, printable, readable
from lvm_core.runtime.files import atomic_path
from lvm_core.runtime.readers import Header, read_header, require_rows_of_numbers

RELEASE_BYTES = 64 * 2**20
"""Read pages are given back to the system after so many bytes."""

FAULT_BYTES = 2 * 2**20
"""What the kernel may map around an address that is read for the first time (measured on Linux 6.18)."""

BLOCK_BYTES = 8 * 2**20
"""A member of an .npz is checked or unpacked in blocks of so many bytes."""

_MEGABYTE = 10**6

_LONGEST_END = 22 + 65_535
"""Bytes of the record at the end of a zip archive, with the longest comment."""

Values = np.ndarray | Sequence[Any]
"""A small member's values: an array, or the items of an object array."""


class DiskArray:
    """Array of numbers in a file, read in blocks of rows; what has been read does not stay in memory.

    Attributes:
        where: file and array, for messages.
        shape: [N, ...].
        dtype: of what is read, in native byte order.
        documents: [rows of a table] int64, where in the array the first vector of each is; None of other files.
    """

    def __init__(self, file: BinaryIO, offset: int, header: Header, where: str) -> None:
        """Map the array whose data begin at `offset` of an open file, which may be closed afterwards."""
        self.where, self.shape, self.dtype = where, header.shape, header.dtype.newbyteorder("=")
        self.documents: np.ndarray | None = None
        self._is_fortran, self._touched = header.is_fortran and len(header.shape) > 1, 0
        order: Any = "F" if self._is_fortran else "C"
        with readable(where):
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._data: np.ndarray = np.ndarray(header.shape, header.dtype, self._map, offset, order=order)

    def __len__(self) -> int:
        return self.shape[0]

    def place(self, row: int) -> str:
        """Where the file has a row of the array, for messages."""
        if self.documents is None:
            return f"row {row}"
        document = int(np.searchsorted(self.documents, row, side="right")) - 1
        return f"row {document}, sentence {row - self.documents[document]}"

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Copy of the rows `start:stop` (as a slice), [rows, ...]."""
        return self._copy((slice(start, stop),))

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Copy of rows of the last axis, numbered through the others ([W, K, D] as [W * K, D]): [len(indices), D]."""
        return self._copy(np.unravel_index(np.asarray(indices, dtype=np.int64), self.shape[:-1]))

    def _copy(self, index: tuple[Any, ...]) -> np.ndarray:
        """Copy of what lies at `index` of the first axes, in pieces between which the pages read are given back."""
        first, size = index[0], self.dtype.itemsize
        at_random = not isinstance(first, slice)
        count = len(first) if at_random else len(range(*first.indices(len(self))))
        result = np.empty((count, *self.shape[len(index) :]), dtype=self.dtype)
        if self._is_fortran:  # the file has whole columns, the last axis varying slowest
            target, columns = result.T, math.prod(result.shape[1:-1])
            whole = self._data.nbytes // max(self.shape[-1], 1)
            each = min(whole, count * columns * (FAULT_BYTES if at_random else size)) + columns * FAULT_BYTES
        else:
            target, each = result, math.prod(result.shape[1:]) * size + at_random * FAULT_BYTES

        def read(piece: slice) -> np.ndarray:
            if self._is_fortran:
                return self._data.T[(piece, ..., *index[::-1])]
            return self._data[tuple(part[piece] for part in index)] if at_random else self._data[first][piece]

        step = max(1, RELEASE_BYTES // max(each, 1)) if self._data.nbytes > RELEASE_BYTES else max(1, len(target))
        for start in range(0, len(target), step):
            piece = slice(start, min(start + step, len(target)))
            target[piece] = read(piece)
            self._touched += each * (piece.stop - piece.start)
            if self._touched > RELEASE_BYTES and hasattr(self._map, "madvise"):
                self._map.madvise(mmap.MADV_DONTNEED)  # else the pages count as ours until memory runs out
                self._touched = 0
        return result


def open_npy(path: Path) -> DiskArray:
    """Map the array of an .npy file."""
    with open_regular_file(path) as file:
        header = read_header(file, str(path))
        require_rows_of_numbers(header, str(path))
        there = os.fstat(file.fileno()).st_size - header.size
        if there != header.data_size:
            raise LvmError(f"{path}: declares {header.data_size:,} bytes of data but has {there:,}; {AGAIN}")
        return DiskArray(file, header.size, header, str(path))


class NpzFile:
    """An .npz file that is open. Arrays it gave out can be read after it is closed.

    Attributes:
        names: of its arrays, in the order of the file, without `.npy`.
    """

    def __init__(self, path: Path, unpack_to: Path) -> None:
        self.path, self.unpack_to = path, unpack_to
        self._file = open_regular_file(path)
        try:
            with readable(str(path)):
                self._zip = zipfile.ZipFile(self._file)
                self._check_directory()
            arrays = [info for info in self._zip.infolist() if info.filename.endswith(".npy")]
            self._members = {info.filename.removesuffix(".npy"): info for info in arrays}
            self.names = list(self._members)
            if len(self.names) < len(arrays):
                raise LvmError(f"{path}: has two arrays of one name; save it again with np.savez")
        except LvmError:
            self._file.close()
            raise
        self._headers: dict[str, Header] = {}

    def _check_directory(self) -> None:
        """Make sure that the table of contents, which has no checksum, names all members and as they call themselves.

        Otherwise damage to it would make members look as if they were not there, and ids may be left out.
        """
        infos = self._zip.infolist()
        size = os.fstat(self._file.fileno()).st_size
        self._file.seek(max(size - _LONGEST_END, 0))
        end = self._file.read()
        (declared,) = struct.unpack_from("<H", end, end.rindex(b"PK\x05\x06") + 10)
        if declared not in (len(infos), 0xFFFF):  # all ones: the number is in a record of zip64
            raise zipfile.BadZipFile(f"its table of contents names {len(infos)} members, its end {declared}")
        for info in infos:
            name = printable(info.filename.removesuffix(".npy"))
            # A kind that cannot be read matters only if it is needed.
            with readable(f"{self.path}: {name}"), suppress(NotImplementedError, RuntimeError):
                self._zip.open(info).close()  # compares the names

    def close(self) -> None:
        """Close the file."""
        self._zip.close()
        self._file.close()

    def header(self, name: str) -> Header:
        """Shape and type of an array, without reading its data."""
        if name not in self._headers:
            where = self._where(name)
            with self._open_member(name) as member:
                header = read_header(member, where)
            there = self._members[name].file_size - header.size
            if header.dtype.kind != "O" and there != header.data_size:
                raise LvmError(f"{where}: declares {header.data_size:,} bytes of data but has {there:,}; {AGAIN}")
            self._headers[name] = header
        return self._headers[name]

    def array(self, name: str) -> DiskArray:
        """An array of numbers with rows, once its checksum has been compared over all of its bytes."""
        header, where = self.header(name), self._where(name)
        require_rows_of_numbers(header, where)
        if self._members[name].compress_type == zipfile.ZIP_STORED:
            return DiskArray(self._file, self._check_stored(name) + header.size, header, where)
        with open_regular_file(self._unpacked(name)) as file:
            return DiskArray(file, header.size, header, where)

    def values(self, name: str) -> Values:
        """A small array, read as a whole: in native byte order and read-only, or the items of an array of objects."""
        header, where = self.header(name), self._where(name)
        if header.dtype.kind == "O":
            for _ in self._blocks(name, "check"):  # so that damage is not taken for something that is not admitted
                pass
        with self._open_member(name) as member:
            with readable(where):
                member.read(header.size)
            if header.dtype.kind == "O":
                return read_object_array(io.BufferedReader(cast(Any, member), BLOCK_BYTES), header.shape, where)
            with readable(where):
                raw = member.read(header.data_size)
                return array_of_bytes(raw, header.dtype, header.shape, "F" if header.is_fortran else "C")

    def _where(self, name: str) -> str:
        return f"{self.path}: {printable(name)}"

    def _open_member(self, name: str) -> IO[bytes]:
        info, where = self._members[name], self._where(name)
        if info.flag_bits & 1:
            raise LvmError(f"{where}: is encrypted; save the file without a password")
        with readable(where):
            try:
                return self._zip.open(info)
            except NotImplementedError as error:
                reason = printable(error)
                raise LvmError(f"{where}: cannot be unpacked ({reason}); save it with np.savez_compressed") from error

    def _blocks(self, name: str, doing: str) -> Iterator[bytes]:
        """All bytes of a member, .npy header and all; zipfile compares the checksum when it comes to the end."""
        where, size = self._where(name), self._members[name].file_size
        progress = Progress(printable(f"import: {doing} {name}"), size // _MEGABYTE, "MB")
        left = size
        with self._open_member(name) as member:
            while left:
                with readable(where):
                    block = member.read(min(left, BLOCK_BYTES))
                if not block:
                    raise LvmError(f"{where}: ends after {size - left:,} of {size:,} bytes; {AGAIN}")
                left -= len(block)
                progress.update((size - left) // _MEGABYTE - progress.done)
                yield block
        if size >= BLOCK_BYTES:
            progress.close()

    def _check_stored(self, name: str) -> int:
        """Compare the checksum of a stored member; return where its bytes begin in the file."""
        for _ in self._blocks(name, "check"):
            pass
        offset = self._members[name].header_offset
        with readable(self._where(name)):
            self._file.seek(offset)
            # The local header has name and extra field of its own, the latter often of another length.
            name_size, extra_size = struct.unpack("<26x2H", self._file.read(30))
        return offset + 30 + name_size + extra_size

    def _unpacked(self, name: str) -> Path:
        """Unpack a compressed member unless an earlier run has done so."""
        info, status = self._members[name], os.fstat(self._file.fileno())
        source = (self.path.resolve(), status.st_size, status.st_mtime_ns, info.filename, info.CRC, info.file_size)
        key = hashlib.sha256(repr(source).encode()).hexdigest()[:16]
        target = self.unpack_to / f"{re.sub(r'[^A-Za-z0-9_-]+', '_', name)[:40]}-{key}.npy"
        if not (target.is_file() and target.stat().st_size == info.file_size):
            with atomic_path(target) as temporary, open(temporary, "wb") as file:
                for block in self._blocks(name, "unpack"):
                    file.write(block)
        return target
