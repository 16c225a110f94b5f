"""Windows without ids stay pieces of their own, and windows that share rows stay together."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lvm_core.foreign.fold import Folded, separate_windows
from lvm_core.windows import CONTEXT
from tests.foreign_windows import SEEDS, cut


def groups_of_rows(folded: Folded, digests: np.ndarray) -> dict[int, set[int]]:
    """The groups in which each digest is."""
    groups: dict[int, set[int]] = {}
    rows = digests[folded.window, folded.slot].tolist()
    for row, group in zip(rows, folded.piece_group[folded.piece].tolist(), strict=True):
        groups.setdefault(row, set()).add(group)
    return groups


@given(st.integers(6, 1500), SEEDS)
def test_no_row_is_in_two_groups_of_a_long_run(length, seed):
    digests = cut(np.random.default_rng(seed).permutation(length).astype(np.uint64))
    total = len(digests)
    folded = separate_windows(digests, np.zeros(total, int))
    assert all(len(groups) == 1 for groups in groups_of_rows(folded, digests).values())
    limit = max(total // 20, 20)
    sizes = np.bincount(folded.piece_group)
    assert (sizes[:-1] == limit).all()
    assert sizes[-1] <= limit
    assert folded.counts["left_out_at_cuts"] == total - sizes.sum() <= CONTEXT * len(sizes)
    assert folded.counts["rows_in_several_runs"] == 0


@given(st.lists(st.integers(6, 60), min_size=1, max_size=20), SEEDS)
def test_each_separate_window_is_a_piece_and_each_run_a_group(lengths, seed):
    rows = np.random.default_rng(seed).permutation(sum(lengths)).astype(np.uint64)
    runs = [cut(part) for part in np.split(rows, np.cumsum(lengths)[:-1])]
    digests = np.concatenate(runs)
    folded = separate_windows(digests, np.zeros(len(digests), int))
    kept = folded.piece_article
    assert folded.window.tolist() == np.repeat(kept, 6).tolist()
    assert folded.slot.tolist() == folded.chunk_index.tolist() == list(range(6)) * len(kept)
    assert folded.piece.tolist() == np.repeat(np.arange(len(kept)), 6).tolist()
    assert all(len(groups) == 1 for groups in groups_of_rows(folded, digests).values())
    run_of_window = np.repeat(np.arange(len(runs)), [len(run) for run in runs])
    limit = max(len(digests) // 20, 20)
    for number, run in enumerate(runs):
        in_run = run_of_window[kept] == number
        is_cut = len(run) > max(len(digests) // 4, limit)
        assert len(set(folded.piece_group[in_run].tolist())) == (-(-len(run) // (limit + CONTEXT)) if is_cut else 1)
        assert is_cut or in_run.sum() == len(run)
    assert folded.counts == {
        "windows": len(digests),
        "left_out_at_cuts": len(digests) - len(kept),
        "rows_in_several_runs": 0,
        "rows": 6 * len(kept),
    }


def test_a_run_ends_with_its_file():
    digests = cut(np.arange(16, dtype=np.uint64))
    file = np.array([0] * 4 + [1] * 7)
    folded = separate_windows(digests, file)
    assert folded.piece_group.tolist() == [0] * 4 + [1] * 7
    assert folded.counts["rows_in_several_runs"] == 5


def test_rows_of_shuffled_windows_are_counted():
    digests = cut(np.arange(16, dtype=np.uint64))[::-1]
    folded = separate_windows(digests, np.zeros(len(digests), int))
    assert folded.piece_group.tolist() == list(range(11))
    assert folded.counts["rows_in_several_runs"] == 14, "all but the first and the last"
