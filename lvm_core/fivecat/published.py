"""Tests A and D as the earlier public reports measured them: one offset late, and so unfit to judge a predictor.

They stored the index of the target and called it k=0, and took the chunk after it, k=+1, for the one to be predicted
(prior results, sections 0 and 4.2). In this package's corrected frame that is k=+2, and their offsets -3..+3 are ours
-2..+4. A perfect predictor scores a margin of the lag-1 similarity minus 1, about -0.54 on their data. These figures
exist to read the old reports, under names of their own; nothing is judged by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lvm_core.fivecat.names import LATE, PUBLISHED_OFFSETS, offset_column, published_step_column
from lvm_core.fivecat.profile import margin_of, mean_or_none


def summarise_published(columns: Mapping[str, np.ndarray], steps: int) -> dict[str, Any]:
    """Margin, profile and rollout in the published frame.

    Args:
        columns: the window table's columns, one entry a window.
        steps: H.

    Returns:
        `profile` by published offset and `margin` = its k=+1 minus the best other, both over
        the windows that have all seven; `rollout`, the mean cosine of step h with the chunk h after the target, over
        those that have all; the `windows` counted; None where undefined.
    """
    cosines = {k: np.asarray(columns[offset_column(k + LATE)]) for k in PUBLISHED_OFFSETS}
    whole = ~np.isnan(np.stack(list(cosines.values()))).any(axis=0)
    profile = {k: mean_or_none(values[whole]) for k, values in cosines.items()}
    rollout = np.stack([columns[published_step_column(step)] for step in range(1, steps + 1)])
    return {
        "margin": margin_of(profile, [k for k in PUBLISHED_OFFSETS if k != 1]),
        "profile": {f"{k:+d}" if k else "0": value for k, value in profile.items()},
        "rollout": mean_or_none(rollout),
        "windows": {"margin": int(whole.sum()), "rollout": int((~np.isnan(rollout[0])).sum())},
    }
