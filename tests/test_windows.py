from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvm_core.windows import CONTEXT, assign_splits, context_rows, window_targets

LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=30)


@given(LENGTHS)
def test_windows_never_cross_article_borders(lengths):
    counts = np.array(lengths)
    first = np.cumsum(counts) - counts
    article = np.repeat(np.arange(len(counts)), counts)
    targets = window_targets(first, counts)
    assert len(targets) == sum(max(count - CONTEXT, 0) for count in lengths)
    assert len(set(targets.tolist())) == len(targets)
    contexts = context_rows(targets)
    assert (article[contexts] == article[targets][:, None]).all()
    assert (contexts[:, -1] == targets - 1).all()
    assert (np.diff(contexts, axis=1) == 1).all()


IDS = st.lists(st.text(min_size=1, max_size=6), unique=True, min_size=3, max_size=60)


@given(IDS, st.integers(0, 2**32 - 1))
def test_every_article_has_one_split_and_the_order_of_articles_does_not_matter(ids, seed):
    splits = dict(zip(ids, assign_splits(ids, dev=0.1, val=0.2, seed=seed), strict=True))
    assert set(splits.values()) == {"train", "dev", "val"}
    backwards = ids[::-1]
    assert dict(zip(backwards, assign_splits(backwards, dev=0.1, val=0.2, seed=seed), strict=True)) == splits


def test_shares_and_seed():
    ids = [f"a{i}" for i in range(200)]
    first, second = assign_splits(ids, dev=0.1, val=0.2, seed=0), assign_splits(ids, dev=0.1, val=0.2, seed=1)
    assert (first.count("dev"), first.count("val"), first.count("train")) == (20, 40, 140)
    assert first != second


def test_repeated_ids_are_refused():
    with pytest.raises(ValueError, match="repeat"):
        assign_splits(["a", "b", "a"], dev=0.1, val=0.2, seed=0)
