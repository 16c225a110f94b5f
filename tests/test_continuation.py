"""From a few given chunks to candidates: search, filling, decoding, and confidence that means a rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvm_core.config.references import Sees
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import sha256_of
from lvm_core.service.confidence import (
    CROWD,
    KINDS,
    Calibration,
    fit_curve,
    lead,
    load_calibration,
    measure,
    measure_kind,
)
from lvm_core.service.loading import find_calibration
from lvm_core.service.nearest import ChunkSearch, ContextFiller, Index, NearestChunk
from lvm_core.service.reliability import calibration_figures, reliability, roc_area
from lvm_core.windows import CONTEXT
from tests.synthetic import make_bank, unit


class Oracle:
    """Predicts the true next chunk: it finds the context's last chunk in the bank, and takes the one after it."""

    sees: Sees = "context"

    def __init__(self, bank, ahead=1):
        self.bank, self.index, self.ahead = bank, Index.of(bank), ahead

    def predict(self, contexts, memory):
        rows, _ = self.index.nearest(contexts[:, -1], 1)
        return np.asarray(self.bank.vectors)[np.minimum(rows[:, 0] + self.ahead, len(self.bank.vectors) - 1)]

    def memory_of(self, chunks):
        return None if self.sees == "context" else chunks.sum(axis=0)


@pytest.fixture(scope="module")
def bank():
    return make_bank({"train": [30, 25, 40, 35], "dev": [30, 20], "val": [25], "ood": [20]})


def test_the_search_is_that_of_a_plain_sort(monkeypatch):
    monkeypatch.setattr("lvm_core.service.nearest.BLOCK", 7)
    monkeypatch.setattr("lvm_core.service.nearest.QUERIES", 3)
    rng = np.random.default_rng(0)
    drawn = unit(rng.standard_normal((50, 8))).astype(np.float32)
    vectors, queries = drawn[:40], drawn[40:]
    left_out = [[number, number + 20] for number in range(10)]
    rows, scores = Index(vectors).nearest(queries, 5, left_out)
    for query, out, found, scored in zip(queries, left_out, rows, scores, strict=True):
        cosines = vectors @ query
        cosines[out] = -np.inf
        assert found.tolist() == np.argsort(-cosines)[:5].tolist()
        np.testing.assert_allclose(scored, np.sort(cosines)[::-1][:5], rtol=1e-5)


def test_a_small_bank_gives_what_it_has():
    rows, scores = Index(np.eye(3)).nearest(np.eye(3)[:1].astype(np.float32), 5, [[0]])
    assert set(rows[0, :2].tolist()) == {1, 2}
    assert rows[0, 2:].tolist() == [-1] * 3
    assert np.isneginf(scores[0, 2:]).all()
    assert Index(np.eye(3)).nearest(np.empty((0, 3), dtype=np.float32), 2)[0].shape == (0, 2)


def test_a_chunk_of_the_bank_is_known_again(bank):
    vectors = np.asarray(bank.vectors)
    same, cosines = Index.of(bank).same_as_each([vectors[[3, 9]], vectors[[20]]])
    assert set(same[0]) >= {3, 9}
    np.testing.assert_allclose(cosines, vectors[[9, 20]] @ vectors.T, atol=1e-6)


def test_the_highest_cosines_are_the_plain_retrieval(bank):
    index = Index.of(bank)
    cosines = index.same_as_each([np.asarray(bank.vectors)[[9]]])[1][0]
    wanted = ChunkSearch(bank, index).nearest(np.asarray(bank.vectors)[[9]], [[9, 10]], 3)[0]
    found = ChunkSearch(bank, index).best(cosines, [9, 10], 3)
    assert [one.row for one in found] == [one.row for one in wanted]
    assert len(ChunkSearch(bank, index).best(cosines, range(2, len(bank.vectors)), 5)) == 2


def filled(bank, given, strategy):
    """The context of one request."""
    (context,) = ContextFiller(bank, Index.of(bank)).fill([given], [strategy])
    return context


@pytest.mark.parametrize("chunks", [1, 2, 3, 4])
def test_neighbours_are_the_chunks_before_the_best_match(bank, chunks):
    row = int(bank.articles["first_row"].iloc[1]) + 6
    context = filled(bank, np.asarray(bank.vectors)[row : row + chunks], "neighbours")
    missing = CONTEXT - chunks
    assert context.rows == (*range(row - missing, row), *(None,) * chunks)
    np.testing.assert_array_equal(context.vectors, np.asarray(bank.vectors)[row - missing : row + chunks])
    assert (context.mode, context.given) == ("neighbours", chunks)


