"""Test E: does the cosine hold up in windows whose context hangs together less, or more, than usual?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from lvm_core.fivecat.profile import mean_or_none

BINS = ("low", "normal", "high")


def coherence_of(contexts: Tensor) -> np.ndarray:
    """[B] float32 mean cosine of the four adjacent pairs of contexts [B, 5, D] float32 unit vectors."""
    result: np.ndarray = (contexts[:, 1:] * contexts[:, :-1]).sum(2).mean(1).cpu().numpy()
    return result


def summarise_coherence(coherence: np.ndarray, cosine: np.ndarray, cuts: Sequence[float]) -> dict[str, Any]:
    """Mean cosine to the target and number of windows in each bin.

    Args:
        coherence: [W] float.
        cosine: [W] float, to the target.
        cuts: the two borders; `normal` includes both, as published.
    """
    low, high = coherence < cuts[0], coherence > cuts[1]
    members = dict(zip(BINS, (low, ~low & ~high, high), strict=True))
    return {
        name: {"cosine": mean_or_none(cosine[chosen]), "windows": int(chosen.sum())} for name, chosen in members.items()
    }
