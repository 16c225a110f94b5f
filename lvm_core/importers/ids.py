"""What is known of the rows of foreign vectors: ids of articles, positions in them, texts and titles."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from lvm_core.importers.arrays import Values
from lvm_core.runtime.errors import AGAIN, LvmError, printable
from lvm_core.runtime.readers import GROWTH, SLACK
from lvm_core.runtime.tables import as_label

LONGEST = 1000
"""Characters of an id."""

LARGEST = int(np.iinfo(np.int64).max)


def indices(values: Values, where: str) -> np.ndarray:
    """[N] int64 of whole numbers from 0 to 2**63 - 1; of any type, as long as it holds them exactly."""
    if not isinstance(values, np.ndarray) or values.dtype.kind == "O":
        return np.array([_whole(value, where, row) for row, value in enumerate(values)], dtype=np.int64)
    if values.dtype.kind not in "iuf":
        raise LvmError(f"{where}: holds {values.dtype}, need whole numbers (int64)")
    # NaN compares false
    good = (values >= 0) & (values <= _largest(values.dtype.type))
    good &= np.floor(values) == values if values.dtype.kind == "f" else True
    if not good.all():
        row = int(good.argmin())
        _whole(values[row], where, row)
    return values.astype(np.int64)


def _largest(kind: type) -> int:
    """The largest whole number of a type to which every smaller one is exact."""
    return 2 ** (np.finfo(kind).nmant + 1) if issubclass(kind, (float, np.floating)) else LARGEST


def _whole(value: Any, where: str, row: int) -> int:
    """The index or id that a value of any type is."""
    kind, largest = type(value).__name__, _largest(type(value))
    value = value.item() if isinstance(value, (np.integer, np.floating)) else value
    at = f"{where}: row {row}: {shown_value(value)}"
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if isinstance(value, (float, Decimal)):  # whole numbers that a join or a database has converted
        is_whole = math.isfinite(value) and value == math.floor(value)
    if not is_whole:
        raise LvmError(f"{at} is not a whole number")
    if value < 0:
        raise LvmError(f"{at} is negative; positions and ids count from 0")
    if value > LARGEST:
        raise LvmError(f"{at} exceeds the largest int64; renumber the ids")
    if value > largest:
        raise LvmError(f"{at} may have been rounded, as {kind} is exact to {largest:,}; save int64")
    return int(value)


def shown_value(value: Any) -> str:
    """A value of a foreign file for a message: short, printable, whatever it is."""
    if isinstance(value, int) and abs(value) > 10**40:
        return f"a number of {value.bit_length()} bits"  # Python refuses to write out very long ones
    if isinstance(value, (dict, list, tuple, np.ndarray)):
        return f"a {type(value).__name__}"
    return printable(repr(value), 60)


def article_ids(values: Values, where: str) -> np.ndarray:
    """[N] object array of str: whole numbers (written without leading zeros), texts (as they are) or UUIDs."""
    if isinstance(values, np.ndarray) and values.dtype.kind not in "USO":
        is_hash = values.dtype.kind == "u"  # all 64 bits of it
        return _objects(map(str, values.tolist() if is_hash else indices(values, where).tolist()), len(values))
    items = values.tolist() if isinstance(values, np.ndarray) else values
    return _objects((_article_id(value, where, row) for row, value in enumerate(items)), len(items))


def _objects(values: Iterable[str], count: int) -> np.ndarray:
    return np.fromiter(values, dtype=object, count=count)


def _article_id(value: Any, where: str, row: int) -> str:
    if isinstance(value, UUID):
        return str(value)
    value = _decoded(value, where, row)
    if not isinstance(value, str):
        return str(_whole(value, where, row))
    too_long = f"is longer than {LONGEST} characters"
    problem = "is empty" if not value.strip() else too_long if len(value) > LONGEST else "has a NUL"
    if not value.strip() or len(value) > LONGEST or "\0" in value:
        raise LvmError(f"{where}: row {row}: the id {problem}; give the article a short name or number")
    if re.fullmatch(r"-[0-9]+", value.strip()):  # what stands for "none" in many tables
        raise LvmError(f"{where}: row {row}: {value.strip()} is negative; positions and ids count from 0")
    return str(value)


def _decoded(value: Any, where: str, row: int) -> Any:
    """The text that bytes are; any other value as it is."""
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:  # replacing what cannot be read might make two ids one
        raise LvmError(f"{where}: row {row}: {shown_value(value)} is not UTF-8; save it as text") from None


def texts(values: Values, where: str, most: int) -> list[str]:
    """Texts of chunks, of at most so many characters in all (`most_text`); None becomes the empty text."""
    cleaned, total = [], 0
    for row, item in enumerate(values):
        value = _decoded(item, where, row)
        if not _is_missing(value) and not isinstance(value, str):
            raise LvmError(f"{where}: row {row}: {shown_value(value)} is not a text")
        cleaned.append("" if _is_missing(value) else str(value))
        total += len(cleaned[-1])
        if total > most:
            raise LvmError(f"{where}: a small file holds more text than memory may take; {AGAIN}")
    return cleaned


def most_text(path: Path) -> int:
    """Characters that the texts of a file may have: a few bytes of it can repeat a long one a million times."""
    return SLACK + GROWTH * path.stat().st_size


def titles(values: Values, where: str) -> list[str]:
    """Titles, numbers among them; None becomes the empty text."""
    remedy = "correct it, or name another as data.title_column"
    items = (value.item() if isinstance(value, np.generic) else value for value in values)
    labels = (as_label(value, f"{where}: row {row}", remedy) for row, value in enumerate(items))
    return [(text or "")[:LONGEST] for text in labels]


def _is_missing(value: Any) -> bool:
    """Is this what stands for no value? pandas writes NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))
