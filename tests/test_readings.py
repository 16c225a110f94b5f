"""What a predictor is given of an article, and laws of the readings of retrieval."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lvm_core.bank import Bank, reversed_bank
from lvm_core.bank.chunks import PRIOR, Memory, gather_chunks, mean_chunk
from lvm_core.config.figures import READINGS
from lvm_core.config.groups import EvaluateParams
from lvm_core.fivecat.evaluate import Evaluation, evaluate, evaluate_splits, judgement_of
from lvm_core.fivecat.measures import Predictor
from lvm_core.fivecat.references import oracle
from lvm_core.fivecat.statistics import interval
from lvm_core.runtime.errors import LvmError
from tests.synthetic import articles_in, bank_of, make_bank

PARAMS = EvaluateParams(min_candidates=3, full_bank=False, contrastive_targets=0, rollout_steps=3)
LENGTHS = st.lists(st.integers(1, 21), min_size=1, max_size=6)


def less_mean(contexts: torch.Tensor, rows: np.ndarray, memory: torch.Tensor | None) -> torch.Tensor:
    mixed = contexts[:, -1] + 0.4 * contexts[:, -2]
    return mixed if memory is None else mixed - 0.6 * memory


PREDICTORS = [Predictor(sees, less_mean, sees) for sees in ("context", "memory", "document")]


def naive_means(bank: Bank) -> tuple[np.ndarray, np.ndarray]:
    """[N, D] float64 each: of the chunks of the article before each row, and of all; shrunk to the mean of train."""
    chunks = gather_chunks(bank, np.arange(len(bank.vectors))).double().numpy()
    train = np.isin(bank.article_of_row, bank.articles_of("train").index)
    prior = PRIOR * chunks[train].mean(0) if train.any() else 0.0
    before, whole = np.empty_like(chunks), np.empty_like(chunks)
    for row, article in enumerate(bank.article_of_row):
        rows = np.flatnonzero(bank.article_of_row == article)
        for means, some in ((before, rows[rows < row]), (whole, rows)):
            means[row] = (chunks[some].sum(0) + prior) / (len(some) + PRIOR)
    return before, whole


@settings(deadline=None, max_examples=30)
@given(
    lengths=LENGTHS, train=st.booleans(), half=st.booleans(), stride=st.integers(1, 9), block=st.integers(1, 3),
    backwards=st.booleans(),
)  # fmt: skip
def test_the_means_are_the_naive_ones(
    lengths: list[int], train: bool, half: bool, stride: int, block: int, backwards: bool
) -> None:
    """Wherever articles begin and end among the rows with a sum, and among the blocks in which these are made."""
    bank = make_bank({"val": lengths, "train": [7, 12] * train}, 4, sum(lengths), np.float16 if half else np.float32)
    bank = reversed_bank(bank) if backwards else bank
    rows = torch.arange(len(bank.vectors))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Memory, "STRIDE", stride)
        patch.setattr(Memory, "BLOCK", block)
        memory = Memory.of_bank(bank)
    memory.STRIDE = stride
    found = memory.before(rows), memory.whole(rows)
    for means, naive in zip(found, naive_means(bank), strict=True):
        np.testing.assert_allclose(means.numpy(), naive, atol=1e-6)


def test_an_evaluation_hands_over_what_a_predictor_sees() -> None:
    """And in a rollout that of the last real chunk; nothing to what sees the context alone."""
    bank = make_bank({"train": [9], "val": [17, 8, 11], "ood": [6]}, 6)
    memory = Memory.of_bank(bank)
    for sees, mean in (("context", None), ("memory", memory.before), ("document", memory.whole), ("answer", None)):
        asked: list[tuple[np.ndarray, torch.Tensor | None]] = []

        def predict(
            contexts: torch.Tensor, rows: np.ndarray, memory: torch.Tensor | None, asked: Any = asked
        ) -> torch.Tensor:
            asked.append((rows, memory))
            return contexts[:, -1]

        done = evaluate(bank, "val", Predictor("spy", predict, sees), PARAMS)  # type: ignore[arg-type]
        assert done.sees == judgement_of({"val": done}).sees == sees
        whole = done.windows.loc[done.windows["rollout_cosine_1"].notna(), "row"].to_numpy()
        last_real = [done.windows["row"].to_numpy()] * 6 + [whole] * 2  # the prediction, five ablations, two steps
        last_real[2:2] = [last_real[0]] * 3  # one of them leaves out four chunks in turn
        for (rows, handed), targets in zip(asked, last_real, strict=True):
            assert len(rows) == len(targets)
            if mean is None:
                assert handed is None
            else:
                assert handed is not None
                np.testing.assert_allclose(handed.numpy(), mean(torch.tensor(targets)).numpy(), atol=1e-7)


@settings(deadline=None, max_examples=8)
@given(lengths=LENGTHS, half=st.booleans(), train=st.booleans())
def test_laws_of_the_readings(lengths: list[int], half: bool, train: bool) -> None:
    """The oracle is perfect in all of them; a forward rank is never worse than the masked one."""
    bank = make_bank({"val": lengths, "train": [7] * train}, 12, sum(lengths), np.float16 if half else np.float32)
    for predictor in (oracle(bank), *PREDICTORS):
        table = evaluate(bank, "val", predictor, PARAMS).windows
        ranked = [f"rollout_recall_at_5_{step}" for step in range(1, 4)]
        for name in ("recall_at_1", "recall_at_5", "mrr", *ranked):
            masked, forward, centred = (table[f"{name}{reading}"].to_numpy() for reading in READINGS)
            if predictor.sees == "answer":
                assert all((one[~np.isnan(one)] == 1.0).all() for one in (masked, forward, centred))
            both = ~np.isnan(forward)
            assert (forward[both] >= masked[both]).all()
            assert (np.isnan(masked) == np.isnan(centred)).all()
        assert (table["mrr_forward"].notna() == (table["candidates_forward"] >= PARAMS.min_candidates)).all()


def moved_before(bank: Bank, seed: int) -> tuple[Bank, int]:
    """A bank of one article, and the same with the chunks before the last window's context in another order."""
    rng = np.random.default_rng(seed)
    name, split, vectors = articles_in(bank)[-1]
    early = len(vectors) - 5 - 8
    moved = np.roll(np.arange(early), rng.integers(1, early))
    order = np.concatenate([moved, np.arange(early, len(vectors))])
    return bank_of([*articles_in(bank)[:-1], (name, split, vectors[order])]), early + 5


