"""Windows without ids: each becomes an article of its own, and those that share chunks come into one split."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components

from lvm_core.importers.fold import SLOTS, Folded

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
        left_out[members] = _shares_with_earlier(row[members], ties[members], cut, len(unique))
        group[members] = np.where(cut == 0, large, group.max() + cut)
    window = np.flatnonzero(~left_out)
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
            "rows_in_several_groups": _in_several(row[window], group[window], len(unique)),
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


def _shares_with_earlier(row: np.ndarray, ties: np.ndarray, block: np.ndarray, n_rows: int) -> np.ndarray:
    """[W] bool: the window holds a row that a window of an earlier block holds too."""
    first = np.full(n_rows, np.iinfo(np.int64).max)
    np.minimum.at(first, row.ravel(), np.repeat(block, row.shape[1]))
    result: np.ndarray = ((first[row] < block[:, None]) & ties).any(axis=1)
    return result


def _in_several(row: np.ndarray, group: np.ndarray, n_rows: int) -> int:
    """Number of rows that windows of more than one group hold."""
    low, high = np.full(n_rows, np.iinfo(np.int64).max), np.full(n_rows, -1)
    groups = np.repeat(group, row.shape[1])
    np.minimum.at(low, row.ravel(), groups)
    np.maximum.at(high, row.ravel(), groups)
    return int((low < high).sum())
