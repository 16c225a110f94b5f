"""The header of an .npy array: read, and checked for what no array of numbers, text or objects can declare."""

from __future__ import annotations

import io
import math
import warnings
from typing import IO, NamedTuple

import numpy as np

from lvm_core.damage import AGAIN, READ_ERRORS, printable, readable
from lvm_core.errors import LvmError

_NUMBERS, _OTHER_PLAIN = "iufc", "bSUMm"
_LONGEST_HEADER = 10 + 65_536
"""numpy refuses headers of more than 10,000 characters anyway."""


class Header(NamedTuple):
    """Header of an .npy file.

    Attributes:
        shape: sizes, non-negative.
        dtype: as in the file, with its byte order.
        is_fortran: the first axis varies fastest.
        size: bytes of the header itself.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    is_fortran: bool
    size: int

    @property
    def data_size(self) -> int:
        """Bytes that must follow the header (without meaning for objects)."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(file: IO[bytes], where: str, remedy: str = AGAIN) -> Header:
    """Read and check the header at the position of `file`; this may read ahead of it.

    Args:
        file: positioned where the array begins.
        where: file and array, for messages.
        remedy: what to do about damage.

    Raises:
        LvmError: it is no .npy header, or declares a structured dtype or an impossible shape.
    """
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
    if dtype.kind != "O" and (dtype.kind not in _NUMBERS + _OTHER_PLAIN or dtype.itemsize == 0):
        raise LvmError(
            f"{where}: has the type {printable(dtype)}; save each field as an array of plain numbers or text"
        )
    if len(shape) > 32 or any(type(n) is not int or n < 0 for n in shape):
        raise LvmError(f"{where}: its header declares the shape {printable(shape)}; {remedy}")
    # numpy multiplies the sizes that are not zero.
    if math.prod(max(n, 1) for n in shape) * dtype.itemsize >= 2**63:
        raise LvmError(f"{where}: its header declares the shape {printable(shape)}; {remedy}")
    return Header(shape, dtype, is_fortran, head.tell())


def require_rows_of_numbers(header: Header, where: str) -> None:
    """Let pass only what can be read as rows of numbers.

    Args:
        header: of the array.
        where: file and array, for messages.

    Raises:
        LvmError: it declares objects, text or another type that is no number, or a single value.
    """
    if header.dtype.kind not in _NUMBERS:
        kind = "Python objects" if header.dtype.kind == "O" else f"values of type {header.dtype}"
        raise LvmError(f"{where}: holds {kind} where numbers are needed; save it as float32 or float16")
    if not header.shape:
        raise LvmError(f"{where}: is a single number where an array with rows is needed; save it with its rows")
