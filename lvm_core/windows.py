"""Windows are indices: a window is named by the bank row of its target, its contexts are the five rows before it."""

from __future__ import annotations

import numpy as np

CONTEXT = 5
"""Number of context chunks in a window."""


def window_targets(first_row: np.ndarray, n_chunks: np.ndarray) -> np.ndarray:
    """[W] int64 target rows of all windows of articles whose first bank rows and numbers of chunks are given, [A] int.

    They are in the order of the articles; an article of n chunks has max(n - 5, 0) windows.
    """
    parts = [
        np.arange(first + CONTEXT, first + count, dtype=np.int64)
        for first, count in zip(first_row.tolist(), n_chunks.tolist(), strict=True)
    ]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def context_rows(targets: np.ndarray) -> np.ndarray:
    """[W, 5] int64 bank rows of the contexts, oldest first, of the windows with these target rows."""
    return np.asarray(targets, dtype=np.int64)[:, None] + np.arange(-CONTEXT, 0, dtype=np.int64)


def assign_splits(article_ids: list[str], *, dev: float, val: float, seed: int) -> list[str]:
    """The split, `train`, `dev` or `val`, of each article of the training source, in the order given.

    The draw depends on the set of article ids and the seed, not on the articles' order. `dev` and `val` are shares of
    the articles: at least one article where they are positive.
    """
    if len(set(article_ids)) != len(article_ids):
        raise ValueError("article ids repeat")
    total = len(article_ids)
    n_dev = max(round(total * dev), 1) if dev > 0 else 0
    n_val = max(round(total * val), 1) if val > 0 else 0
    shuffled = np.random.default_rng(seed).permutation(np.array(sorted(article_ids), dtype=object))
    names = ["dev"] * n_dev + ["val"] * n_val + ["train"] * max(total - n_dev - n_val, 0)
    split_of = dict(zip(shuffled.tolist(), names, strict=False))
    return [split_of[article_id] for article_id in article_ids]
