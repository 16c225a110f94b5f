"""Files written whole or not at all, and where they lie."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.interrupts import uninterrupted

if TYPE_CHECKING:
    import pandas as pd


REVERSED = "reversed"
"""Variant of a recipe that is trained and tested on articles read backwards; with another seed `reversed-seed-<n>`."""


def phase_directory(recipe: str, phase: str) -> Path:
    """What training leaves of a recipe after a phase; an LvmError if there is no such phase."""
    if phase not in ("a", "b", "c"):
        raise LvmError(f"phase = {phase!r} is not allowed; phases are a, b, c")
    return Path("data/phases") / phase / recipe


def seed_variant(seed: int | str, backwards: bool = False) -> str:
    """Variant of a recipe that is trained with another seed, and on articles read `backwards`."""
    return f"{REVERSED}-seed-{seed}" if backwards else f"seed-{seed}"


def variant_directory(variant: str, recipe: str) -> Path:
    """Model directory of a variant of a recipe."""
    return Path("data/variants") / variant / recipe


def model_directory(recipe: str, kind: str) -> Path:
    """Model directory of a recipe after a phase (`a`, `b`, `c`), or of a variant (`reversed`, `[reversed-]seed-<n>`).

    That of `c` is what the stage `evaluate` makes of what training left: it says what the model reaches.
    """
    if kind == "c":
        return Path("data/models") / recipe
    if kind.startswith((REVERSED, seed_variant(""))):
        return variant_directory(kind, recipe)
    return phase_directory(recipe, kind)


AFTER_B = "after_b"
"""Folder within a recipe's evaluation in `evaluation_directory("c")`: of its model after phase B."""


def evaluation_directory(kind: str) -> Path:
    """Folder of the evaluations of one kind, with a folder (tables of windows, summary) for each row.

    A kind is a phase (`a`, or `c`, in whose folders that of `b` lies: `AFTER_B`), a variant, `references`, or
    `references-reversed`.
    """
    return Path("data/evaluation") / kind


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is fsynced and renamed onto `path`, on failure removed."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _fsync(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise LvmError(
            f"{path}: cannot be written ({error.strerror or error}); the previous file is untouched"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; on success it takes the place of `path` as a whole.

    The old folder is moved aside before the new one is renamed in, and deleted last. No signal comes between the two
    renames; after a kill between them the next call finds the old folder and puts it back.
    """
    path = Path(path)
    temporary, old = path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.old")
    try:
        if old.exists() and not path.exists():
            os.replace(old, path)
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        for file in sorted(temporary.rglob("*")):
            _fsync(file)
        with uninterrupted():
            if path.exists():
                os.replace(path, old)
            os.replace(temporary, path)
    except OSError as error:
        raise LvmError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)


def link_or_copy(source: str | Path, path: str | Path) -> None:
    """Give a file a second place, atomically: without copying its bytes where the file system can."""
    with atomic_path(path) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def nan_to_none(value: Any) -> Any:
    """Copy of a nested structure of dicts, lists and numbers with NaN and infinities replaced by None (json null)."""
    if isinstance(value, Mapping):
        return {str(key): nan_to_none(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [nan_to_none(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(path: str | Path, value: Any, unfolded: int | None = None) -> None:
    """Write json with two-space indent and null for NaN, atomically. Key order is kept.

    `unfolded`: so many levels are indented, what lies deeper stands in one line (a table: a row a line).
    """
    plain = nan_to_none(value)
    text = _json(plain) if unfolded is None else _folded(plain, unfolded)
    write_text(path, text + "\n")


def _json(value: Any, indent: int | None = 2) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)


def _folded(value: Any, levels: int, indent: str = "") -> str:
    if not (levels and value and isinstance(value, (dict, list))):
        return _json(value, None)
    named = [(f"{_json(key)}: ", one) for key, one in value.items()] if isinstance(value, dict) else []
    parts = named or [("", one) for one in value]
    lines = ",\n".join(f"{indent}  {name}{_folded(one, levels - 1, f'{indent}  ')}" for name, one in parts)
    first, last = "{}" if named else "[]"
    return f"{first}\n{lines}\n{indent}{last}"


def write_npy(path: str | Path, array: np.ndarray) -> None:
    """Write one array as .npy (never pickled), atomically."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.save(file, array, allow_pickle=False)


def write_npy_blocks(path: str | Path, dtype: np.dtype, shape: tuple[int, ...], blocks: Iterable[np.ndarray]) -> None:
    """Write one array as .npy from blocks of its rows, atomically, with no more than a block in memory."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        rows = 0
        for block in blocks:
            if block.dtype != dtype or block.shape[1:] != shape[1:]:
                raise ValueError(f"a block is {block.dtype} {block.shape}, the array {dtype} {shape}")
            file.write(np.ascontiguousarray(block).data)
            rows += len(block)
        if rows != shape[0]:
            raise ValueError(f"the blocks have {rows} rows, the array {shape[0]}")


def write_parquet(path: str | Path, frame: pd.DataFrame) -> None:
    """Write a data frame as parquet without its index, atomically."""
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False)


def write_csv(path: str | Path, frame: pd.DataFrame) -> None:
    """Write a data frame as csv without its index, numbers with seven significant digits, atomically."""
    write_text(path, frame.to_csv(index=False, float_format="%.7g", lineterminator="\n"))


def sha256_of(path: str | Path) -> str:
    """Hex sha256 of a file's bytes."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise LvmError(f"{path}: cannot be read ({error.strerror})") from error
