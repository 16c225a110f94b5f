"""Where windows hold different rows for one chunk, both rows are named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lvm_core.importers.fold import FoldConflict
from lvm_core.windows import CONTEXT
from tests.foreign_windows import TARGET, Windows, cut_across, cut_within, join, shuffled, write_articles


@pytest.fixture
def twelve() -> Windows:
    """The seven windows of an article of twelve chunks."""
    return cut_within(write_articles([12]))


def conflict_in(windows: Windows) -> tuple[tuple[int, int], tuple[int, int], int]:
    with pytest.raises(FoldConflict) as caught:
        windows.fold()
    assert caught.value.article in windows.article
    assert str(caught.value.first) in str(caught.value)
    return caught.value.first, caught.value.second, caught.value.chunk_index


@pytest.mark.parametrize("slot", range(CONTEXT))
def test_a_changed_context_is_named_with_the_row_before(twelve, slot):
    assert conflict_in(twelve.changed(3, slot)) == ((2, slot + 1), (3, slot), 3 + slot)


def test_a_changed_target_is_named_with_the_context_after(twelve):
    assert conflict_in(twelve.changed(2, TARGET)) == ((2, TARGET), (3, CONTEXT - 1), 7)


@pytest.mark.parametrize("slot", range(3))
def test_a_changed_row_is_named_across_missing_windows(twelve, slot):
    some = twelve.take(np.array([0, 3, 6]))
    assert conflict_in(some.changed(1, slot)) == ((0, slot + 3), (1, slot), 3 + slot)


def test_a_changed_row_is_named_where_only_one_row_is_shared(twelve):
    assert conflict_in(twelve.take(np.array([1, 6])).changed(1, 0)) == ((0, TARGET), (1, 0), 6)


def test_more_new_rows_than_the_indices_have_room_for(twelve):
    skipping = replace(twelve.take(np.array([0, 2])), target_index=np.array([5, 6]))
    assert conflict_in(skipping) == ((0, TARGET), (1, CONTEXT - 1), 5)


def test_the_newest_of_several_changed_rows_is_named(twelve):
    assert conflict_in(twelve.changed(3, 1).changed(3, 3).changed(3, 0)) == ((2, 4), (3, 3), 6)


def test_windows_are_named_by_their_number_in_the_file(twelve):
    backwards = twelve.take(np.arange(7)[::-1])
    assert conflict_in(backwards.changed(3, 2)) == ((4, 3), (3, 2), 5)


@pytest.mark.parametrize("slot", range(CONTEXT + 1))
def test_an_id_given_twice_to_different_windows(twelve, slot):
    again = twelve.take(np.array([3])).changed(0, slot)
    assert conflict_in(join([twelve, again])) == ((3, slot), (7, slot), 3 + slot)


def test_of_an_id_given_twice_the_target_is_named_first(twelve):
    again = twelve.take(np.array([3])).changed(0, 2).changed(0, TARGET)
    assert conflict_in(join([twelve, again])) == ((3, TARGET), (7, TARGET), 8)


def test_the_first_of_several_ids_given_twice_is_named(twelve):
    again = twelve.take(np.array([2, 4])).changed(0, 1).changed(1, 1)
    assert conflict_in(join([twelve, again])) == ((2, 1), (7, 1), 3)


def test_an_own_context_beside_foreign_ones_is_compared_where_an_id_is_given_twice():
    articles = write_articles([10, 10])
    windows = cut_across(articles, flagged=False)
    second = int(np.flatnonzero(windows.article == articles[1].code)[1])
    again = windows.take(np.array([second])).changed(0, CONTEXT - 1)
    assert conflict_in(join([windows, again])) == ((second, CONTEXT - 1), (len(windows.file), CONTEXT - 1), 0)


@pytest.mark.parametrize("flagged", [False, True])
@pytest.mark.parametrize("place", range(1, 8))
def test_foreign_contexts_hide_no_conflict_between_own_rows(place, flagged):
    articles = write_articles([10, 10])
    windows = cut_across(articles, flagged=flagged)
    first = int(np.flatnonzero(windows.article == articles[1].code)[0])
    for slot in range(max(CONTEXT - place, 0), CONTEXT):
        changed = windows.changed(first + place, slot)
        expected = (first + place - 1, slot + 1), (first + place, slot), place - CONTEXT + slot
        assert conflict_in(changed) == expected
        assert conflict_in(shuffled(changed, 3))[2] == expected[2]
