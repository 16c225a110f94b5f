"""Names of the columns of window tables, and the offsets of the published frame; imports no numerical library."""

from __future__ import annotations

ROLLOUT_RANK = 5
"""The k of the R@k of each rollout step."""

FULL_BANK_RANKS = (1, 5, 10)
"""The k of the R@k among all chunks of the bank."""

ABLATIONS = ("shuffle", "reverse", "leave_one_out", "repeat_last", "foreign_last")
"""Rearrangements of the context in test C (`order`). `shuffle`: a random order. `reverse`: newest first.
`leave_one_out`: context chunk i dropped, a copy of the last one appended, averaged over all i. `repeat_last`: five
copies of the last chunk. `foreign_last`: the last chunk replaced by a chunk of another article of the split."""

DEAR_TESTS = {
    "order": ("order_",),
    "rollout": ("rollout", "published_rollout"),
    "contrastive": ("contrastive_",),
    "full_bank": ("full_bank_",),
}
"""Tests that cost further forward passes or products with many chunks, and how the names of their figures begin."""

LATE = 1
"""Offset k of the published frame is offset k + LATE of the corrected one."""
PUBLISHED_OFFSETS = range(-3, 4)
"""Offsets of the published margin, in the published frame."""


def offset_column(k: int) -> str:
    """Name of the window table's column of offset k: `cos_k-1`, `cos_k0`, `cos_k+1`."""
    return f"cos_k{k:+d}" if k else "cos_k0"


def step_columns(step: int) -> tuple[str, str]:
    """Names of the window table's columns of a rollout step (1..H): cosine and R@5."""
    return f"rollout_cosine_{step}", f"rollout_recall_at_{ROLLOUT_RANK}_{step}"


def published_step_column(step: int) -> str:
    """Name of the column of a rollout step in the published frame: cosine with the chunk after the one due."""
    return f"published_rollout_cosine_{step}"


def full_bank_column(k: int) -> str:
    """Name of the column of R@k among all chunks of the bank."""
    return f"full_bank_recall_at_{k}"
