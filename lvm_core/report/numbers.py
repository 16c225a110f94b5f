"""How numbers and tables are written on the page: a real minus sign, an en dash where undefined."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

UNDEFINED = "–"

MINUS = "−"

MARK = "†"

LEGEND = f"{MARK} sees the whole document, which a text that is being written does not have"
"""Of rows marked so, in tables and pictures."""


def number(value: Any, digits: int = 3, *, sign: bool = False) -> str:
    """A figure with so many digits after the point; an en dash for None, NaN and infinities."""
    if not is_defined(value):
        return UNDEFINED
    text = f"{float(value):{'+' if sign else ''}.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")  # neither -0.000 nor +0.000
    return text.replace("-", MINUS)


def signed(value: Any, digits: int = 3) -> str:
    """A difference, with its sign."""
    return number(value, digits, sign=True)


def count(value: Any) -> str:
    """A whole number with thousands apart."""
    return f"{int(value):,}" if is_defined(value) else UNDEFINED


def bracket(low: Any, high: Any, *, sign: bool = False) -> str:
    """An interval in square brackets; nothing where an end is undefined."""
    if not (is_defined(low) and is_defined(high)):
        return ""
    return f"[{number(low, sign=sign)}, {number(high, sign=sign)}]"


def with_interval(value: Any, low: Any, high: Any, *, sign: bool = False) -> str:
    """A figure and its interval."""
    return f"{number(value, sign=sign)} {bracket(low, high, sign=sign)}".rstrip()


def marks(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The mark behind each row's name, by name: of those that see the whole document; empty for the others."""
    return {str(row["name"]): f" {MARK}" if row["sees"] == "document" else "" for row in rows}


def is_defined(value: Any) -> TypeGuard[float]:
    """Whether a figure is a finite number."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def with_minus(text: str) -> str:
    """A sentence with the hyphens before numbers made minus signs."""
    return re.sub(r"(?<![\w.-])-(?=\d)", MINUS, text)


@dataclass(frozen=True)
class Cell:
    """One cell: the figure, its interval (or nothing), whether it is the best of its column."""

    text: str
    interval: str = ""
    best: bool = False


@dataclass(frozen=True)
class Line:
    """One line of a table: its name, its kind (`recipe` or `reference`), its status word or None, its cells."""

    name: str
    kind: str
    status: str | None
    cells: list[Cell]


@dataclass(frozen=True)
class Table:
    """A table with a caption, column titles (the first is the names') and lines."""

    caption: str
    columns: list[str]
    lines: list[Line]
