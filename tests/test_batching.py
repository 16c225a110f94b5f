"""Batches of windows, of articles' runs, and the rows that losses look at beside the window."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lvm_core.train.sampling import (
    RUN,
    Articles,
    article_batches,
    candidates_of,
    future_of,
    window_batches,
    with_chunk_ahead,
)
from lvm_core.windows import window_targets

LENGTHS = [40, 5, 6, 7, 90, 12]


def articles_of(lengths) -> Articles:
    return Articles.from_rows(np.repeat(np.arange(len(lengths)), lengths))


def targets_of(lengths) -> np.ndarray:
    counts = np.array(lengths)
    return window_targets(np.cumsum(counts) - counts, counts)


def test_where_articles_begin_and_end():
    articles = articles_of([3, 1, 2])
    assert articles.start.tolist() == [0, 3, 4, 6]
    assert articles.end_of(np.array([0, 2, 3, 5])).tolist() == [3, 3, 4, 6]
    assert articles.chunks_of(np.array([5, 0])).tolist() == [0, 1, 2, 4, 5]


def test_windows_are_the_draw_that_they_always_were():
    rows = torch.arange(100, 137)
    order = torch.randperm(37, generator=torch.Generator().manual_seed(5))
    batches = window_batches(rows, 10, 5)
    assert [len(batch) for batch in batches] == [10, 10, 10, 7]
    assert torch.equal(torch.cat(list(batches)), rows[order])


@given(st.lists(st.integers(6, 80), min_size=1, max_size=12), st.integers(1, 100), st.integers(0, 5), st.floats(0, 1))
def test_every_window_of_the_phase_once_an_epoch_in_whole_runs(lengths, size, seed, share):
    articles = articles_of(lengths)
    rows = targets_of(lengths)
    rows = rows[np.random.default_rng(seed).random(len(rows)) <= share]
    batches = article_batches(rows, size, seed, articles) if len(rows) else []
    assert sorted(np.concatenate([np.empty(0, int), *batches]).tolist()) == rows.tolist()
    assert all(0 < len(batch) <= size for batch in batches)
    # whole runs: the windows of an article in a batch come in stretches of consecutive windows of the phase
    place = {row: index for index, row in enumerate(rows.tolist())}
    runs = [
        run
        for batch in batches
        for run in np.split(batch, np.flatnonzero(np.diff([place[row] for row in batch.tolist()]) != 1) + 1)
    ]
    shortest = sum(-(-int((articles.of_row[rows] == a).sum()) // min(RUN, size)) for a in range(len(lengths)))
    assert len(runs) <= shortest


def test_batches_are_about_as_large_as_asked():
    lengths = [117] * 60
    batches = article_batches(targets_of(lengths), 64, 0, articles_of(lengths))
    sizes = np.array([len(batch) for batch in batches])
    assert sizes[:-1].min() > 64 - RUN
    assert sizes.mean() > 55


def test_an_epoch_has_its_own_order_and_the_seed_gives_it_again():
    articles, rows = articles_of(LENGTHS), targets_of(LENGTHS)
    first, again, other = (
        [batch.tolist() for batch in article_batches(rows, 32, seed, articles)] for seed in (0, 0, 1)
    )
    assert first == again != other


def test_several_articles_share_a_batch():
    lengths = [117] * 60
    batches = article_batches(targets_of(lengths), 64, 0, articles_of(lengths))
    touched = [len(set((batch // 117).tolist())) for batch in batches[:-1]]
    assert min(touched) >= 2


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(0, 3), st.integers(0, 2))
def test_candidates_are_the_chunks_of_the_article_but_exactly_the_context(lengths, seed, ahead):
    articles = articles_of(lengths)
    rows = with_chunk_ahead(targets_of(lengths), ahead, articles)
    if not len(rows):
        return
    rows = np.random.default_rng(seed).permutation(rows)[:10]
    chunks, allowed, target = candidates_of(rows, articles, ahead)
    for window, row in enumerate(rows.tolist()):
        own = np.flatnonzero(articles.of_row == articles.of_row[row]).tolist()
        expected = [chunk for chunk in own if not row - 5 <= chunk < row]
        assert chunks[allowed[window]].tolist() == expected
        assert chunks[target[window]] == row + ahead
        assert allowed[window, target[window]]


def test_chunks_of_an_article_are_gathered_once():
    chunks, _, _ = candidates_of(np.array([50, 7, 51, 8, 9]), articles_of([40, 40]))
    assert chunks.tolist() == list(range(80))


def test_future_rows_stay_within_the_article():
    articles = articles_of([8, 9])
    rows, has = future_of(np.array([5, 6, 7, 15]), 2, articles)
    assert has.tolist() == [[True, True], [True, False], [False, False], [True, False]]
    assert rows.tolist() == [[6, 7], [7, 6], [7, 7], [16, 15]]


@pytest.mark.parametrize(("ahead", "left"), [(0, [5, 6, 13]), (1, [5]), (2, [])])
def test_windows_whose_article_ends_too_early_are_left_out(ahead, left):
    articles = articles_of([7, 1, 6])
    assert with_chunk_ahead(np.array([5, 6, 13]), ahead, articles).tolist() == left
