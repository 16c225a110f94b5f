"""Ids out of foreign files: whole numbers and names, checked value by value; what windows' metadata say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lvm_core.errors import LvmError

LARGEST = int(np.iinfo(np.int64).max)

ARTICLE_KEYS = ("article_index", "article_id")
TARGET_KEYS = ("target_chunk_index", "target_idx")

Values = np.ndarray | Sequence[Any]
"""A member's values: an array, or the items of an object array."""


@dataclass(frozen=True)
class WindowIds:
    """What is known of the windows of a file.

    Attributes:
        article: [W] str, id of the article of the target.
        target_index: [W] int64 >= 0, position of the target in it.
        starts_foreign: [W] bool: the last context chunk is said to be of another article.
    """

    article: np.ndarray
    target_index: np.ndarray
    starts_foreign: np.ndarray


def indices(values: Values, where: str) -> np.ndarray:
    """[N] int64 of whole numbers from 0 to 2**63 - 1.

    Raises:
        LvmError: a value is none (names the row).
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
        bad = np.flatnonzero(values < 0) if values.dtype.kind == "i" else np.flatnonzero(values > LARGEST)
        if len(bad):
            _check_index(values[bad[0]].item(), where, int(bad[0]))
        return values.astype(np.int64)
    if isinstance(values, np.ndarray):
        raise LvmError(f"{where}: holds {values.dtype}, need whole numbers (int64)")
    for row, value in enumerate(values):
        _check_index(value, where, row)
    return np.array([int(value) for value in values], dtype=np.int64)


def _check_index(value: Any, where: str, row: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise LvmError(f"{where}: row {row}: {value!r} is not a whole number")
    if value < 0:
        raise LvmError(f"{where}: row {row}: {value} is negative; positions and ids count from 0")
    if value > LARGEST:
        raise LvmError(f"{where}: row {row}: {value} exceeds the largest int64; renumber the ids")


def article_ids(values: Values, where: str) -> np.ndarray:
    """[N] object array of str: ids that are whole numbers (written without leading zeros) or texts.

    Raises:
        LvmError: a value is neither, or empty (names the row).
    """
    if isinstance(values, np.ndarray) and values.dtype.kind != "U":
        return indices(values, where).astype(str).astype(object)
    for row, value in enumerate(values):
        if not isinstance(value, str):
            _check_index(value, where, row)
        elif not value.strip():
            raise LvmError(f"{where}: row {row}: the id is empty")
    return np.array([str(value) for value in values], dtype=object)


def texts(values: Values, where: str) -> list[str]:
    """Texts of chunks; None becomes the empty text.

    Raises:
        LvmError: a value is no text (names the row).
    """
    for row, value in enumerate(values):
        if value is not None and not isinstance(value, str):
            raise LvmError(f"{where}: row {row}: {value!r} is not a text")
    return ["" if value is None else str(value) for value in values]


def read_metadata(items: Sequence[Any], where: str) -> WindowIds | None:
    """Ids out of one dict a window: `article_index|article_id`, `target_chunk_index|target_idx`, and, if it is there,
    `last_context_article` or `crosses_article`.

    Returns:
        None if no dict has either id.

    Raises:
        LvmError: an item is no dict, lacks an id that others have, or has a wrong value (names the row).
    """
    for row, item in enumerate(items):
        if not isinstance(item, dict):
            raise LvmError(f"{where}: row {row}: holds {type(item).__name__}, need a dict")
    columns = []
    for keys in (ARTICLE_KEYS, TARGET_KEYS):
        columns.append([next((item[key] for key in keys if key in item), None) for item in items])
    if all(value is None for column in columns for value in column):
        return None
    for keys, column in zip((ARTICLE_KEYS, TARGET_KEYS), columns, strict=True):
        if None in column:
            row = column.index(None)
            there = ", ".join(map(str, items[row])) or "nothing"
            raise LvmError(f"{where}: row {row}: lacks {' or '.join(keys)}; there are: {there}")
    foreign = [
        bool(item.get("crosses_article", False))
        if item.get("last_context_article") is None
        else str(item["last_context_article"]) != str(article)
        for item, article in zip(items, columns[0], strict=True)
    ]
    return WindowIds(
        article_ids(columns[0], f"{where}: article"),
        indices(columns[1], f"{where}: target position"),
        np.array(foreign, dtype=bool),
    )
