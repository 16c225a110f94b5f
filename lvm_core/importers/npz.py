"""Foreign .npz files: each array is checked, and read from where it lies or from an unpacked copy.

A stored member of an .npz lies in it as a whole .npy file and is mapped in place; a compressed one is unpacked to a
folder first, once. Before an array is given out, its checksum has been compared over all of its bytes.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import struct
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

import numpy as np

from lvm_core.importers.arrays import DiskArray
from lvm_core.importers.object_arrays import read_object_array
from lvm_core.importers.pickled_types import array_of_bytes
from lvm_core.runtime.cli import Progress
from lvm_core.runtime.errors import AGAIN, LvmError, open_regular_file, printable, readable
from lvm_core.runtime.files import atomic_path
from lvm_core.runtime.readers import Header, read_header, require_rows_of_numbers

BLOCK_BYTES = 8 * 2**20
"""A member is checked or unpacked in blocks of so many bytes."""

_MEGABYTE = 10**6

_LONGEST_END = 22 + 65_535
"""Bytes of the record at the end of an archive, with the longest comment."""


def open_npz(path: str | Path, unpack_to: Path) -> NpzFile:
    """Open an .npz file."""
    return NpzFile(Path(path), unpack_to)


class NpzFile:
    """An .npz file that is open; a context manager. Arrays it gave out can be read after it is closed.

    Attributes:
        path: the file.
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
        self._arrays: dict[str, DiskArray] = {}

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

    def __enter__(self) -> NpzFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._zip.close()
        self._file.close()

    def header(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        """Shape and dtype of an array, without reading its data."""
        header = self._header(name)
        return header.shape, header.dtype

    def is_object(self, name: str) -> bool:
        """Whether it is an array of Python objects, for `objects`."""
        return self._header(name).dtype.kind == "O"

    def array(self, name: str) -> DiskArray:
        """An array of numbers with rows, once its checksum has been compared over all of its bytes."""
        if name not in self._arrays:
            info, header, where = self._member(name), self._header(name), self._where(name)
            require_rows_of_numbers(header, where)
            if info.compress_type == zipfile.ZIP_STORED:
                self._arrays[name] = DiskArray(self._file, self._check_stored(name) + header.size, header, where)
            else:
                with open_regular_file(self._unpacked(name)) as file:
                    self._arrays[name] = DiskArray(file, header.size, header, where)
        return self._arrays[name]

    def values(self, name: str) -> np.ndarray:
        """A small array of numbers, bools, text, bytes or times, read as a whole, in native byte order (read-only)."""
        header, where = self._header(name), self._where(name)
        if header.dtype.kind == "O":
            raise LvmError(f"{where}: holds Python objects where numbers or text are needed; save it with a plain type")
        with self._open_member(name) as member, readable(where):
            member.read(header.size)
            raw = member.read(header.data_size)
            return array_of_bytes(raw, header.dtype, header.shape, "F" if header.is_fortran else "C")

    def objects(self, name: str) -> list[Any]:
        """The items of an array of Python objects in C order, see `read_object_array`."""
        header, where = self._header(name), self._where(name)
        if header.dtype.kind != "O":
            raise LvmError(f"{where}: holds values of type {header.dtype} where Python objects are needed")
        for _ in self._blocks_of(name, "check"):  # so that damage is not taken for something that is not admitted
            pass
        with self._open_member(name) as member:
            with readable(where):
                member.read(header.size)
            return read_object_array(io.BufferedReader(cast(Any, member), BLOCK_BYTES), header.shape, where)

    def _where(self, name: str) -> str:
        return f"{self.path}: {printable(name)}"

    def _member(self, name: str) -> zipfile.ZipInfo:
        if name not in self._members:
            there = printable(", ".join(self.names)) or "none"
            raise LvmError(f"{self.path}: has no array {printable(name)}; its arrays are: {there}")
        return self._members[name]

    def _open_member(self, name: str) -> IO[bytes]:
        info, where = self._member(name), self._where(name)
        if info.flag_bits & 1:
            raise LvmError(f"{where}: is encrypted; save the file without a password")
        with readable(where):
            try:
                return self._zip.open(info)
            except NotImplementedError as error:
                reason = printable(error)
                raise LvmError(f"{where}: cannot be unpacked ({reason}); save it with np.savez_compressed") from error

    def _header(self, name: str) -> Header:
        if name not in self._headers:
            where = self._where(name)
            with self._open_member(name) as member:
                header = read_header(member, where)
            there = self._member(name).file_size - header.size
            if header.dtype.kind != "O" and there != header.data_size:
                raise LvmError(f"{where}: declares {header.data_size:,} bytes of data but has {there:,}; {AGAIN}")
            self._headers[name] = header
        return self._headers[name]

    def _blocks_of(self, name: str, doing: str) -> Iterator[bytes]:
        """All bytes of a member, .npy header and all; zipfile compares the checksum when it comes to the end."""
        with self._open_member(name) as member:
            yield from _blocks(member, self._member(name).file_size, f"import: {doing} {name}", self._where(name))

    def _check_stored(self, name: str) -> int:
        """Compare the checksum of a stored member; return where its bytes begin in the file."""
        info = self._member(name)
        for _ in self._blocks_of(name, "check"):
            pass
        with readable(self._where(name)):
            self._file.seek(info.header_offset)
            # The local header has name and extra field of its own, the latter often of another length.
            name_size, extra_size = struct.unpack("<26x2H", self._file.read(30))
        return info.header_offset + 30 + name_size + extra_size

    def _unpacked(self, name: str) -> Path:
        """Unpack a compressed member unless an earlier run has done so."""
        info, status = self._member(name), os.fstat(self._file.fileno())
        source = (self.path.resolve(), status.st_size, status.st_mtime_ns, info.filename, info.CRC, info.file_size)
        key = hashlib.sha256(repr(source).encode()).hexdigest()[:16]
        target = self.unpack_to / f"{re.sub(r'[^A-Za-z0-9_-]+', '_', name)[:40]}-{key}.npy"
        if not (target.is_file() and target.stat().st_size == info.file_size):
            with atomic_path(target) as temporary, open(temporary, "wb") as file:
                for block in self._blocks_of(name, "unpack"):
                    file.write(block)
        return target


def _blocks(file: IO[bytes], size: int, label: str, where: str) -> Iterator[bytes]:
    """The next `size` bytes of a file in blocks, with lines of progress."""
    progress = Progress(printable(label), size // _MEGABYTE, "MB")
    left = size
    while left:
        with readable(where):
            block = file.read(min(left, BLOCK_BYTES))
        if not block:
            raise LvmError(f"{where}: ends after {size - left:,} of {size:,} bytes; {AGAIN}")
        left -= len(block)
        progress.update((size - left) // _MEGABYTE - progress.done)
        yield block
    if size >= BLOCK_BYTES:
        progress.close()
