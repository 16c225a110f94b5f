"""Windows with ids fold back into the articles that they were cut from, each chunk once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lvm_core.importers.fold import separate_windows
from lvm_core.windows import CONTEXT
from tests.foreign_windows import (
    BASES,
    LENGTHS,
    SEEDS,
    TARGET,
    Article,
    Windows,
    across_lengths,
    cut_across,
    cut_within,
    join,
    pieces,
    shuffled,
    whole,
    write_articles,
)


@given(LENGTHS, SEEDS, BASES)
def test_windows_cut_within_articles_give_the_articles_back(lengths, seed, base):
    articles = write_articles(lengths, seed, base)
    windows = cut_within(articles)
    for given_windows in (windows, shuffled(windows, seed)):
        folded = given_windows.fold()
        assert pieces(folded, given_windows) == whole(articles, given_windows)
        assert folded.piece_group.tolist() == folded.piece_article.tolist()
        long = sum(length > CONTEXT for length in lengths)
        assert folded.counts == {
            "windows": len(windows.file),
            "repeated_windows": 0,
            "crossing_windows": 0,
            "foreign_context_rows": 0,
            "index_gaps": 0,
            "pieces_split": 0,
            "articles": long,
            "rows": sum(length for length in lengths if length > CONTEXT),
        }


@given(LENGTHS, SEEDS, BASES, st.booleans())
def test_windows_cut_across_borders_give_the_articles_back(lengths, seed, base, flagged):
    lengths = across_lengths(lengths)
    articles = write_articles(lengths, seed, base)
    windows = cut_across(articles, flagged=flagged)
    folded = windows.fold()
    assert pieces(folded, windows) == whole(articles, windows)
    assert folded.counts["crossing_windows"] == sum(min(length, CONTEXT) for length in lengths[1:])
    assert folded.counts["foreign_context_rows"] == sum(sum(range(CONTEXT, 0, -1)[:length]) for length in lengths[1:])
    assert folded.counts["pieces_split"] == folded.counts["index_gaps"] == 0
    assert folded.counts["rows"] == sum(lengths)


@given(LENGTHS, SEEDS, BASES)
def test_the_order_of_windows_in_the_file_does_not_matter_where_the_metadata_tell_the_border(lengths, seed, base):
    articles = write_articles(across_lengths(lengths), seed, base)
    windows = shuffled(cut_across(articles, flagged=True), seed)
    assert pieces(windows.fold(), windows) == whole(articles, windows)


@given(LENGTHS, SEEDS)
def test_indices_from_zero_need_no_sign_of_a_border(lengths, seed):
    articles = write_articles(across_lengths(lengths), seed)
    windows = shuffled(cut_across(articles, flagged=False), seed)
    assert pieces(windows.fold(), windows) == whole(articles, windows)


@given(LENGTHS, SEEDS, st.integers(1, 4))
def test_one_article_may_lie_in_several_files(lengths, seed, files):
    articles = write_articles(lengths, seed)
    windows = cut_within(articles)
    file = np.sort(np.random.default_rng(seed).integers(files, size=len(windows.file)))
    mixed = shuffled(windows, seed)
    for given_windows in (replace(windows, file=file), replace(mixed, file=file)):
        assert pieces(given_windows.fold(), given_windows) == whole(articles, given_windows)


def test_a_border_between_files_is_no_border_between_articles():
    # The last chunks of the first article and the first of the second are equal, as where a file repeats another's end.
    first, second = write_articles([12, 12])
    second.rows[:CONTEXT] = first.rows[-CONTEXT:]
    one_file = cut_within([first, second])
    assert one_file.fold().counts["foreign_context_rows"] == sum(range(CONTEXT + 1))
    two_files = replace(one_file, file=(one_file.article == second.code).astype(np.int64))
    assert two_files.fold().counts["foreign_context_rows"] == 0
    assert pieces(two_files.fold(), two_files) == whole([first, second], two_files)


@given(LENGTHS, SEEDS, BASES, st.booleans())
def test_gaps_in_indices_do_not_split_an_article(lengths, seed, base, across):
    articles = write_articles(across_lengths(lengths), seed, base, max_step=9)
    windows = cut_across(articles, flagged=True) if across else cut_within(articles)
    folded = windows.fold()
    found = pieces(folded, windows)
    assert [(code, rows) for code, rows, _ in found] == [(code, rows) for code, rows, _ in whole(articles, windows)]
    index_of = {row: index for article in articles for row, index in zip(article.rows, article.index, strict=True)}
    targets = folded.slot == TARGET
    assert [index_of[row] for row in windows.digests[folded.window, folded.slot][targets]] == folded.chunk_index[
        targets
    ].tolist()
    chained = [
        article.index if across and number else article.index[CONTEXT:] for number, article in enumerate(articles)
    ]
    assert folded.counts["index_gaps"] == sum(int((np.diff(index) > 1).sum()) for index in chained)
    assert folded.counts["pieces_split"] == 0


def check_subset(articles: list[Article], windows: Windows) -> None:
    """What any part of an article's windows must fold to."""
    folded = windows.fold()
    position = {row: (article.code, at) for article in articles for at, row in enumerate(article.rows.tolist())}
    found = pieces(folded, windows)
    for code, rows, _ in found:
        places = [position[row] for row in rows]
        assert {article for article, _ in places} == {code}
        assert (np.diff([at for _, at in places]) == 1).all()
    rows_found = [row for _, rows, _ in found for row in rows]
    assert len(set(rows_found)) == len(rows_found), "no row is twice in the bank, whatever was split"
    assert sorted(windows.digests[folded.window[folded.slot == TARGET], TARGET].tolist()) == sorted(
        windows.digests[:, TARGET].tolist()
    )
    assert set(windows.digests[:, TARGET].tolist()) <= set(rows_found)
    assert folded.counts["pieces_split"] == len(found) - folded.counts["articles"]


