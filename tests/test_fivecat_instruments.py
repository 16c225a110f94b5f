"""Contrastive accuracy, PAR, centred cosine and retrieval among all chunks, against loops over windows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lvm_core.bank.chunks import mean_chunk
from lvm_core.config.groups import EvaluateParams
from lvm_core.fivecat.evaluate import evaluate
from lvm_core.fivecat.measures import contrastive_column, draw_targets
from lvm_core.fivecat.references import (
    article_centroid,
    context_mean,
    copy_last,
    corpus_mean,
    oracle,
    random_directions,
)
from lvm_core.fivecat.windows import canonical_windows
from tests.synthetic import articles_in, bank_of, make_bank, permuted, unit

BANK = make_bank({"train": [30, 12], "val": [6, 25, 40, 9], "ood": [20]}, dimension=12, seed=3)


def predictions_of(predictor, windows):
    """[W, D] unit predictions, one window at a time."""
    rows = windows["row"].to_numpy()
    contexts = torch.from_numpy(np.stack([BANK.vectors[row - 5 : row] for row in rows]))
    return unit(predictor(contexts, rows).double().numpy())


@pytest.mark.parametrize("count", [1, 7, 1000])
@pytest.mark.parametrize("predictor", [copy_last(), context_mean(), random_directions(BANK, 5), oracle(BANK)])
def test_contrastive_accuracy_is_the_share_of_targets_that_lie_further_off(predictor, count):
    done = evaluate(BANK, "val", predictor, EvaluateParams(contrastive_targets=count), seed=4).windows
    others = draw_targets(canonical_windows(BANK, "val"), count, 4)
    assert len(others) == min(count, len(done))
    for row, prediction, found in zip(done["row"], predictions_of(predictor, done), done["contrastive"], strict=True):
        distance = np.linalg.norm(BANK.vectors - prediction, axis=1)
        rivals = [other for other in others if abs(other - row) > 1]
        further = [float(distance[other] > distance[row]) for other in rivals]
        assert found == pytest.approx(np.mean(further), nan_ok=True) if rivals else np.isnan(found)


def test_contrastive_accuracy_of_the_perfect_the_random_and_the_constant():
    bank = make_bank({"train": [20], "val": [60] * 10}, dimension=24)

    def score(predictor):
        return evaluate(bank, "val", predictor).summary["contrastive_accuracy"]

    assert score(oracle(bank)) == 1.0
    # 550 windows, each a uniform rank: standard deviation 0.29 / sqrt(550) = 0.012
    assert score(random_directions(bank, 1)) == pytest.approx(0.5, abs=0.05)
    assert score(lambda contexts: torch.zeros(len(contexts), 24)) == 0.5  # all tied
    assert score(copy_last()) > 0.6


def test_ties_count_half_and_neighbours_do_not_count():
    vectors = torch.eye(4)[[0, 0, 1, 2]]
    rows = np.array([10])
    others = np.array([9, 10, 20, 30])  # the neighbour before, the truth, a tie and a loser
    predictions, own = torch.tensor([[0.6, 0.6, 0.5, 0.1]]), np.array([0.6], dtype=np.float32)
    assert contrastive_column(predictions, own, rows, others, vectors) == pytest.approx([(0.5 + 1) / 2])
    assert np.isnan(contrastive_column(predictions, own, rows, others[:2], vectors[:2]))
    assert np.isnan(contrastive_column(predictions, own, rows, others[:0], vectors[:0]))


def test_the_drawn_targets_depend_on_the_seed_but_not_on_the_order_of_the_bank():
    def drawn(bank, seed):
        return {bank.vectors[row].tobytes() for row in draw_targets(canonical_windows(bank, "val"), 9, seed)}

    assert drawn(BANK, 2) == drawn(permuted(BANK, 1), 2)
    assert len(drawn(BANK, 2)) == len(drawn(BANK, 3)) == 9
    assert drawn(BANK, 2) != drawn(BANK, 3)


@pytest.mark.parametrize("block", [4096, 17])
@pytest.mark.parametrize("predictor", [copy_last(), context_mean(), article_centroid(BANK), oracle(BANK)])
def test_retrieval_among_all_chunks_agrees_with_a_sort(monkeypatch, predictor, block):
    monkeypatch.setattr("lvm_core.fivecat.ranking.BLOCK", block)
    done = evaluate(BANK, "val", predictor, EvaluateParams(batch_size=13)).windows
    for place, (row, prediction) in enumerate(zip(done["row"], predictions_of(predictor, done), strict=True)):
        scores = BANK.vectors @ prediction
        rivals = np.delete(scores, np.arange(row - 5, row + 1))
        greater, tied = (rivals > scores[row] + 1e-6).sum(), (np.abs(rivals - scores[row]) <= 1e-6).sum()
        for k in (1, 5, 10):
            expected = np.clip((k - greater) / (tied + 1), 0, 1)
            assert done[f"full_bank_recall_at_{k}"][place] == pytest.approx(expected)


def test_duplicates_in_other_articles_share_the_place():
    articles = articles_in(BANK)
    twin = make_bank({"ood": [20]}, dimension=12, seed=9).vectors.copy()
    articles[-1] = ("last", "ood", twin)
    articles[0][2][:] = np.resize(twin, articles[0][2].shape)  # 30 chunks of train, 20 distinct ones
    bank = bank_of(articles)
    found = evaluate(bank, "ood", oracle(bank)).windows["full_bank_recall_at_1"]
    copies = 1 + np.array([1 + (position < 10) for position in range(5, 20)])
    assert found.to_numpy() == pytest.approx(1 / copies)


def test_the_full_bank_can_be_left_out_and_a_tiny_one_has_no_ranks():
    summary = evaluate(BANK, "val", copy_last(), EvaluateParams(full_bank=False)).summary
    assert {summary[f"full_bank_recall_at_{k}"] for k in (1, 5, 10)} == {None}
    assert summary["windows"]["full_bank"] == 0
    tiny = make_bank({"val": [9]})
    assert evaluate(tiny, "val", copy_last()).summary["windows"]["full_bank"] == 0


def test_par_is_one_for_the_truth_and_follows_the_definition():
    assert evaluate(BANK, "val", oracle(BANK)).summary["par"] == pytest.approx(1.0, abs=1e-6)
    done = evaluate(BANK, "val", copy_last())
    best = [(BANK.vectors[row - 5 : row] @ BANK.vectors[row]).max() for row in done.windows["row"]]
    assert done.summary["par"] == pytest.approx(1 / np.mean(best), abs=1e-5)  # a copy has cosine 1 with its original


def test_the_centred_cosine_takes_the_mean_of_the_split_off_both_sides():
    centre = BANK.vectors[42:122].mean(0, dtype=np.float64)
    np.testing.assert_allclose(mean_chunk(BANK, "val"), centre, atol=1e-7)
    predictor = context_mean()
    done = evaluate(BANK, "val", predictor).windows
    prediction, truth = predictions_of(predictor, done) - centre, BANK.vectors[done["row"]] - centre
    expected = (unit(prediction) * unit(truth)).sum(1)
    np.testing.assert_allclose(done["centred_cosine"], expected, atol=1e-5)
    assert evaluate(BANK, "val", oracle(BANK)).summary["centred_cosine"] == pytest.approx(1, abs=1e-6)


def test_neither_blur_nor_chance_has_a_centred_cosine_to_speak_of():
    """Where a common direction makes plain cosines large, also that of another source."""
    rng = np.random.default_rng(0)
    common = {split: 3 * rng.standard_normal(16) for split in ("home", "ood")}
    texts = [(f"{i}", split, common.get(split, common["home"])) for i, split in enumerate(["train", "val", "ood"] * 8)]
    bank = bank_of([(name, split, mean + rng.standard_normal((40, 16))) for name, split, mean in texts])
    assert evaluate(bank, "val", corpus_mean(bank)).summary["cosine"] > 0.9
    assert abs(evaluate(bank, "val", corpus_mean(bank)).summary["centred_cosine"]) < 0.1
    for split in ("val", "ood"):
        assert abs(evaluate(bank, split, random_directions(bank, 0)).summary["centred_cosine"]) < 0.05


def test_a_split_without_articles_has_no_mean():
    assert not mean_chunk(make_bank({"val": [12, 7]}), "ood").any()
