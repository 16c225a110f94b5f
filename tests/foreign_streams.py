"""Pickle streams of object arrays, as numpy writes them and put together by hand."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from lvm_core.importers.pickle_reader import read_object_array
from lvm_core.runtime.errors import LvmError

WHERE = "train.npz: metadata"


def object_array(items: Sequence[Any], shape: tuple[int, ...] | None = None) -> np.ndarray:
    """An array of objects, in which numpy does not look for arrays within them."""
    array = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        array[index] = item
    return array.reshape(len(items) if shape is None else shape)


def read(stream: bytes, shape: tuple[int, ...] = (1,)) -> list[Any]:
    """Read a stream that is all of a file."""
    return read_object_array(io.BytesIO(stream), shape, WHERE)


def refused(stream: bytes, shape: tuple[int, ...] = (1,)) -> str:
    """The message, one line with the place, for a stream that cannot be read."""
    with pytest.raises(LvmError) as caught:
        read(stream, shape)
    message = str(caught.value)
    assert message.startswith(WHERE + ": ")
    assert len(message.splitlines()) == 1
    return message


def text(value: str) -> bytes:
    """Operation that pushes a text."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def named(module: str, name: str) -> bytes:
    """Operation that pushes a global: GLOBAL, the older one."""
    return f"c{module}\n{name}\n".encode()


def stacked(module: str, name: str) -> bytes:
    """Operations that push a global: STACK_GLOBAL, the newer one."""
    return text(module) + text(name) + b"\x93"


def call(function: bytes, argument: bytes) -> bytes:
    """Operations that call a function with one argument."""
    return function + argument + b"\x85R"


DTYPE = (
    named("numpy", "dtype")
    + text("O8")
    + b"\x89\x88\x87R(K\x03"
    + text("|")
    + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb"
)
FLOAT = named("numpy", "dtype") + text("f8") + b"\x89\x88\x87R"
EMPTY = named("numpy._core.multiarray", "_reconstruct") + named("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R"
SCALAR = named("numpy._core.multiarray", "scalar")


def array_of(item: bytes, dtype: bytes = DTYPE, shape: bytes = b"K\x01\x85") -> bytes:
    """Stream of an object array with one item, as np.save writes it but for what is given."""
    return b"\x80\x04" + EMPTY + b"(K\x01" + shape + dtype + b"\x89](" + item + b"etb."
