"""The vector files that a parameter names, in the order of their numbers; what else is there is counted."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from lvm_core.config.params import PARAMS_FILE
from lvm_core.runtime.errors import LvmError, printable, readable

SUFFIXES = (".npz", ".npy", ".parquet")

TABLES = (".csv", ".parquet")
"""Kinds of tables that hold the ids of an .npy file of the same name."""

ARROW = (".arrow", ".feather")


@dataclass
class LeftOut:
    """What an import passed over."""

    counts: Counter[str] = field(default_factory=Counter)
    """By kind, in words that the user understands."""
    examples: dict[str, str] = field(default_factory=dict)
    """The first one of each kind, by name."""

    def add(self, kind: str, name: str) -> None:
        """Count one."""
        self.counts[kind] += 1
        self.examples.setdefault(kind, printable(name))


@dataclass(frozen=True)
class Found:
    """The vector files of a source."""

    files: dict[str, Path]
    """By the path in the folder, or the name of the one file; in the order in which they are read."""
    left_out: LeftOut = field(default_factory=LeftOut)


def find_vectors(value: str, key: str) -> Found:
    """The vector files that a parameter names: one, or all in a folder and the folders in it.

    The numbers in names count as numbers (`part-2` before `part-10`), and suffixes may be capitals. Hidden and other
    files are counted as left out. A link to a folder is refused, one to a file is followed.
    """
    path = Path(value)
    if path.is_file():
        return Found({path.name: path})
    if not path.is_dir():
        raise LvmError(f"{PARAMS_FILE}: {key} = {value!r}: no such file or folder of vectors")
    left_out = LeftOut()
    found = {file.relative_to(path).as_posix(): file for file in _visible(path, key, left_out)}
    arrays = {file.with_suffix("") for file in found.values() if file.suffix.lower() == ".npy"}
    chosen = {}
    for name in sorted(found, key=_by_number):
        kind, is_ids = found[name].suffix.lower(), found[name].with_suffix("") in arrays
        if kind in SUFFIXES and not (is_ids and kind in TABLES):
            if not name.isprintable():  # it becomes part of ids
                raise LvmError(f"{found[name]}: its name holds characters that are no text; rename it")
            chosen[name] = found[name]
        elif not (is_ids and kind in TABLES):
            left_out.add("other files", name)
    if not chosen:
        arrow = next((file for file in found.values() if file.suffix.lower() in ARROW), None)
        hint = f"; of {arrow} write a .parquet file (Dataset.to_parquet)" if arrow else ""
        raise LvmError(f"{PARAMS_FILE}: {key} = {value!r}: the folder holds no {', '.join(SUFFIXES)} file{hint}")
    return Found(chosen, left_out)


def _visible(folder: Path, key: str, left_out: LeftOut) -> list[Path]:
    """All files under a folder but hidden ones, which are counted."""

    def fail(error: OSError) -> NoReturn:
        raise LvmError(f"{error.filename}: cannot be read ({error.strerror}); make the folder readable")

    found = []
    for directory, folders, names in os.walk(folder, onerror=fail):
        for name in sorted([*folders, *names]):
            path = Path(directory, name)
            if name.startswith("."):
                left_out.add("hidden files and folders", path.relative_to(folder).as_posix())
            elif name in names:
                found.append(path)
            elif path.is_symlink():
                raise LvmError(
                    f"{path}: is a link to a folder, and DVC does not see changes behind it; copy the folder there, "
                    f"or name it itself as {key}"
                )
        folders[:] = [name for name in folders if not name.startswith(".")]
    return found


def _by_number(name: str) -> tuple[list[list[str | int]], str]:
    """Sort key: texts and numbers by turns, folder by folder; then the name, for 1 and 01."""
    parts = [re.split(r"([0-9]+)", part) for part in name.split("/")]
    return [[int(piece) if turn % 2 else piece for turn, piece in enumerate(part)] for part in parts], name


def tables_beside(array: Path) -> list[Path]:
    """The .csv and .parquet files of the name of an .npy file beside it."""
    with readable(str(array.parent)):
        beside = [path for path in array.parent.iterdir() if path.with_suffix("") == array.with_suffix("")]
    return sorted(path for path in beside if path.suffix.lower() in TABLES and path.is_file())
