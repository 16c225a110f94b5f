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
    """Bad input: the message names the file, the field and the remedy. Shown without a traceback, exit code 1.

    Args:
        message: may quote what a file holds: characters that do not print, or that steer a terminal, are escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in message))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


AGAIN = "copy or download the file again"
"""What to do about damage."""

READ_ERRORS = (
    *(struct.error, zipfile.BadZipFile, zlib.error, lzma.LZMAError, SyntaxError, OSError),
    *(ArithmeticError, AssertionError, AttributeError, EOFError, ImportError, LookupError, MemoryError, TypeError),
    *(RuntimeError, ValueError, tokenize.TokenError),  # with NotImplementedError, RecursionError and UnicodeError
)
"""What zipfile, the decompressors and numpy raise at a damaged file."""


def printable(text: object, limit: int = 200) -> str:
    """`text` without control characters and at most `limit` long (then "..."), fit for a message of one line."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text)[: limit + 1])
    return shown if len(shown) <= limit else shown[:limit] + "..."


@contextmanager
def readable(where: str, remedy: str = AGAIN) -> Iterator[None]:
    """Turn what a damaged or unreadable file raises into an LvmError.

    Args:
        where: file and, if it has several, array, for the message.
        remedy: what to do about it.

    Raises:
        LvmError: in place of each of `READ_ERRORS`.
    """
    try:
        yield
    except READ_ERRORS as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        raise LvmError(f"{where}: cannot be read ({printable(reason)}); {remedy}") from error


def open_regular_file(
    path: Path, *, remedy: str = AGAIN, missing: str = "check the path and its permissions"
) -> BinaryIO:
    """Open a file for reading; say plainly what is wrong if there is none.

    Args:
        path: of the file; links are followed (DVC's cache may be linked into the workspace).
        remedy: what to do about an empty file.
        missing: what to do about one that is not there or not ours to read.

    Raises:
        LvmError: it is missing, a folder, a pipe or the like, empty, or not ours to read.
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