SHARES = st.sampled_from([0.05, 0.3, 0.7, 1.0])


@given(LENGTHS, SEEDS, SHARES, st.sampled_from([1, 3, 9]))
def test_some_windows_of_articles_with_any_indices(lengths, seed, share, max_step):
    articles = write_articles(lengths, seed, base=seed % 2, max_step=max_step)
    windows = cut_within(articles)
    check_subset(articles, windows.take(np.random.default_rng(seed).random(len(windows.file)) < share))


@given(LENGTHS, SEEDS, SHARES, st.booleans())
def test_some_windows_of_a_file_cut_across_borders(lengths, seed, share, flagged):
    articles = write_articles(across_lengths(lengths), seed)
    windows = cut_across(articles, flagged=flagged)
    check_subset(articles, windows.take(np.random.default_rng(seed).random(len(windows.file)) < share))


@given(LENGTHS, SEEDS, SHARES)
def test_contiguous_windows_split_only_where_they_share_no_row(lengths, seed, share):
    articles = write_articles(lengths, seed)
    windows = cut_within(articles)
    some = windows.take(np.random.default_rng(seed).random(len(windows.file)) < share)
    folded = some.fold()
    far = sum(int((np.diff(some.target_index[some.article == a.code]) > CONTEXT).sum()) for a in articles)
    assert folded.counts["pieces_split"] == far
    assert folded.counts["index_gaps"] == 0
    index_of = {row: index for article in articles for row, index in zip(article.rows, article.index, strict=True)}
    assert [index_of[row] for row in some.digests[folded.window, folded.slot]] == folded.chunk_index.tolist()


def test_pieces_of_an_article_share_its_group():
    articles = write_articles([40, 20])
    windows = cut_within(articles)
    a, b = articles[0].code, articles[1].code
    folded = windows.take(np.flatnonzero(~np.isin(np.arange(len(windows.file)), np.arange(5, 25)))).fold()
    assert folded.piece_article.tolist() == folded.piece_group.tolist() == [a, a, b]
    assert folded.counts["pieces_split"] == 1


@given(LENGTHS, SEEDS, st.booleans())
def test_boilerplate_inside_an_article_does_not_mislead(lengths, seed, across):
    articles = write_articles(across_lengths(lengths), seed)
    rng = np.random.default_rng(seed)
    for number, article in enumerate(articles):
        article.rows = (3 * number + rng.integers(3, size=len(article.rows))).astype(np.uint64)
    windows = cut_across(articles, flagged=False) if across else cut_within(articles)
    for given_windows in (windows, shuffled(windows, seed)):
        assert pieces(given_windows.fold(), given_windows) == whole(articles, given_windows)


def test_the_shift_by_index_is_preferred_and_else_the_smallest():
    row = np.uint64(7)
    constant = Windows(
        np.full((3, 6), row), np.zeros(3, int), np.array([5, 8, 15]), np.zeros(3, bool), np.zeros(3, int)
    )
    folded = constant.fold()
    assert folded.chunk_index.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 15]
    assert (folded.counts["index_gaps"], folded.counts["pieces_split"]) == (1, 0)