def test_neighbours_never_cross_the_start_of_an_article(bank):
    first = int(bank.articles["first_row"].iloc[1])
    context = filled(bank, np.asarray(bank.vectors)[first : first + 1], "neighbours")
    articles = bank.article_of_row[context.bank_rows]
    assert len(context.bank_rows) == 4
    assert len(set(articles.tolist())) == 1


def test_repeat_repeats_the_first_given_chunk(bank):
    two = np.asarray(bank.vectors)[10:12]
    context = filled(bank, two, "repeat")
    np.testing.assert_array_equal(context.vectors, two[[0, 0, 0, 0, 1]])
    assert (context.mode, context.bank_rows) == ("repeat", [])


@pytest.mark.parametrize("fill", ["repeat", "neighbours"])
def test_five_and_more_chunks_are_left_as_they_are(bank, fill):
    seven = np.asarray(bank.vectors)[:7]
    context = filled(bank, seven, fill)
    np.testing.assert_array_equal(context.vectors, seven[2:])
    assert (context.mode, context.given) == ("given", 5)


def test_the_nearest_chunk_is_decoded_with_its_article(bank):
    row = int(bank.articles["first_row"].iloc[2]) + 1
    best = ChunkSearch(bank, Index.of(bank)).nearest(np.asarray(bank.vectors)[row : row + 1], [[]], 3)[0]
    assert (best[0].row, best[0].chunk_index) == (row, 1)
    assert best[0].article_id == bank.articles["article_id"].iloc[2]
    assert best[0].score == pytest.approx(1, abs=1e-5)
    without = ChunkSearch(bank, Index.of(bank)).nearest(np.asarray(bank.vectors)[row : row + 1], [[row]], 3)[0]
    assert row not in [candidate.row for candidate in without]


def test_no_step_says_again_what_one_before_it_said(bank):
    vectors = np.asarray(bank.vectors)[:2]
    found = ChunkSearch(bank, Index.of(bank)).nearest(vectors, [[], []], 3)
    first = NearestChunk().decode(vectors, found, [[], []])
    assert first == [found[0][0].text, found[1][0].text]
    assert NearestChunk().decode(vectors, found, [first, []]) == [found[0][1].text, first[1]]
    everything = [one.text for one in found[0]]
    assert NearestChunk().decode(vectors[:1], found[:1], [everything]) == [""]


def test_the_lead_is_over_the_last_candidate_there_is():
    cosines = np.linspace(0.9, 0.4, CROWD)[None].astype(np.float32)
    assert lead(cosines)[0] == pytest.approx(0.5)
    cosines[0, 3:] = -np.inf
    assert lead(cosines)[0] == pytest.approx(cosines[0, 0] - cosines[0, 2])
    assert lead(np.full((1, 4), -np.inf, dtype=np.float32)).tolist() == [0.0]
    assert lead(np.empty((2, 0), dtype=np.float32)).tolist() == [0.0, 0.0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=80))
def test_a_curve_never_falls_and_states_the_observed_rate_on_the_whole(pairs):
    scores = np.array([score / 10 for score, _ in pairs])
    hits = np.array([hit for _, hit in pairs])
    curve = fit_curve(scores, hits, fill="given", given=5, step=1)
    stated = curve.rate(scores)
    assert (np.diff(curve.rate(np.sort(scores))) >= 0).all()
    assert ((stated >= 0) & (stated <= 1)).all()
    assert stated.mean() == pytest.approx(hits.mean(), abs=1e-5)


def test_the_confidence_of_a_chance_that_rises_with_the_score_is_that_chance():
    rng = np.random.default_rng(1)
    scores = rng.random(40_000)
    curve = fit_curve(scores, rng.random(40_000) < scores**2, fill="given", given=5, step=1)
    asked = np.linspace(0.05, 0.95, 19)
    np.testing.assert_allclose(curve.rate(asked), asked**2, atol=0.06)


