"""Windows cut from known articles, and what they must fold back to."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from lvm_core.importers.fold import Folded, fold_windows
from lvm_core.windows import CONTEXT

TARGET = CONTEXT
"""Slot of the target."""

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=12)
SEEDS = st.integers(0, 2**32 - 1)
BASES = st.sampled_from([0, 1])


@dataclass
class Article:
    code: int
    rows: np.ndarray
    index: np.ndarray


@dataclass
class Windows:
    """Arguments of `fold_windows`."""

    digests: np.ndarray
    article: np.ndarray
    target_index: np.ndarray
    starts_foreign: np.ndarray
    file: np.ndarray

    def fold(self) -> Folded:
        return fold_windows(self.digests, self.article, self.target_index, self.starts_foreign, self.file)

    def take(self, at: np.ndarray) -> Windows:
        return Windows(
            self.digests[at], self.article[at], self.target_index[at], self.starts_foreign[at], self.file[at]
        )

    def changed(self, window: int, slot: int) -> Windows:
        digests = self.digests.copy()
        digests[window, slot] ^= np.uint64(1 << 60)
        return replace(self, digests=digests)


def write_articles(lengths: list[int], seed: int = 0, base: int = 0, max_step: int = 1) -> list[Article]:
    """Articles of distinct rows; codes in no order; indices from `base`, each up to `max_step` after the one before."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(sum(lengths)).astype(np.uint64)
    codes = rng.permutation(len(lengths) * 3)[: len(lengths)]
    articles = []
    for code, length in zip(codes.tolist(), lengths, strict=True):
        steps = rng.integers(1, max_step + 1, size=length)
        articles.append(Article(code, rows[:length], base + np.cumsum(steps) - 1))
        rows = rows[length:]
    return articles


def cut(digests: np.ndarray) -> np.ndarray:
    """[len - 5, 6] every window of the rows."""
    if len(digests) <= CONTEXT:
        return np.empty((0, CONTEXT + 1), dtype=np.uint64)
    return np.lib.stride_tricks.sliding_window_view(digests, CONTEXT + 1).copy()


def join(parts: list[Windows]) -> Windows:
    return Windows(
        np.concatenate([part.digests for part in parts]),
        np.concatenate([part.article for part in parts]),
        np.concatenate([part.target_index for part in parts]),
        np.concatenate([part.starts_foreign for part in parts]),
        np.concatenate([np.full(len(part.file), number) for number, part in enumerate(parts)]),
    )


def cut_within(articles: list[Article]) -> Windows:
    """All windows that lie in one article, in one file."""
    parts = []
    for article in articles:
        digests = cut(article.rows)
        index = article.index[CONTEXT:]
        parts.append(
            Windows(digests, np.full(len(digests), article.code), index, np.zeros(len(digests), bool), index * 0)
        )
    joined = join(parts)
    return replace(joined, file=np.zeros_like(joined.file))


def cut_across(articles: list[Article], *, flagged: bool) -> Windows:
    """Stride 1 over all rows as if they were one article; `flagged` where the metadata tells the first windows."""
    stream = np.concatenate([article.rows for article in articles])
    code = np.concatenate([np.full(len(article.rows), article.code) for article in articles])
    index = np.concatenate([article.index for article in articles])
    starts = np.concatenate([np.arange(len(article.rows)) == 0 for article in articles])
    digests = cut(stream)
    targets = np.arange(len(stream))[CONTEXT:]
    return Windows(
        digests,
        code[targets],
        index[targets],
        starts[targets] if flagged else np.zeros(len(targets), bool),
        0 * targets,
    )


def pieces(folded: Folded, windows: Windows) -> list[tuple[int, list[int], list[int]]]:
    """(article, digests, chunk indices) of each piece, after checking that the fields fit together."""
    assert [field.dtype for field in (folded.window, folded.slot, folded.piece, folded.chunk_index)] == [np.int64] * 4
    number = len(folded.piece_article)
    assert len(folded.piece_group) == number
    assert np.unique(folded.piece).tolist() == list(range(number))
    assert (np.diff(folded.piece) >= 0).all()
    assert (folded.chunk_index >= 0).all()
    assert folded.counts["rows"] == len(folded.window)
    digests = windows.digests[folded.window, folded.slot]
    found = []
    for piece in range(number):
        rows = folded.piece == piece
        assert (windows.article[folded.window[rows]] == folded.piece_article[piece]).all()
        index = folded.chunk_index[rows]
        assert (np.diff(index) > 0).all()
        found.append((int(folded.piece_article[piece]), digests[rows].tolist(), index.tolist()))
    return found


def in_order_of_appearance(articles: list[Article], windows: Windows) -> list[Article]:
    seen = list(dict.fromkeys(windows.article.tolist()))
    return sorted(
        (article for article in articles if article.code in seen), key=lambda article: seen.index(article.code)
    )


def whole(articles: list[Article], windows: Windows) -> list[tuple[int, list[int], list[int]]]:
    """The pieces to expect when every article comes back complete and contiguous."""
    return [
        (article.code, article.rows.tolist(), article.index.tolist())
        for article in in_order_of_appearance(articles, windows)
    ]


def shuffled(windows: Windows, seed: int) -> Windows:
    return windows.take(np.random.default_rng(seed).permutation(len(windows.file)))


def across_lengths(lengths: list[int]) -> list[int]:
    """The first windows of a stride-1 file hold no sign of a border: let its first article fill one."""
    return [lengths[0] + CONTEXT, *lengths[1:]]
