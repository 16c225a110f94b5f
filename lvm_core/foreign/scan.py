"""One pass over all rows of a vector file: every row is finite and not zero, and gets a digest of its bytes."""

from __future__ import annotations

import math
from hashlib import blake2b
from pathlib import Path

import numpy as np

from lvm_core.errors import LvmError
from lvm_core.foreign.arrays import DiskArray
from lvm_core.foreign.forms import VectorFile, WindowsFile
from lvm_core.progress import Progress
from lvm_core.resume import saved_array

SMALLEST_NORM = 1e-6
"""Shorter rows have no direction."""
UNIT_TOLERANCE = {2: 2e-3, 4: 1e-5, 8: 1e-5}
"""How far from 1 the norm of a unit row may be, by the bytes of a number: what rounding to that type can do."""
BLOCK_BYTES = 32 * 2**20
"""Read at a time, and work lost at most when the import is interrupted."""


def scan(file: VectorFile, saved: Path) -> np.ndarray:
    """Digests of a file's windows (contexts, then the target), or of a bank's rows, and which are not of unit length.

    Args:
        file: to read.
        saved: beginning of the paths under which finished parts are kept.

    Returns:
        [W, 6, 2] uint64, or [N, 1, 2]: the digest of the row's bytes, and 1 where its norm is not 1.

    Raises:
        LvmError: a row holds NaN or infinity, or is zero (names member and row).
    """
    arrays = [file.contexts, file.targets] if isinstance(file, WindowsFile) else [file.vectors]
    rows = len(arrays[0])
    step = max(BLOCK_BYTES // sum(math.prod(array.shape[1:]) * array.dtype.itemsize for array in arrays), 1)
    progress = Progress(f"import: check {arrays[0].where.split(': ')[0]}", rows, "rows")
    parts = []
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        path = saved.with_name(f"{saved.name}-{start:09d}.npy")
        parts.append(saved_array(path, lambda: np.hstack([_measure(array, start, stop) for array in arrays])))  # noqa: B023 - called at once
        progress.update(stop - start)
    progress.close()
    return np.concatenate(parts)


def _measure(array: DiskArray, start: int, stop: int) -> np.ndarray:
    """[stop - start, rows of a window, 2] uint64."""
    block = array.rows(start, stop)
    flat = block.reshape(-1, block.shape[-1])
    norms = row_norms(flat)
    bad = np.flatnonzero(~(np.isfinite(norms) & (norms > SMALLEST_NORM)))
    if len(bad):
        row, position = divmod(int(bad[0]), len(flat) // len(block))
        at = f"row {start + row}" + (f", position {position}" if block.ndim == 3 else "")
        finite = bool(np.isfinite(flat[bad[0]]).all())
        problem = "holds NaN or infinity" if not finite else "is zero" if norms[bad[0]] < 1 else "is too long"
        raise LvmError(f"{array.where}: {at}: {problem}; remove or repair the row")
    joined = b"".join([blake2b(row, digest_size=8).digest() for row in np.ascontiguousarray(flat)])
    not_unit = (np.abs(norms - 1) > UNIT_TOLERANCE[block.dtype.itemsize]).astype(np.uint64)
    return np.stack([np.frombuffer(joined, dtype=np.uint64), not_unit], axis=1).reshape(len(block), -1, 2)


def row_norms(rows: np.ndarray) -> np.ndarray:
    """[n] float64 norms of [n, D] rows of any float type; finite for any finite float16 and float32 row."""
    with np.errstate(over="ignore", invalid="ignore"):
        norms: np.ndarray = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
    return norms
