"""Files of text to text: what they are compressed with and how they are encoded."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from lvm_core.corpus import Reading
from lvm_core.runtime.errors import AGAIN, LvmError, printable
from lvm_core.runtime.folders import refuse_pointer
from lvm_core.runtime.readers import GROWTH, SLACK

LONGEST = 2**30
"""Bytes of a text, or of a line of json."""

_MARKS = (
    *((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32")),
    *((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")),  # after UTF-32, whose mark begins like it
)


def _open_zst(raw: IO[bytes]) -> IO[bytes]:
    import pyarrow as pa

    return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd"))


OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".zst": _open_zst}
"""What opens a compressed file, by the last suffix of its name; files of several streams are read to their end."""


def read_text(path: Path) -> str:
    """The text of a file as `clean_text` leaves it: UTF-8, or what its byte order mark says."""
    with _opened(path) as (_, file, most):
        content = file.read(most + 1)
        _require_modest(path, "its text", len(content), most)
        text = content.decode(_encoding(content))
    _refuse_foreign(text, f"{path}")
    return clean_text(text)


def read_lines(path: Path, reading: Reading) -> Iterator[tuple[int, str]]:
    """The lines of a file by number from 1, one at a time, without blank ones; its bytes are counted as they are read.

    Only ends of lines of Unix, Windows and old Macs divide: U+2028 and the like may stand in a text.
    """
    start, number, where = reading.done, 0, f"{path}"
    with _opened(path) as (raw, file, most):
        encoding = _encoding(file.peek(4)[:4])
        wide = not encoding.startswith("utf-8")
        if wide:
            file = io.TextIOWrapper(file, encoding, newline="\n")
        while line := file.readline(most + 1):
            _require_modest(path, "a line", len(line), most)
            # of a UTF-8 file a line at a time, so that an error can name the line
            text = line if wide else _decode_line(line, f"{path}:{number + 1}", encoding)
            reading.done = start + raw.tell()
            for part in text.removesuffix("\n").removesuffix("\r").split("\r"):
                number += 1
                where = f"{path}:{number}"
                _refuse_foreign(part, where)
                if part.strip("\ufeff \t"):
                    yield number, part


def clean_text(text: str) -> str:
    """Without U+FEFF, which is a byte order mark left over where files were joined; ends of lines as in Unix."""
    return text.replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n")


def check_characters(text: str, what: str) -> None:
    """Refuse half characters (lone surrogates), which json and file names can hold and UTF-8 cannot."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise LvmError(f"{what} holds a half character (a lone surrogate); correct it") from None


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], Any, int]]:
    """The file itself, what reads it decompressed, and the most bytes that a text of it may have."""
    if path.exists() and not path.is_file():
        raise LvmError(f"{path}: is not a regular file; take it away")  # reading a pipe or a device might never end
    suffix = path.suffix.lower()
    try:
        with open(path, "rb") as raw:
            refuse_pointer(raw.read(64), path)
            raw.seek(0)
            most = min(LONGEST, SLACK + GROWTH * path.stat().st_size)
            if suffix not in OPENERS:
                yield raw, raw, most
                return
            with OPENERS[suffix](raw) as file:
                yield raw, file, most
    except UnicodeDecodeError as error:
        coding = error.encoding.upper()
        raise LvmError(f"{path}: byte {error.start} is not {coding}; save the file as UTF-8 or take it away") from error
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise LvmError(f"{path}: cannot be read ({error.strerror}); make it readable or take it away") from error
        remedy = "decompress it first (`zstd -d --long=31`)" if "too much memory" in str(error) else AGAIN
        raise LvmError(f"{path}: is not a whole {suffix} file ({printable(error)}); {remedy}") from error


def _encoding(head: bytes) -> str:
    return next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")


def _decode_line(line: bytes, where: str, encoding: str) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LvmError(
            f"{where}: byte {error.start} of the line is not UTF-8; save the file as UTF-8 or take it away"
        ) from error


def _require_modest(path: Path, what: str, size: int, most: int) -> None:
    if size > most:
        raise LvmError(f"{path}: {what} has more than {most:,} bytes, too many for its file or for one text; divide it")


def _refuse_foreign(text: str, where: str) -> None:
    """Refuse what is valid UTF-8 and is another encoding all the same."""
    if "\0" in text:
        raise LvmError(f"{where}: holds NUL characters, as UTF-16 without a byte order mark does; save it as UTF-8")
    if "\x1b$" in text:
        raise LvmError(f"{where}: holds the escapes of ISO-2022 (Japanese, Korean or Chinese mail); save it as UTF-8")
