"""Folding windows back into articles: a foreign file repeats a chunk in up to six windows, a bank holds it once.

Windows without ids become articles of their own; those that share chunks come into one split.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components

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


@dataclass(eq=False)
class FoldConflict(Exception):
    """Two windows hold different rows for one chunk; the caller, who knows files and names, words the message."""

    first: tuple[int, int]
    """(window, slot) of one row: the window with the lower target index or, where these are equal, the earlier."""
    second: tuple[int, int]
    """(window, slot) of the other row."""
    article: int
    """Article code of both windows."""
    chunk_index: int
    """Position in the article that both rows claim."""


class _Sorted(NamedTuple):
    """Windows by article and target index; arrays of K windows."""

    rows: np.ndarray  # [K, 6] digests
    window: np.ndarray  # number in the input
    article: np.ndarray
    target_index: np.ndarray
    crosses: np.ndarray  # bool: if the window is its article's first, all its contexts belong to another article

    @property
    def first(self) -> np.ndarray:
        """[K] bool: first window of its article."""
        return np.diff(self.article, prepend=-1) != 0

    @property
    def step(self) -> np.ndarray:
        """[K] int64: target index minus that of the window before; 0 in an article's first window."""
        return np.where(self.first, 0, np.diff(self.target_index, prepend=0))


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
        article: [W] int64 >= 0, code of the target's article.
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


def _sort_windows(
    digests: np.ndarray, article: np.ndarray, target_index: np.ndarray, starts_foreign: np.ndarray, file: np.ndarray
) -> _Sorted:
    """The windows of `fold_windows` without the repeated ones; FoldConflict where these differ."""
    crosses = starts_foreign.astype(bool)
    # Cut one chunk after the window before it in the file, and of another article: the file shows the border.
    continues = (file[1:] == file[:-1]) & (digests[1:, :CONTEXT] == digests[:-1, 1:]).all(axis=1)
    crosses[1:] |= continues & (article[1:] != article[:-1])

    _, first_seen, code = np.unique(article, return_index=True, return_inverse=True)
    order = np.lexsort((target_index, first_seen[code]))  # stable: file order where both are equal
    windows = _Sorted(digests[order], order, article[order], target_index[order], crosses[order])
    is_new = windows.first | (windows.step > 0)
    repeated = np.flatnonzero(~is_new)
    if not repeated.size:
        return windows
    own = np.arange(SLOTS) >= CONTEXT - windows.target_index[repeated, None]
    differs = ((windows.rows[repeated] != windows.rows[repeated - 1]) & own).any(axis=1)
    if differs.any():
        raise _conflict(windows, int(repeated[differs.argmax()]))
    kept = np.flatnonzero(is_new)
    # Of repeated windows, one may lie where the file shows the border and the others not.
    crosses = np.logical_or.reduceat(windows.crosses, kept)
    return _Sorted._make(field[kept] for field in windows)._replace(crosses=crosses)


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
        raise _conflict(kept, int(torn[0]))
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


def _conflict(windows: _Sorted, at: int) -> FoldConflict:
    """The conflict between window `at` and the one before: the newest chunk that both claim and that differs.

    Foreign contexts need no care: they are older than any own row, and the caller found an own row that differs.
    """
    step = int(windows.step[at])
    slot = int(np.flatnonzero(windows.rows[at, : SLOTS - step] != windows.rows[at - 1, step:])[-1])
    first, second = (int(windows.window[at - 1]), slot + step), (int(windows.window[at]), slot)
    return FoldConflict(first, second, int(windows.article[at]), int(windows.target_index[at]) - CONTEXT + slot)


FEWEST_GROUPS = 4
"""A group that is a larger share of all windows than one of so many is cut, so that splits can be drawn."""

BLOCKS = 20
"""A block of a group that is cut is one of so many parts of all windows."""

MIN_BLOCK = 20
"""Windows in such a block at least, however few windows there are."""

