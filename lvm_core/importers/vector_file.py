"""A foreign file of vectors that is open: what every form of file becomes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from lvm_core.importers.arrays import DiskArray
from lvm_core.importers.ids import article_ids, indices, most_text, texts, titles
from lvm_core.importers.tables import Column
from lvm_core.runtime.errors import LvmError


@dataclass(frozen=True)
class Ids:
    """Where the rows of a file, or the targets of its windows, come from."""

    article: np.ndarray
    """[N] str, id of the article."""
    index: np.ndarray | None
    """[N] int64 >= 0, position in it; None (of rows only): the order of the file."""
    starts_foreign: np.ndarray | None = None
    """[N] bool, of windows: the last context chunk is said to be of another article."""


@dataclass(frozen=True)
class VectorFile:
    """A file of chunk vectors, or of windows of them."""

    name: str
    """Of the file in its folder."""
    path: Path
    form: Literal["bank", "documents", "windows", "windows without ids"]
    arrays: list[DiskArray]
    """[N, D] of a bank or documents; of windows the contexts, [W, 5, D], oldest first, and the targets, [W, D]."""
    ids: Ids | None
    """Of the rows or of the targets; None of windows without ids."""
    texts: list[str] | None = None
    """Of the rows; None if the file has none."""
    titles: list[str] | None = None
    """Of the rows' articles."""
    where_ids: str = ""
    """Name of the ids of the rows, for messages."""

    @property
    def dimension(self) -> int:
        """D of the vectors."""
        return self.arrays[0].shape[-1]


def make_bank(name: str, path: Path, vectors: DiskArray, columns: dict[str, Column], where: Path) -> VectorFile:
    """`columns`: by meaning; `where`: the file that has them."""
    for column in columns.values():
        check_length(vectors.where, len(vectors), f"{where}: {column.name}", len(column.values))
    values = {role: (column.values, f"{where}: {column.name}") for role, column in columns.items()}
    ids = Ids(article_ids(*values["article"]), indices(*values["chunk"]) if "chunk" in values else None)
    said = texts(*values["text"], most_text(where)) if "text" in values else None
    names = titles(*values["title"]) if "title" in values else None
    where_ids = ", ".join(columns[role].name for role in ("article", "chunk") if role in columns)
    return VectorFile(name, path, "bank", [vectors], ids, said, names, f"{where}: {where_ids}")


def check_length(where_rows: str, rows: int, what: str, length: int) -> None:
    """Make sure that there is one value for each row."""
    if length != rows:
        raise LvmError(f"{where_rows}: has {rows:,} rows, {what} {length:,}; they must agree")


def check_vectors(array: DiskArray, dimensions: int, wanted: str) -> DiskArray:
    """The array, if it has so many axes (`wanted`, for the message) and holds floats."""
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise LvmError(f"{array.where}: holds {array.dtype}, need float16, float32 or float64")
    if len(array.shape) != dimensions or 0 in array.shape:
        raise LvmError(f"{array.where}: has shape {array.shape}, need {wanted}, none of them 0")
    return array