def test_an_oracle_is_found_always_and_one_that_is_late_never(bank):
    found = list(measure(Oracle(bank), bank, Index.of(bank), "dev", 3))
    whole = [one for one in found if one.fill == "given"]
    assert [(one.step, one.hits.mean()) for one in whole] == [(1, 1.0), (2, 1.0), (3, 1.0)]
    assert all(one.cosines == pytest.approx(1, abs=1e-5) for one in whole)
    assert {(one.fill, one.given) for one in found} == set(KINDS)
    (late,) = measure_kind(Oracle(bank, ahead=0), bank, Index.of(bank), "dev", 1)  # predicts the last context chunk
    assert late.cosines.mean() < 0.9


def test_confidence_is_that_of_the_kind_of_context_and_survives_the_file(bank, tmp_path):
    outcomes = list(measure(Oracle(bank), bank, Index.of(bank), "train", 2))
    made = Calibration(
        model="small",
        model_sha256="a" * 64,
        bank_sha256=bank.info.content_sha256,
        curves=[one.curve() for one in outcomes],
    )
    made.write(tmp_path / "calibration.json")
    read = load_calibration(tmp_path / "calibration.json")
    assert read == made
    assert read.confidence(0.3, 5, 1, "repeat") == 1.0
    assert read.confidence(0.3, 5, 9, "repeat") is None


def test_a_calibration_is_found_beside_the_model_and_by_its_weights(tmp_path):
    for name, weights in (("selected", "w"), ("contrast", "w"), ("p1", "v")):
        directory = tmp_path / "data/models" / name
        directory.mkdir(parents=True)
        (directory / "model.safetensors").write_text(weights)
    chosen = tmp_path / "data/models/selected"
    assert find_calibration(chosen) is None
    written = tmp_path / "data/calibration/selected.json"
    Calibration(
        model="contrast", model_sha256=sha256_of(chosen / "model.safetensors"), bank_sha256="", curves=[]
    ).write(written)
    assert find_calibration(chosen) == find_calibration(tmp_path / "data/models/contrast") == written
    (tmp_path / "data/calibration/damaged.json").write_text("{")
    (tmp_path / "data/calibration/other.json").write_text("[]")
    assert find_calibration(tmp_path / "data/models/p1") is None
    (chosen / "calibration.json").write_text("{}")
    assert find_calibration(chosen) == chosen / "calibration.json"


def test_too_few_windows_give_no_confidence():
    curve = fit_curve(np.array([0.1, 0.2]), np.array([True, False]), fill="given", given=5, step=1)
    assert (
        Calibration(model="few", model_sha256="", bank_sha256="", curves=[curve]).confidence(0.1, 5, 1, "repeat")
        is None
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", r"calibration\.model is missing"),
        ('{"format_version": 2, "model": "p1", "model_sha256": "", "bank_sha256": "", "curves": []}', "should be 1"),
        ('{"format_version": 1, "model": "p1"}', r"calibration\.model_sha256 is missing"),
        (
            '{"format_version": 1, "model": "p1", "model_sha256": "", "bank_sha256": "", "curves": [{"fill": "given", '
            '"given": 5, "step": 1, "windows": 9, "scores": [0.1, 0.2], "rates": [0.5]}]}',
            "2 scores and 1 rates",
        ),
    ],
)
def test_a_damaged_calibration_is_named(tmp_path, text, told):
    (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(LvmError, match=rf"calibration\.json: .*{told}"):
        load_calibration(tmp_path / "calibration.json")


def test_stated_and_observed_agree_where_they_were_fitted(bank):
    (outcomes,) = measure_kind(Oracle(bank), bank, Index.of(bank), "dev", 1)
    stated = outcomes.curve().rate(outcomes.scores)
    figures = calibration_figures(outcomes, stated)
    assert (figures["found"], figures["confidence"], figures["calibration_error"], figures["brier"]) == (1, 1, 0, 0)
    groups = reliability(outcomes, stated)
    assert sum(group["windows"] for group in groups) == len(outcomes.hits)


def test_the_roc_area_counts_pairs():
    hits = np.array([True, True, False, False, False])
    assert roc_area(np.array([2.0, 1.0, 1.0, 0.0, 3.0]), hits) == pytest.approx((2 + 1.5) / 6)
    assert roc_area(np.array([9.0, 8.0, 1.0, 0.0, 3.0]), hits) == 1
    assert roc_area(np.ones(5), np.ones(5, dtype=bool)) is None