@settings(deadline=None, max_examples=5)
@given(length=st.integers(15, 40), seed=st.integers(0, 99))
def test_what_stood_before_the_five_chunks_changes_nothing_ahead(length: int, seed: int) -> None:
    """In which order, to be exact: what sees a mean sees the same one; and no candidate lies there."""
    bank = make_bank({"train": [8], "val": [length]}, 8, seed)
    other, since = moved_before(bank, seed)
    assert (bank.vectors != other.vectors).any()
    for predictor in PREDICTORS:
        tables = [evaluate(one, "val", predictor, PARAMS).windows for one in (bank, other)]
        one, two = (table[table["position"] >= since].reset_index() for table in tables)
        assert len(one) == 8
        names = [name for name in map(str, one) if name.endswith("_forward") or name in ("cos_k+1", "rollout_cosine_3")]
        for name in names:
            np.testing.assert_allclose(one[name], two[name], atol=1e-6, err_msg=f"{predictor.name} {name}")


def test_steps_of_two_predictors_can_be_subtracted_draw_by_draw() -> None:
    bank = make_bank({"train": [20], "val": [30] * 12, "ood": [25] * 4}, 12)

    def judged(weight: float) -> tuple[Any, dict[str, Evaluation]]:
        mixed = Predictor("mixed", lambda contexts, rows, memory: contexts[:, -1] + weight * contexts[:, -2])
        done = evaluate_splits(bank, mixed, PARAMS)
        return judgement_of(done), done

    (one, _), (other, done) = judged(0.0), judged(0.02)
    for reading in READINGS:
        key = f"val_rollout_recall_at_5_3{reading}"
        low, high = interval(one.draws[key] - other.draws[key])
        assert low is not None
        assert high is not None
        assert low <= one.value[key] - other.value[key] <= high
        own = other.interval(key)
        step = done["val"].summary["rollout_by_step"]["3"]
        assert own == (step[f"recall_at_5{reading}_lo"], step[f"recall_at_5{reading}_hi"])
        assert high - low < own[1] - own[0]


def test_a_predictor_that_sees_something_else_is_one_line() -> None:
    with pytest.raises(LvmError, match=r"^mine: sees = 'memories'; must be one of context, memory, document, answer$"):
        Predictor("mine", less_mean, "memories")  # type: ignore[arg-type]


@pytest.mark.parametrize("sees", ["memory", "document"])
def test_an_empty_split_and_a_bank_without_train(sees: Any) -> None:
    bank = make_bank({"val": [12]}, 6)
    assert not mean_chunk(bank, "train").any()
    assert evaluate(bank, "val", Predictor("mine", less_mean, sees), PARAMS).summary["cosine"] is not None
    assert evaluate(bank, "ood", Predictor("mine", less_mean, sees), PARAMS).summary["cosine"] is None