@given(LENGTHS, SEEDS, st.booleans())
def test_repeated_windows_change_nothing(lengths, seed, across):
    articles = write_articles(across_lengths(lengths), seed)
    windows = cut_across(articles, flagged=False) if across else cut_within(articles)
    twice = join([windows, shuffled(windows, seed)])
    folded = twice.fold()
    assert pieces(folded, twice) == pieces(windows.fold(), windows)
    assert folded.window.max(initial=0) < max(len(windows.file), 1), "the first of repeated windows is kept"
    assert folded.counts.pop("windows") == 2 * folded.counts.pop("repeated_windows") == 2 * len(windows.file)
    without = windows.fold().counts
    assert folded.counts == {name: without[name] for name in folded.counts}


def test_any_of_repeated_windows_may_show_the_border():
    articles = write_articles([12, 12], base=1)
    windows = cut_across(articles, flagged=False)
    border = int(np.flatnonzero(windows.article == articles[1].code)[0])
    # Alone in a file before the others, the window has no neighbour that shows the border.
    with_copy = join([windows.take(np.array([border])), windows])
    assert pieces(with_copy.fold(), with_copy) == whole(articles, with_copy)


def test_padding_before_the_first_chunk_is_not_taken_and_not_compared():
    articles = write_articles([10, 10])
    windows = cut_across(articles, flagged=False)
    padded = windows.take(np.flatnonzero(windows.article == articles[1].code))
    rng = np.random.default_rng(0)
    foreign = np.arange(CONTEXT + 1) < CONTEXT - padded.target_index[:, None]
    padded.digests[foreign] = rng.integers(1000, 2000, size=int(foreign.sum()), dtype=np.uint64)
    other_padding = replace(padded, digests=np.where(foreign, np.uint64(3), padded.digests))
    for given_windows in (padded, other_padding, join([padded, other_padding])):
        folded = given_windows.fold()
        assert pieces(folded, given_windows) == whole(articles, given_windows)
        assert (folded.counts["crossing_windows"], folded.counts["foreign_context_rows"]) == (5, 15)


def test_a_piece_after_the_first_has_no_foreign_contexts():
    articles = write_articles([10, 12])
    windows = cut_across(articles, flagged=True)
    first = int(np.flatnonzero(windows.article == articles[1].code)[0])
    folded = windows.take(np.array([first, first + 8])).fold()
    assert folded.piece.tolist() == [0] + [1] * 6
    assert folded.chunk_index.tolist() == [0, *range(3, 9)]
    assert (folded.counts["crossing_windows"], folded.counts["foreign_context_rows"]) == (1, 5)


def test_a_sign_of_a_border_at_a_later_window_is_not_heeded():
    twelve = cut_within(write_articles([12]))
    folded = replace(twelve, starts_foreign=np.arange(7) > 0).fold()
    assert folded.chunk_index.tolist() == list(range(12))
    assert folded.counts["crossing_windows"] == 0


def test_windows_of_one_article_make_no_border_in_whatever_order_they_come():
    constant = Windows(
        np.full((3, 6), np.uint64(7)), np.zeros(3, int), np.array([7, 6, 5]), np.zeros(3, bool), np.zeros(3, int)
    )
    assert constant.fold().chunk_index.tolist() == list(range(8))


def test_single_windows():
    digests = np.arange(6, dtype=np.uint64)[None]
    for index, flag, kept in [(0, False, 1), (0, True, 1), (1, True, 1), (2, False, 3), (5, False, 6), (900, False, 6)]:
        alone = Windows(digests, np.array([4]), np.array([index]), np.array([flag]), np.array([0]))
        folded = alone.fold()
        assert pieces(folded, alone) == [(4, list(range(6 - kept, 6)), list(range(index - kept + 1, index + 1)))]
        assert folded.counts["foreign_context_rows"] == 6 - kept


def test_no_windows():
    nothing = Windows(
        np.empty((0, 6), np.uint64), np.empty(0, int), np.empty(0, int), np.empty(0, bool), np.empty(0, int)
    )
    for folded in (nothing.fold(), separate_windows(nothing.digests)):
        assert pieces(folded, nothing) == []
        assert not any(folded.counts.values())
