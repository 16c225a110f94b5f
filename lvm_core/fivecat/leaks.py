"""Windows whose answer stands in their context, word for word or nearly: judged unless told otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lvm_core.bank import Bank
from lvm_core.errors import LvmError
from lvm_core.fivecat.params import EvaluateParams
from lvm_core.fivecat.window_sets import Windows, canonical_windows
from lvm_core.windows import CONTEXT

BLOCK = 4096
"""Windows at a time."""


def judged_windows(bank: Bank, split: str, params: EvaluateParams) -> Windows:
    """The windows of a split that are judged, in canonical order: all, or those whose answer is no near-duplicate.

    Args:
        bank: the vectors.
        split: one of `bank.SPLITS`.
        params: `near_duplicate` is the cosine from which a window is left out; None: none is.

    Raises:
        LvmError: the split has windows, and all of them are left out (names the parameter).
    """
    windows = canonical_windows(bank, split)
    if params.near_duplicate is None or not len(windows):
        return windows
    kept = closest_in_context(bank.vectors, windows.rows) < params.near_duplicate
    if not kept.any():
        raise LvmError(
            f"params.yaml: evaluate.near_duplicate = {params.near_duplicate} leaves none of the {len(kept)} windows "
            f"of {split}; raise it"
        )
    return replace(windows, rows=windows.rows[kept], article=windows.article[kept], position=windows.position[kept])


def closest_in_context(vectors: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """[W] float32: the largest cosine of each window's target with one of its five context chunks.

    Args:
        vectors: [N, D] unit rows, float32 or float16.
        targets: [W] int64 target rows.
    """
    closest = np.empty(len(targets), dtype=np.float32)
    for start in range(0, len(targets), BLOCK):
        rows = targets[start : start + BLOCK]
        own = np.asarray(vectors[rows], dtype=np.float32)
        cosines = [np.vecdot(own, np.asarray(vectors[rows - lag], np.float32)) for lag in range(1, CONTEXT + 1)]
        closest[start : start + BLOCK] = np.max(cosines, axis=0)
    return closest
