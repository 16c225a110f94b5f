"""Windows are indices: a window is named by the bank row of its target, its contexts are the five rows before it."""

from __future__ import annotations

import numpy as np

CONTEXT = 5
"""Number of context chunks in a window."""


def window_targets(first_row: np.ndarray, n_chunks: np.ndarray) -> np.ndarray:
    """Target rows of all windows of the given articles.

    Args:
        first_row: [A] int, bank row of each article's first chunk.
        n_chunks: [A] int, number of chunks of each article.

    Returns:
        [W] int64, in the order of the articles; an article of n chunks has max(n - 5, 0) windows.
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
    """Assign each article of the training source to `train`, `dev` or `val`.

    The draw depends on the set of article ids and the seed, not on the articles' order.

    Args:
        article_ids: distinct ids.
        dev: share of the articles for `dev`; at least one article when positive.
        val: share of the articles for `val`; at least one article when positive.
        seed: of the shuffle.

    Returns:
        The split of each article, in the order given.

    Raises:
        ValueError: ids repeat.
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
