"""The windows of a split in canonical order, and which of them have which offsets.

Canonical order is by article id, then position: the order of the articles in the bank changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lvm_core.bank import Bank
from lvm_core.fivecat.draws import article_keys, chunk_keys, uniform
from lvm_core.windows import CONTEXT, window_targets

OFFSETS = range(-4, 5)
"""Offsets k of the profile, relative to the last context chunk: k=+1 is the target."""
MARGIN_OFFSETS = range(-3, 4)
"""Offsets whose means over the same windows make the margin (published: k=-3..+3)."""
UNSEEN_OFFSETS = range(2, 5)
"""Offsets after the target, which no context chunk can imitate."""


@dataclass(frozen=True)
class Windows:
    """The windows of one split in canonical order.

    Attributes:
        rows: [W] int64, bank rows of the targets.
        article: [W] int64, index into `article_id`.
        position: [W] int64, position of the target in its article, >= 5.
        article_id: [A] str, sorted; all articles of the split, also those without a window.
        first_row: [A] int64, bank row of the article's first chunk.
        n_chunks: [A] int64, chunks of the article.
    """

    rows: np.ndarray
    article: np.ndarray
    position: np.ndarray
    article_id: np.ndarray
    first_row: np.ndarray
    n_chunks: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


def canonical_windows(bank: Bank, split: str) -> Windows:
    """All windows of a split of the bank, in canonical order."""
    chosen = bank.articles_of(split)
    order = np.argsort(chosen["article_id"].astype(str).to_numpy(dtype=object), kind="stable")
    first_row = chosen["first_row"].to_numpy(dtype=np.int64)[order]
    n_chunks = chosen["n_chunks"].to_numpy(dtype=np.int64)[order]
    rows = window_targets(first_row, n_chunks)
    article = np.repeat(np.arange(len(order)), np.maximum(n_chunks - CONTEXT, 0))
    article_id = chosen["article_id"].astype(str).to_numpy(dtype=object)[order]
    return Windows(rows, article, rows - first_row[article], article_id, first_row, n_chunks)


def has_offset(position: np.ndarray, n_chunks: np.ndarray, k: int) -> np.ndarray:
    """[W] bool: does the article have the chunk at offset k of the window?

    Args:
        position: [W] int, position of the target in its article.
        n_chunks: [W] int, chunks of that article.
        k: offset; the chunk is at `position - 1 + k`.
    """
    at = position - 1 + k
    return (at >= 0) & (at < n_chunks)


def shuffled_orders(windows: Windows, seed: int) -> np.ndarray:
    """[W, 5] int64: a uniform random order of each window's context, keyed by article id and position."""
    keys = article_keys(windows.article_id, seed, "shuffle")[windows.article]
    return np.argsort(uniform(chunk_keys(keys, windows.position), CONTEXT), axis=1)


def foreign_rows(windows: Windows, seed: int) -> np.ndarray | None:
    """[W] int64 bank rows: for each window a uniform random chunk of another article of the split.

    Returns:
        None where the split has no second article.
    """
    starts = np.concatenate([[0], np.cumsum(windows.n_chunks)])
    total, own = int(starts[-1]), windows.n_chunks[windows.article]
    if len(windows.article_id) < 2 or bool((own >= total).any()):
        return None
    keys = article_keys(windows.article_id, seed, "foreign")[windows.article]
    draw = uniform(chunk_keys(keys, windows.position), 1)[:, 0]
    # A number among the chunks of all other articles, counted in canonical order: step over the window's own article.
    chosen = np.minimum((draw * (total - own)).astype(np.int64), total - own - 1)
    chosen += np.where(chosen >= starts[windows.article], own, 0)
    article = np.searchsorted(starts, chosen, side="right") - 1
    return windows.first_row[article] + chosen - starts[article]
