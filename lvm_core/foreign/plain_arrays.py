"""Arrays of simple dtype, made of bytes that a foreign file holds."""

from __future__ import annotations

import math

import numpy as np


def array_of_bytes(raw: bytes, dtype: np.dtype, shape: tuple[int, ...], order: str = "C") -> np.ndarray:
    """The array of a simple dtype whose bytes are `raw`, in native byte order; it may share memory with `raw`.

    Args:
        raw: all bytes of the array.
        dtype: of kind b, i, u, f, c, S, U, M or m.
        shape: non-negative sizes.
        order: "C" or "F", how `raw` is laid out.

    Raises:
        ValueError: the number of bytes does not fit, or text is not valid Unicode.
    """
    if dtype.itemsize == 0 or math.prod(shape) * dtype.itemsize != len(raw):
        raise ValueError(f"{len(raw):,} bytes do not make an array of shape {shape} and type {dtype}")
    if dtype.kind == "U":  # numpy would notice later, when an element is used
        codes = np.frombuffer(raw, np.dtype(np.uint32).newbyteorder(dtype.byteorder))
        if codes.max(initial=0) > 0x10FFFF or ((codes >= 0xD800) & (codes < 0xE000)).any():
            raise ValueError("text that is not valid Unicode")
    # A bool made of any other byte than 0 and 1 would equal neither True nor False.
    flat = np.frombuffer(raw, np.uint8) != 0 if dtype.kind == "b" else np.frombuffer(raw, dtype)
    return flat.astype(dtype.newbyteorder("="), copy=False).reshape(shape, order="F" if order == "F" else "C")
