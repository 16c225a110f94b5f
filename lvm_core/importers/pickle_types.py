"""What a pickled array may hold: the few types that are read, made without running any code of the file."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import numpy as np

from lvm_core.runtime.errors import printable


def array_of_bytes(raw: bytes, dtype: np.dtype, shape: tuple[int, ...], order: str = "C") -> np.ndarray:
    """The array of a simple dtype whose bytes are `raw`, in native byte order; it may share memory with `raw`."""
    if dtype.itemsize == 0 or math.prod(shape) * dtype.itemsize != len(raw):
        raise ValueError(f"{len(raw):,} bytes do not make an array of shape {shape} and type {dtype}")
    if dtype.kind == "U":  # numpy would notice later, when an element is used
        codes = np.frombuffer(raw, np.dtype(np.uint32).newbyteorder(dtype.byteorder))
        if codes.max(initial=0) > 0x10FFFF or ((codes >= 0xD800) & (codes < 0xE000)).any():
            raise ValueError("text that is not valid Unicode")
    # A bool made of any other byte than 0 and 1 would equal neither True nor False.
    flat = np.frombuffer(raw, np.uint8) != 0 if dtype.kind == "b" else np.frombuffer(raw, dtype)
    return flat.astype(dtype.newbyteorder("="), copy=False).reshape(shape, order="F" if order == "F" else "C")


_SIZES = {"b": ["1"], "i": [*"1248"], "u": [*"1248"], "f": [*"248"], "c": ["8", "16"], "M": ["8"], "m": ["8"]}

_TIME_UNITS = frozenset(["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as", "generic"])


class Refused(Exception):
    """The stream asks for something that is not admitted; the text is the predicate of a sentence that says what."""


class PickledDtype:
    """Stands for a dtype: `code` has kind and size as numpy names them, `plain` is the real one, None for objects."""

    __slots__ = ("code", "plain")

    def __init__(self, code: str, align: object = False, copy: object = False) -> None:
        found = re.fullmatch(r"([biufcMmSU])([0-9]{1,9})|O[48]?", code)
        if not found or (found[1] in _SIZES and found[2] not in _SIZES[found[1]]):
            raise Refused(f"has an array of type {printable(code)}")
        self.code = code
        self.plain = np.dtype("<" + code) if found[1] else None

    def set_state(self, state: Any) -> None:
        """Take (version, byte order, subarray, names, fields, size, alignment, flags[, (None, time unit)])."""
        if type(state) is not tuple or len(state) not in (8, 9) or state[1] not in ("<", ">", "|", "="):
            raise ValueError("a dtype with a state that numpy does not write")
        if any(part is not None for part in state[2:5]):
            raise Refused("has an array with fields (a structured dtype)")
        if self.plain is None:
            return
        if state[5] not in (-1, self.plain.itemsize):
            raise ValueError("a dtype whose size contradicts its name")
        unit = ""
        if len(state) == 9 and self.plain.kind in "Mm":
            _, (name, count, _, _) = state[8]
            name = name.decode("ascii") if type(name) is bytes else name
            if name not in _TIME_UNITS or type(count) is not int or not 0 < count < 2**31:
                raise ValueError("a dtype with a time unit that numpy does not have")
            unit = "" if name == "generic" else f"[{count}{name}]"
        self.plain = np.dtype(state[1] + self.code + unit)


class PickledArray:
    """Stands for an array. Its state is an `array` of a simple dtype, or `items`, objects in C order."""

    __slots__ = ("array", "items", "shape")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = ()
        self.array: np.ndarray | None = None
        self.items: list[Any] | None = None

    def set_state(self, state: Any) -> None:
        """Take (version, shape, dtype, Fortran order, bytes or list); a list is in C order whatever the flag says."""
        _, shape, dtype, is_fortran, contents = state
        self.fill(contents, dtype, shape, "F" if is_fortran is True else "C")

    def fill(self, contents: Any, dtype: Any, shape: Any, order: str) -> None:
        """Check everything and keep it."""
        if type(shape) is not tuple or len(shape) > 32 or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError("an array whose shape is none")
        if type(dtype) is not PickledDtype or self.array is not None or self.items is not None:
            raise ValueError("an array with a state that numpy does not write")
        if dtype.plain is not None and type(contents) is bytes:
            self.array = array_of_bytes(contents, dtype.plain, shape, order)
        elif dtype.plain is None and type(contents) is list and len(contents) == math.prod(shape):
            self.items = contents
        else:
            raise ValueError("an array whose contents do not fit its shape and type")
        self.shape = shape


class PickledUuid:
    """Stands for a uuid.UUID: `number` is its 128 bits."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number: int | None = None

    def set_state(self, state: Any) -> None:
        """Take a dict with `int`, and perhaps `is_safe`, which is not kept."""
        is_known = type(state) is dict and state.keys() <= {"int", "is_safe"}
        number = state.get("int") if is_known else None
        if type(number) is not int or not 0 <= number < 2**128 or self.number is not None:
            raise ValueError("a UUID with a state that Python does not write")
        self.number = number


class Global(NamedTuple):
    """What the stream gets for the dotted name of a class or function: `make`, which only the reader can call."""

    name: str
    make: Callable[..., Any]


def _reconstruct(kind: Any, *_: Any) -> PickledArray:
    if kind is not _NDARRAY:
        raise ValueError("an array of another class than numpy.ndarray")
    return PickledArray()


def _from_buffer(contents: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> PickledArray:
    array = PickledArray()
    array.fill(contents, dtype, shape, "F" if order == "F" else "C")
    if axes is not None and array.array is not None:
        if type(axes) is not tuple or not all(type(axis) is int for axis in axes):
            raise ValueError("an array whose axes are none")
        array.array = array.array.transpose(axes)
    return array


def _scalar(dtype: Any, raw: Any) -> np.generic:
    plain = dtype.plain if type(dtype) is PickledDtype else None
    if plain is None or type(raw) is not bytes or len(raw) != plain.itemsize:
        raise ValueError("a number whose bytes do not fit its type")
    if plain.kind in "iuf":
        return np.frombuffer(raw, plain)[0]
    return array_of_bytes(raw, plain, (1,))[0] if raw else plain.type()


def _encode(text: Any, encoding: Any) -> bytes:
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes in another encoding than latin1")
    return text.encode("latin1")


def _complex(real: Any, imaginary: Any) -> complex:
    if type(real) is not float or type(imaginary) is not float:
        raise ValueError("a complex number that is not made of two floats")
    return complex(real, imaginary)


def _not_callable(*_: Any) -> NoReturn:
    raise ValueError("a call of numpy.ndarray or uuid.UUID, which nobody writes")


_NDARRAY = Global("numpy.ndarray", _not_callable)

UUID_CLASS = Global("uuid.UUID", _not_callable)

ADMITTED: dict[str, Global] = {
    "numpy.ndarray": _NDARRAY,
    "uuid.UUID": UUID_CLASS,
    **{
        name: Global(name, make)
        for names, make in (
            (["numpy.dtype"], PickledDtype),
            (["numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"], _reconstruct),
            (["numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"], _scalar),
            (["numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"], _from_buffer),
            (["_codecs.encode"], _encode),  # bytes before protocol 3, empty ones by the next
            (["builtins.bytes", "__builtin__.bytes"], lambda: b""),
            (["builtins.complex", "__builtin__.complex"], _complex),
        )
        for name in names
    },
}
"""All that a stream may name, by the dotted name."""
