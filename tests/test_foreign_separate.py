"""Windows without ids: each an article of its own, and never a row in two groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvm_core.importers.fold import Folded, separate_windows
from tests.foreign_windows import cut

SEEDS = st.integers(0, 2**32 - 1)


def groups_of_rows(folded: Folded, digests: np.ndarray) -> dict[int, set[int]]:
    """The groups in which each digest is."""
    groups: dict[int, set[int]] = {}
    rows = digests[folded.window, folded.slot].tolist()
    for row, group in zip(rows, folded.piece_group[folded.piece].tolist(), strict=True):
        groups.setdefault(row, set()).add(group)
    return groups


def in_one_group_each(folded: Folded, digests: np.ndarray) -> bool:
    return all(len(groups) == 1 for groups in groups_of_rows(folded, digests).values())


@pytest.mark.parametrize("shuffled", [False, True])
@given(length=st.integers(6, 1500), seed=SEEDS)
def test_no_row_is_in_two_groups_of_a_long_run(shuffled, length, seed):
    rng = np.random.default_rng(seed)
    digests = cut(rng.permutation(length).astype(np.uint64))
    if shuffled:
        digests = digests[rng.permutation(len(digests))]
    total = len(digests)
    folded = separate_windows(digests)
    assert in_one_group_each(folded, digests)
    block = max(total // 20, 20)
    sizes = np.bincount(folded.piece_group)
    assert sizes.max() <= max(block, total // 4)
    assert folded.counts["left_out_at_cuts"] == total - sizes.sum() <= 5 * -(-total // block)
    assert folded.counts["rows_in_several_groups"] == 0
    whole = separate_windows(digests, divide=False)
    assert len(whole.piece_article) == total
    assert len(set(whole.piece_group.tolist())) == 1


@given(lengths=st.lists(st.integers(6, 60), min_size=1, max_size=20), share=st.floats(0.2, 1), seed=SEEDS)
def test_each_window_is_a_piece_and_what_overlaps_is_a_group(lengths, share, seed):
    """Any part of the windows of several documents, in any order."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(sum(lengths)).astype(np.uint64)
    runs = [cut(part) for part in np.split(rows, np.cumsum(lengths)[:-1])]
    document = np.repeat(np.arange(len(runs)), [len(run) for run in runs])
    chosen = rng.permutation(len(document))[: max(int(share * len(document)), 1)]
    digests, document = np.concatenate(runs)[chosen], document[chosen]
    folded = separate_windows(digests)
    kept = folded.piece_article
    assert folded.window.tolist() == np.repeat(kept, 6).tolist()
    assert folded.slot.tolist() == folded.chunk_index.tolist() == list(range(6)) * len(kept)
    assert folded.piece.tolist() == np.repeat(np.arange(len(kept)), 6).tolist()
    assert in_one_group_each(folded, digests)
    for group in set(folded.piece_group.tolist()):
        assert len(set(document[kept[folded.piece_group == group]].tolist())) == 1
    largest = max(len(digests) // 4, max(len(digests) // 20, 20))
    for number in set(document.tolist()):
        if (document == number).sum() <= largest:  # too small to be cut
            assert (document[kept] == number).sum() == (document == number).sum()


def test_boilerplate_ties_nothing_together():
    """A row in the windows of forty documents does not make them one group."""
    rng = np.random.default_rng(0)
    runs = []
    for number in range(40):
        rows = rng.permutation(1000).astype(np.uint64)[:30] + np.uint64(1000 * number + 1)
        rows[20] = 0
        runs.append(cut(rows))
    folded = separate_windows(np.concatenate(runs))
    assert len(set(folded.piece_group.tolist())) == 40
    assert folded.counts["rows_in_several_groups"] == 1


def test_no_windows():
    folded = separate_windows(np.empty((0, 6), dtype=np.uint64))
    assert len(folded.window) == len(folded.piece_group) == 0
