"""Which figures are defined on a bank: each needs windows with certain neighbours, or enough candidates."""

from __future__ import annotations

import numpy as np

from lvm_core.bank import Bank
from lvm_core.fivecat.leaks import judged_windows
from lvm_core.fivecat.params import EvaluateParams
from lvm_core.fivecat.window_sets import MARGIN_OFFSETS, UNSEEN_OFFSETS, has_offset
from lvm_core.windows import CONTEXT

FIGURES = {
    "cosine": "cosine, order, coherence",
    "margin": "margin and margin_last",
    "margin_unseen": "margin_unseen",
    "retrieval": "retrieval in the article (R@1, R@5, MRR)",
    "rollout": "rollout",
}
"""What the counts of `defined_windows` stand for."""


def defined_windows(bank: Bank, split: str, params: EvaluateParams) -> dict[str, int]:
    """Number of windows of a split over which each kind of figure is a mean, by the keys of `FIGURES`."""
    windows = judged_windows(bank, split, params)
    position, length = windows.position, windows.n_chunks[windows.article]

    def having(offsets: range) -> int:
        return int(np.logical_and.reduce([has_offset(position, length, k) for k in offsets]).sum())

    return {
        "cosine": len(windows),
        "margin": having(MARGIN_OFFSETS),
        "margin_unseen": having(range(1, UNSEEN_OFFSETS.stop)),
        "retrieval": int((length - CONTEXT >= params.min_candidates).sum()),
        "rollout": having(range(1, params.rollout_steps + 1)),
    }


def needs(figure: str, params: EvaluateParams) -> str:
    """What an article must have for a figure to be defined on some of its windows."""
    chunks = {
        "cosine": CONTEXT + 1,
        "margin": CONTEXT + MARGIN_OFFSETS.stop - 1,
        "margin_unseen": CONTEXT + UNSEEN_OFFSETS.stop - 1,
        "retrieval": CONTEXT + params.min_candidates,
        "rollout": CONTEXT + params.rollout_steps,
    }[figure]
    return f"no article has the {chunks} chunks that it takes"
