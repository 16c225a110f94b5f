"""One exception for everything that the user can put right, and what damaged files raise."""

from __future__ import annotations

import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


class LvmError(Exception):
    """Bad input: the message names the file, the field and the remedy. Shown without a traceback, exit code 1."""

    def __init__(self, message: str) -> None:
        # A message may quote what a file holds: no character of it may steer a terminal.
        super().__init__("\n".join(map(_escaped, message.split("\n"))))


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable(text: object, limit: int = 200) -> str:
    """`text` without control characters and at most `limit` long (then "..."), fit for a message of one line."""
    shown = _escaped(str(text)[: limit + 1])
    return shown if len(shown) <= limit else shown[:limit] + "..."


AGAIN = "copy or download the file again"
"""What to do about damage."""

READ_ERRORS = (
    *(struct.error, zipfile.BadZipFile, zlib.error, lzma.LZMAError, SyntaxError, OSError),
    *(ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError, MemoryError, TypeError),
    *(RuntimeError, ValueError, tokenize.TokenError),  # with NotImplementedError, RecursionError and UnicodeError
)
"""What zipfile, the decompressors and numpy raise at a damaged file."""


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Turn what a damaged or unreadable file raises (`READ_ERRORS`) into an LvmError that names file and array."""
    try:
        yield
    except READ_ERRORS as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        raise LvmError(f"{where}: cannot be read ({printable(reason)}); {AGAIN}") from error


def open_regular_file(
    path: Path, *, remedy: str = AGAIN, missing: str = "check the path and its permissions"
) -> BinaryIO:
    """Open a file for reading; links are followed (DVC's cache may be linked into the workspace).

    An LvmError if it is a folder, a pipe or the like, empty (what to do: `remedy`), not there or not ours to read
    (`missing`).
    """
    try:
        if path.is_dir():
            raise LvmError(f"{path}: is a folder; give the path of a file")
        if path.exists() and not path.is_file():  # opening a pipe would wait for ever
            raise LvmError(f"{path}: is not a regular file; save it as one first")
        if path.stat().st_size == 0:
            raise LvmError(f"{path}: is empty; {remedy}")
        return open(path, "rb")
    except OSError as error:
        raise LvmError(f"{path}: cannot be read ({error.strerror}); {missing}") from error
