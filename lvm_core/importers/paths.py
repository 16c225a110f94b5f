"""The vector files that a parameter names, in the order of their numbers; what else is there is counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lvm_core.config.params import PARAMS_FILE
from lvm_core.runtime.errors import LvmError, readable
from lvm_core.runtime.folders import LeftOut, require_watched, visible_files

SUFFIXES = (".npz", ".npy", ".parquet")

TABLES = (".csv", ".parquet")
"""Kinds of tables that hold the ids of an .npy file of the same name."""

ARROW = (".arrow", ".feather")


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
    require_watched(value, key)
    path = Path(value)
    if path.is_file():
        return Found({path.name: path})
    if not path.is_dir():
        raise LvmError(f"{PARAMS_FILE}: {key} = {value!r}: no such file or folder of vectors")
    left_out = LeftOut()
    found = {file.relative_to(path).as_posix(): file for file in visible_files(path, key, left_out)}
    arrays = {file.with_suffix("") for file in found.values() if file.suffix.lower() == ".npy"}
    ids = {name for name, file in found.items() if file.suffix.lower() in TABLES and file.with_suffix("") in arrays}
    chosen = {name: file for name, file in found.items() if file.suffix.lower() in SUFFIXES and name not in ids}
    if odd := next((file for name, file in chosen.items() if not name.isprintable()), None):
        raise LvmError(f"{odd}: its name holds characters that are no text; rename it")  # it becomes part of ids
    left_out.leave_out_others([name for name in found if name not in chosen and name not in ids])
    if not chosen:
        arrow = next((file for file in found.values() if file.suffix.lower() in ARROW), None)
        hint = f"; of {arrow} write a .parquet file (Dataset.to_parquet)" if arrow else ""
        raise LvmError(f"{PARAMS_FILE}: {key} = {value!r}: the folder holds no {', '.join(SUFFIXES)} file{hint}")
    return Found(chosen, left_out)


def tables_beside(array: Path) -> list[Path]:
    """The .csv and .parquet files of the name of an .npy file beside it."""
    with readable(str(array.parent)):
        beside = [path for path in array.parent.iterdir() if path.with_suffix("") == array.with_suffix("")]
    return sorted(path for path in beside if path.suffix.lower() in TABLES and path.is_file())
