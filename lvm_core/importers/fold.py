"""Folding windows back into articles: a foreign file repeats a chunk in up to six windows, a bank holds it once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lvm_core.windows import CONTEXT

SLOTS = CONTEXT + 1
"""Rows of a window: the contexts, oldest first, and the target in the last slot."""


@dataclass(frozen=True)
class Folded:
    """Rows of the bank to be, in order, each named by a window and a slot that hold it."""

    window: np.ndarray
    """[R] int64, number of the window the row is taken from."""
    slot: np.ndarray
    """[R] int64, 0..4 a context, 5 the target."""
    piece: np.ndarray
    """[R] int64, number of the article piece, 0..P-1, contiguous and ascending."""
    chunk_index: np.ndarray
    """[R] int64, position of the chunk in its article, ascending within a piece; exact for targets, for other rows
    counted back from the next target."""
    piece_article: np.ndarray
    """[P] int64, article code of each piece."""
    piece_group: np.ndarray
    """[P] int64; pieces of one group must never be divided between splits."""
    counts: dict[str, int]
    """What was found, to be shown to the user."""


class FoldConflict(Exception):
    """Two windows hold different rows for one chunk; the caller, who knows files and names, words the message.

    Attributes:
        first: (window, slot) of one row: the window with the lower target index or, where these are equal, the earlier.
        second: (window, slot) of the other row.
        article: article code of both windows.
        chunk_index: position in the article that both rows claim.
    """

    def __init__(self, first: tuple[int, int], second: tuple[int, int], article: int, chunk_index: int) -> None:
        """Keep both rows as (window, slot), the one of the lower target index or earlier window first."""
        super().__init__(f"article {article}, chunk {chunk_index}: (window, slot) {first} and {second} differ")
        self.first = first
        self.second = second
        self.article = article
        self.chunk_index = chunk_index


@dataclass(frozen=True)
class _Sorted:
    """Windows by article and target index, each pair of these once; arrays of K windows."""

    rows: np.ndarray  # [K, 6] digests
    window: np.ndarray  # number in the input
    article: np.ndarray
    target_index: np.ndarray
    crosses: np.ndarray  # bool: if the window is its article's first, all its contexts belong to another article
    first: np.ndarray  # bool: first window of its article
    step: np.ndarray  # target index minus that of the window before; 0 in an article's first window


def fold_windows(
    digests: np.ndarray, article: np.ndarray, target_index: np.ndarray, starts_foreign: np.ndarray, file: np.ndarray
) -> Folded:
    """Fold windows with ids back into articles in which each chunk is one row.

    Articles come in the order of their first appearance. The windows of an article are chained by target index: each
    adds the rows that the one before does not hold. Where two windows lie so far apart that they need not share a row
    and share none, the article continues in a new piece. Contexts of another article (a file cut with stride 1 across
    article borders; padding before the first chunk) are never taken.

    Where a border shows neither in the metadata nor in the file, arithmetic tells the foreign contexts: a window whose
    target is chunk 2 can have two chunks of its own before it. Indices count from 1 if 1 is the lowest of all.

    Args:
        digests: [W, 6] uint64, equal digest means equal row; contexts oldest first, then the target.
        article: [W] int64 code of the target's article.
        target_index: [W] int64 >= 0, position of the target in its article; gaps are allowed.
        starts_foreign: [W] bool, the metadata says that the last context belongs to another article.
        file: [W] int64, file of each window; windows are in file order.
    """
    base = int(len(target_index) > 0 and target_index.min() == 1)
    kept = _sort_windows(digests, article, target_index - base, starts_foreign, file)
    shift, foreign = _chain(kept)
    starts_piece = shift == 0
    new_rows = np.where(starts_piece, SLOTS - foreign, shift)

    source = np.repeat(np.arange(len(new_rows)), new_rows)
    row_in_window = np.arange(len(source)) - np.repeat(np.cumsum(new_rows) - new_rows, new_rows)
    slot = SLOTS - new_rows[source] + row_in_window
    piece_article = kept.article[starts_piece]
    return Folded(
        window=kept.window[source],
        slot=slot,
        piece=(np.cumsum(starts_piece) - 1)[source],
        chunk_index=kept.target_index[source] - CONTEXT + slot + base,
        piece_article=piece_article,
        piece_group=piece_article,
        counts={
            "windows": len(digests),
            "repeated_windows": len(digests) - len(kept.window),
            "crossing_windows": int((foreign > 0).sum()),
            "foreign_context_rows": int(foreign.sum()),
            "index_gaps": int((~starts_piece & (shift < kept.step)).sum()),
            "pieces_split": int((starts_piece & ~kept.first).sum()),
            "articles": int(kept.first.sum()),
            "rows": len(slot),
        },
    )


def _continues_previous(digests: np.ndarray, file: np.ndarray) -> np.ndarray:
    """[W] bool: the window is cut one chunk after the window before it in the same file."""
    continues = np.zeros(len(digests), dtype=bool)
    continues[1:] = (file[1:] == file[:-1]) & (digests[1:, :CONTEXT] == digests[:-1, 1:]).all(axis=1)
    return continues


def _sort_windows(
    digests: np.ndarray, article: np.ndarray, target_index: np.ndarray, starts_foreign: np.ndarray, file: np.ndarray
) -> _Sorted:
    """Windows of `fold_windows` by article and target index, repeated ones dropped; FoldConflict where these differ."""
    crosses = starts_foreign.astype(bool)
    crosses[1:] |= _continues_previous(digests, file)[1:] & (article[1:] != article[:-1])

    _, first_seen, code = np.unique(article, return_index=True, return_inverse=True)
    order = np.lexsort((target_index, first_seen[code]))  # stable: file order where both are equal
    rows, sorted_article, sorted_index = digests[order], article[order], target_index[order]
    new_id = np.ones(len(order), dtype=bool)
    new_id[1:] = (sorted_article[1:] != sorted_article[:-1]) | (sorted_index[1:] != sorted_index[:-1])

    repeated = np.flatnonzero(~new_id)
    own = np.arange(SLOTS) >= CONTEXT - sorted_index[repeated, None]
    differs = ((rows[repeated] != rows[repeated - 1]) & own).any(axis=1)
    if differs.any():
        raise _conflict(rows, order, sorted_article, sorted_index, int(repeated[differs.argmax()]))

    kept = np.flatnonzero(new_id)
    kept_article, kept_index = sorted_article[kept], sorted_index[kept]
    first = np.ones(len(kept), dtype=bool)
    first[1:] = kept_article[1:] != kept_article[:-1]
    step = np.zeros(len(kept), dtype=np.int64)
    step[1:] = np.where(first[1:], 0, np.diff(kept_index))
    return _Sorted(
        rows=rows[kept] if repeated.size else rows,
        window=order[kept],
        article=kept_article,
        target_index=kept_index,
        # Of repeated windows, one may lie where the file shows the border and the others not.
        crosses=np.logical_or.reduceat(crosses[order], kept),
        first=first,
        step=step,
    )


def _chain(kept: _Sorted) -> tuple[np.ndarray, np.ndarray]:
    """How each window follows the one before it in its article; FoldConflict where it must overlap that and does not.

    Returns:
        shift: [K] int64, number of rows the window before does not hold, the target included; 0 starts a piece.
        foreign: [K] int64, number of leading contexts that belong to another article.
    """
    shift = np.zeros(len(kept.rows), dtype=np.int64)
    followers = np.flatnonzero(~kept.first)
    shift[followers] = _shifts(kept, followers, np.zeros_like(followers))

    # Foreign contexts pass out of an article's windows within five steps, so that five waves settle the few of them.
    foreign = np.where(kept.crosses, CONTEXT, np.maximum(CONTEXT - kept.target_index, 0))
    foreign[followers] = 0
    wave = np.flatnonzero(foreign)
    while wave.size:
        wave = wave[wave + 1 < len(shift)] + 1
        wave = wave[~kept.first[wave]]
        shift[wave] = _shifts(kept, wave, foreign[wave - 1])
        foreign[wave] = np.where(shift[wave] > 0, np.maximum(foreign[wave - 1] - shift[wave], 0), 0)
        wave = wave[foreign[wave] > 0]

    # Less than 6 apart, the window before must hold one of this window's chunks. Further apart, nothing attests it.
    torn = np.flatnonzero((shift == 0) & (kept.step > 0) & (kept.step < SLOTS))
    if torn.size:
        raise _conflict(kept.rows, kept.window, kept.article, kept.target_index, int(torn[0]))
    return shift, foreign


def _shifts(kept: _Sorted, at: np.ndarray, foreign_before: np.ndarray) -> np.ndarray:
    """[M] int64 shift of the windows `at` against the ones before them, 0 where none fits.

    The shift that the indices give is preferred, so that repeated rows cannot mislead; else the smallest that fits.
    The first `foreign_before` ([M] int64) contexts of the windows before are of another article and not compared.
    """
    rows, before, step = kept.rows[at], kept.rows[at - 1], kept.step[at]
    smallest = np.zeros(len(at), dtype=np.int64)
    by_index = np.zeros(len(at), dtype=bool)
    for shift in range(CONTEXT, 0, -1):
        still_foreign = np.arange(SLOTS - shift) < foreign_before[:, None] - shift
        fits = ((rows[:, : SLOTS - shift] == before[:, shift:]) | still_foreign).all(axis=1) & (step >= shift)
        if shift == CONTEXT:
            fits &= step < SLOTS  # one equal row over a longer distance may be chance
        smallest[fits] = shift
        by_index |= fits & (step == shift)
    return np.where(by_index, step, smallest)


def _conflict(
    rows: np.ndarray, window: np.ndarray, article: np.ndarray, target_index: np.ndarray, at: int
) -> FoldConflict:
    """The conflict between sorted window `at` and the one before: the newest chunk that both claim and that differs.

    Foreign contexts need no care: they are older than any own row, and the caller found an own row that differs.
    """
    step = int(target_index[at] - target_index[at - 1])
    slot = int(np.flatnonzero(rows[at, : SLOTS - step] != rows[at - 1, step:])[-1])
    return FoldConflict(
        first=(int(window[at - 1]), slot + step),
        second=(int(window[at]), slot),
        article=int(article[at]),
        chunk_index=int(target_index[at]) - CONTEXT + slot,
    )
