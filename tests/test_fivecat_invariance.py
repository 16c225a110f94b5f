"""What must not change the figures: batches, threads, the order of the articles, a rotation, half precision."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lvm_core.bank import Bank
from lvm_core.config.groups import EvaluateParams
from lvm_core.fivecat import windows as windows_module
from lvm_core.fivecat.evaluate import evaluate
from lvm_core.fivecat.measures import Predictor
from lvm_core.fivecat.references import context_mean, copy_last, fit_linear5, oracle
from lvm_core.fivecat.windows import canonical_windows, iterate_batches
from tests.synthetic import articles_in, bank_of, make_bank, permuted, unit
from tests.test_fivecat import assert_same
from tests.test_fivecat_naive import PREDICTORS, small_model

LENGTHS = {"train": [30] * 4, "val": [6, 7, 8, 9, 15, 24, 40, 11, 60, 33], "ood": [12, 30]}


@pytest.fixture(scope="module")
def bank() -> Bank:
    """With a chunk that occurs three times in its article, twice of them in one window."""
    articles = articles_in(make_bank(LENGTHS, 32))
    copied = articles[4 + 6][2].copy()
    copied[[20, 22]] = copied[5]
    return bank_of([*articles, ("copied", "val", copied)])


def test_the_batch_size_changes_nothing(bank: Bank) -> None:
    """For a model beside which the memory is read."""
    model, less_memory = small_model(32), PREDICTORS["memory"]
    both = Predictor("both", lambda *given: model(*given) + less_memory(*given), "memory")
    for split, sizes in {"val": (512, 7, 65_536), "ood": (512, 1)}.items():  # a window a batch: of the few of ood
        usual, *others = (evaluate(bank, split, both, EvaluateParams(batch_size=size)) for size in sizes)
        for other in others:
            assert_same(usual, other, 1e-6)


@given(batch_size=st.integers(1, 40), largest=st.integers(1, 2000))
def test_batches_hold_every_window_once_whatever_their_size(batch_size: int, largest: int) -> None:
    """A batch is short where articles are long, so that the matrices of scores stay small."""
    small = make_bank({"val": [6, 31, 3, 12, 19]}, 4)
    windows = canonical_windows(small, "val")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows_module, "LARGEST_SCORES", largest)
        cut = list(iterate_batches(small, windows, batch_size, "cpu"))
    assert np.concatenate([batch.index for batch in cut]).tolist() == list(range(len(windows)))
    for batch in cut:
        assert len(batch) <= batch_size
        assert len(batch) == 1 or len(batch) * batch.n_chunks.max() <= largest
        np.testing.assert_array_equal(batch.at_offset(1).numpy(), small.vectors[batch.rows])


def test_shorter_batches_change_nothing(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = evaluate(bank, "val", small_model(32))
    monkeypatch.setattr(windows_module, "LARGEST_SCORES", 300)
    assert_same(usual, evaluate(bank, "val", small_model(32)), 1e-6)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_number_of_threads_changes_nothing(two_threads: None) -> None:
    """Wide and long enough for torch to share out its work: it does so from 32,768 numbers on."""
    wide = make_bank({"train": [20], "val": [70] * 6}, 96)
    predictors = (small_model(96), fit_linear5(wide))
    assert torch.get_num_threads() == 2
    shared = [evaluate(wide, "val", predictor) for predictor in predictors]
    torch.set_num_threads(1)
    for predictor, with_two in zip(predictors, shared, strict=True):
        assert_same(evaluate(wide, "val", predictor), with_two, 1e-6)


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_the_articles_changes_nothing(seed: int) -> None:
    one = make_bank({"train": [9], "val": [6, 8, 25, 12, 12], "ood": [14]}, 8)
    other = permuted(one, seed)
    for split, predictor in (("val", small_model(8)), ("ood", context_mean())):
        first, second = (evaluate(b, split, predictor, seed=seed) for b in (one, other))
        assert_same(first, second, 1e-6, ignore=("row",))


def test_a_rotation_of_all_vectors_changes_nothing(bank: Bank) -> None:
    """Every figure is made of cosines, so only a predictor that prefers some directions can tell."""
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((32, 32)))[0]
    turned = bank_of([(name, split, vectors @ turn) for name, split, vectors in articles_in(bank)])
    for predictor in (copy_last(), context_mean()):
        assert_same(evaluate(bank, "val", predictor), evaluate(turned, "val", predictor), 2e-6)
    preferring = Predictor("first axis", lambda contexts, rows, memory: contexts.mean(1) + torch.eye(32)[0])
    moved = [evaluate(b, "val", preferring).summary["cosine"] for b in (bank, turned)]
    assert abs(moved[0] - moved[1]) > 1e-3


HALF = 2.0**-11
"""Unit roundoff of float16: a number that is not tiny is off by at most this share of itself (IEEE 754, 10 stored
bits). So a rounded vector is off by at most HALF of its length, and again made unit, by at most as much: only the part
of the error across the vector is left. The cosine of two such vectors is off by at most 2 HALF, about 0.001."""
SLACK = 1e-5
"""Numbers below 2^-14, which float16 rounds to multiples of 2^-24 (64 of them: 2.4e-7 a vector), terms of second order
(HALF squared) and the rounding of float32."""


def both_precisions() -> tuple[Bank, Bank]:
    single = make_bank(LENGTHS, 64, seed=2)
    return single, bank_of(articles_in(single), np.float16)


def cosines_of(bank: Bank, predictor: Predictor) -> dict[str, np.ndarray]:
    table = evaluate(bank, "val", predictor).windows
    names = [
        name for name in map(str, table) if name.startswith(("cos_", "rollout_cosine", "published_rollout_cosine"))
    ]
    return {name: table[name].to_numpy(dtype=np.float64) for name in names}


@pytest.mark.parametrize("name", ["oracle", "copy_last"])
def test_a_float16_bank_moves_no_cosine_by_more_than_its_rounding(name: str) -> None:
    """Both predictors answer with a chunk, at each rollout step too: every cosine is one of two chunks."""
    single, half = both_precisions()
    first, second = (cosines_of(b, oracle(b) if name == "oracle" else copy_last()) for b in (single, half))
    moved = {column: np.abs(first[column] - second[column]) for column in first}
    for column, by in moved.items():
        np.testing.assert_array_equal(np.isnan(first[column]), np.isnan(second[column]))
        assert not (by > 2 * HALF + SLACK).any(), column
    assert np.nanmax(moved["cos_k-2"]) > HALF / 100  # the banks do differ


def test_a_float16_bank_moves_a_mean_of_chunks_by_little_more() -> None:
    """The mean of five chunks is off by at most HALF too, but is shorter: its direction by HALF over its length."""
    single, half = both_precisions()
    first, second = (evaluate(b, "val", context_mean()) for b in (single, half))
    bound = HALF * (1 + 1 / first.windows["raw_norm"].min()) + SLACK
    one, two = first.summary, second.summary
    profile = [abs(one["profile"][k] - two["profile"][k]) for k in one["profile"]]
    assert max(profile) <= bound
    assert abs(one["raw_norm"] - two["raw_norm"]) <= HALF + SLACK
    for margin in ("margin", "margin_last", "margin_unseen"):  # a difference of two means, or of the best of several
        assert abs(one[margin] - two[margin]) <= 2 * bound


def test_a_float16_bank_moves_only_ranks_that_were_close() -> None:
    """Two cosines, each off by at most 2 HALF, change places only where they were within 4 HALF of each other."""
    single, half = both_precisions()
    first, second = (evaluate(b, "val", copy_last()).windows for b in (single, half))
    windows = canonical_windows(single, "val")
    clear = np.empty(len(windows), dtype=bool)
    for i, (row, position) in enumerate(zip(windows.rows, windows.position, strict=True)):
        article = windows.article[i]
        start, count = windows.first_row[article], windows.n_chunks[article]
        scores = single.vectors[start : start + count] @ single.vectors[row - 1]
        clear[i] = np.delete(np.abs(scores - scores[position]), position).min() > 4 * HALF + SLACK
    assert clear.mean() > 0.4
    for name in ("recall_at_1", "recall_at_5", "mrr", "recall_at_1_unmasked", "recall_at_5_unmasked", "mrr_unmasked"):
        np.testing.assert_array_equal(first.loc[clear, name], second.loc[clear, name])
    one, two = (evaluate(b, "val", copy_last()).summary for b in (single, half))
    assert one["windows"] == two["windows"]
    for name in ("recall_at_5", "recall_at_5_unmasked"):
        assert abs(one[name] - two[name]) <= 1 - clear.mean()


def test_a_target_that_repeats_a_context_chunk() -> None:
    """Masked, its twin in the context is no candidate; unmasked, the two share the first place."""
    chunks = unit(np.random.default_rng(3).standard_normal((16, 16)))
    chunks[9] = chunks[8]
    table = evaluate(bank_of([("a", "val", chunks)]), "val", copy_last()).windows.set_index("position")
    at = table.loc[9]
    assert at["cos_k+1"] == pytest.approx(1.0, abs=1e-6)
    assert (at["recall_at_1"], at["mrr"]) == (1.0, 1.0)
    assert (at["recall_at_1_unmasked"], at["mrr_unmasked"]) == (0.5, 0.75)