MOST_REPEATS = 4 * SLOTS
"""A row in more windows than this is boilerplate and ties nothing together: a chunk is in six windows, or in a few
times six where windows are repeated."""


def separate_windows(digests: np.ndarray, *, divide: bool = True) -> Folded:
    """Make each window without ids a piece of its own, and group those that share rows, in whatever order they come.

    Windows of one document overlap, and groups are what such overlaps connect. A group larger than a quarter of all
    windows is cut into blocks of a twentieth of them (at least 20) along the chain of its overlaps; windows that share
    a row with an earlier block are left out.

    Args:
        digests: [W, 6] uint64, equal digest means equal row.
    """
    total = len(digests)
    unique, row, counts = np.unique(digests, return_inverse=True, return_counts=True)
    row = row.reshape(digests.shape)
    ties = counts[row] <= MOST_REPEATS
    group = _connected(row, ties, len(unique))
    left_out = np.zeros(total, dtype=bool)
    block = max(total // BLOCKS, MIN_BLOCK)
    sizes = np.bincount(group, minlength=1)
    for large in np.flatnonzero(sizes > max(total // FEWEST_GROUPS, block)) if divide else ():
        members = np.flatnonzero(group == large)
        cut = _blocks_along_chain(row[members], ties[members], len(unique), block)
        earliest = _lowest(row[members], cut, len(unique))[row[members]]
        left_out[members] = ((earliest < cut[:, None]) & ties[members]).any(axis=1)
        group[members] = np.where(cut == 0, large, group.max() + cut)
    window = np.flatnonzero(~left_out)
    lowest, highest = (sign * _lowest(row[window], sign * group[window], len(unique)) for sign in (1, -1))
    slot = np.tile(np.arange(SLOTS), len(window))
    return Folded(
        window=np.repeat(window, SLOTS),
        slot=slot,
        piece=np.repeat(np.arange(len(window)), SLOTS),
        chunk_index=slot.copy(),
        piece_article=window,
        piece_group=group[window],
        counts={
            "windows": total,
            "left_out_at_cuts": int(left_out.sum()),
            "rows_in_several_groups": int((lowest < highest).sum()),
            "rows": len(slot),
        },
    )


def _graph(row: np.ndarray, ties: np.ndarray, n_rows: int) -> coo_matrix:
    """Windows and rows as the nodes of a graph, windows first; an edge where a window holds a row."""
    window = np.broadcast_to(np.arange(len(row))[:, None], row.shape)[ties]
    size = len(row) + n_rows
    return coo_matrix((np.ones(len(window), dtype=np.int8), (window, len(row) + row[ties])), shape=(size, size))


def _connected(row: np.ndarray, ties: np.ndarray, n_rows: int) -> np.ndarray:
    """[W] int64: number of the connected component of each window."""
    if not len(row):
        return np.empty(0, dtype=np.int64)
    labels = connected_components(_graph(row, ties, n_rows), directed=False)[1][: len(row)]
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _blocks_along_chain(row: np.ndarray, ties: np.ndarray, n_rows: int, block: int) -> np.ndarray:
    """[W] int64: block of each window of a connected group, counted along its chain from one end."""
    graph = _graph(row, ties, n_rows).tocsr()
    end = breadth_first_order(graph, 0, directed=False, return_predecessors=False)[-1]
    order = breadth_first_order(graph, end, directed=False, return_predecessors=False)
    windows = order[order < len(row)]
    place = np.empty(len(row), dtype=np.int64)
    place[windows] = np.arange(len(row))
    return place // block


def _lowest(row: np.ndarray, group: np.ndarray, n_rows: int) -> np.ndarray:
    """[n_rows] the lowest of the groups of the windows that hold a row."""
    lowest = np.full(n_rows, np.iinfo(np.int64).max)
    np.minimum.at(lowest, row.ravel(), np.repeat(group, SLOTS))
    return lowest
