"""Foreign .npy and .npz files with known arrays, written and opened."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lvm_core.importers.arrays import NpzFile
from lvm_core.runtime.errors import LvmError

METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]


def npy(array: np.ndarray) -> bytes:
    """What np.save writes."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def write_npz(
    path: Path,
    members: dict[str, Any] | Iterable[tuple[str, Any]],
    method: int = zipfile.ZIP_STORED,
    **options: Any,
) -> Path:
    """Write arrays, or bytes as they are, under their names; two of one name if `members` is a list of pairs."""
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items() if isinstance(members, dict) else members:
            with file.open(f"{name}.npy", "w", **options) as member:
                member.write(content if isinstance(content, bytes) else npy(content))
    return path


def opened(path: Path) -> closing[NpzFile]:
    """An .npz file with its folder for compressed arrays beside it."""
    return closing(NpzFile(path, path.parent / "unpacked"))


def message_of(action: Callable[..., Any], *arguments: Any) -> str:
    """The message, one line, of the LvmError that the action raises."""
    with pytest.raises(LvmError) as caught:
        action(*arguments)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def numbers(shape: tuple[int, ...], dtype: str = "<f4", order: Any = "C", seed: int = 0) -> np.ndarray:
    """Random whole numbers below 200, which every type of numbers can hold."""
    values = np.random.default_rng(seed).integers(0, 200, shape)
    return np.asarray(values.astype(dtype), order=order)
