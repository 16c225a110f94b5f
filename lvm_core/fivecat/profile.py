"""Test A: which chunk of the article is the prediction closest to, on average?

The profile is the mean cosine to each offset; a prediction of the next chunk peaks at k=+1, a copy at k=0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lvm_core.fivecat.batches import Batch
from lvm_core.fivecat.names import offset_column
from lvm_core.fivecat.window_sets import MARGIN_OFFSETS, OFFSETS, UNSEEN_OFFSETS


def profile_columns(scores: Tensor, batch: Batch) -> dict[str, np.ndarray]:
    """The window table's columns of test A: [B] float32 cosine to each offset, NaN where the article has no such chunk.

    Args:
        scores: [B, L] float32 cosines with all chunks of the article.
        batch: the windows.
    """
    at = batch.position[:, None] - 1 + np.array(OFFSETS)
    there = (at >= 0) & (at < batch.n_chunks[:, None])
    index = torch.from_numpy(np.where(there, at, 0)).to(scores.device)
    cosines = np.where(there, scores.gather(1, index).cpu().numpy(), np.float32(np.nan))
    return {offset_column(k): cosines[:, place] for place, k in enumerate(OFFSETS)}


def margin_of(means: Mapping[int, float | None], rivals: Sequence[int]) -> float | None:
    """Mean cosine at k=+1 minus the best of the `rivals`' means; None where undefined."""
    target, others = means[1], [means[k] for k in rivals]
    if target is None or any(value is None for value in others):
        return None
    return target - max(value for value in others if value is not None)


def mean_or_none(values: np.ndarray) -> float | None:
    """Mean of the values that are not NaN, summed in float64; None if there are none."""
    values = values[~np.isnan(values)]
    return float(values.mean(dtype=np.float64)) if len(values) else None


def summarise_profile(windows: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Profile and margins of a window table's columns.

    `profile`, `margin` and `margin_last` are over the windows that have all of k=-3..+3 (k=+4 over those of them that
    have it, counted), `margin_unseen` over those with k=+2..+4, so that each mean of a difference is over the same
    windows.

    Returns:
        `margin`, `margin_last` = cos(k=+1) - cos(k=0), `margin_unseen`, `profile` by offset, and the `windows` counted.
    """
    cosines = {k: np.asarray(windows[offset_column(k)]) for k in OFFSETS}
    whole = ~np.isnan(np.stack([cosines[k] for k in MARGIN_OFFSETS])).any(axis=0)
    ahead = ~np.isnan(np.stack([cosines[k] for k in UNSEEN_OFFSETS])).any(axis=0)
    profile = {k: mean_or_none(cosines[k][whole]) for k in OFFSETS}
    unseen = {k: mean_or_none(cosines[k][ahead]) for k in (1, *UNSEEN_OFFSETS)}
    return {
        "margin": margin_of(profile, [k for k in MARGIN_OFFSETS if k != 1]),
        "margin_last": margin_of(profile, [0]),
        "margin_unseen": margin_of(unseen, UNSEEN_OFFSETS),
        "profile": {f"{k:+d}" if k else "0": value for k, value in profile.items()},
        "windows": {
            "margin": int(whole.sum()),
            "margin_unseen": int(ahead.sum()),
            "profile_k+4": int((whole & ~np.isnan(cosines[4])).sum()),
        },
    }
