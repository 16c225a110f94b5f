"""How far a stated confidence is off: on articles it was not fitted to, with an interval, or not at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lvm_core.bank.chunks import Memory
from lvm_core.config.references import Sees
from lvm_core.service.confidence import Outcomes, measure_kind
from lvm_core.service.nearest import Index
from lvm_core.service.reliability import bias, biases_text, held_out, too_few
from tests.synthetic import make_bank


def outcomes(articles, seed=0, windows=40, spread=0.0, first=0):
    """Hits with a chance that rises with the score, and differs from article to article by `spread`."""
    rng = np.random.default_rng(seed)
    article = np.repeat(np.arange(articles) + first, windows)
    scores = rng.random(len(article))
    chance = np.clip(0.6 * scores + rng.normal(0.1, spread, articles)[article - first], 0, 1)
    zeros = np.zeros(len(article), dtype=np.float32)
    return Outcomes("given", 5, 1, scores, zeros, rng.random(len(article)) < chance, zeros, article)


def test_an_article_is_stated_by_a_curve_that_has_not_seen_it():
    made = outcomes(25)
    alone = made.articles == 7
    assert np.abs(held_out(made) - made.curve().rate(made.scores)).max() > 0
    changed = replace(made, hits=np.where(alone, ~made.hits, made.hits))
    np.testing.assert_array_equal(held_out(changed)[alone], held_out(made)[alone])
    assert held_out(made).mean() == pytest.approx(made.hits.mean(), abs=0.02)


def test_the_bias_is_within_its_interval_where_there_is_none_and_outside_where_there_is():
    fitted, other = outcomes(25, spread=0.1), outcomes(50, seed=1, spread=0.1, first=100)
    stated = fitted.curve().rate(other.scores)
    found = bias(other, stated, fitted)
    assert found["bias"] == pytest.approx(stated.mean() - other.hits.mean())
    assert found["refit_low"] < found["low"] < found["bias"] < found["high"] < found["refit_high"]
    assert found["refit_low"] < 0 < found["refit_high"]
    assert (found["articles"], found["windows"]) == (50, 2000)
    shifted = bias(other, stated + 0.3, None)
    assert shifted["low"] > 0.2
    assert "refit_low" not in shifted
    assert biases_text({"val": shifted}).startswith("confidence stated less observed: val ")


def test_fewer_than_twenty_articles_are_not_calibrated():
    assert too_few(outcomes(20)) is None
    assert "not calibrated: 19 articles have windows in dev, at least 20 are needed" in (too_few(outcomes(19)) or "")
    assert "not calibrated: 1 article has" in (too_few(outcomes(1)) or "")


class Recording:
    """Copies the last chunk, and keeps the memory that it was handed."""

    sees: Sees = "memory"

    def __init__(self):
        self.handed = []

    def predict(self, contexts, memory):
        self.handed.append(memory)
        return contexts[:, -1]

    def memory_of(self, chunks):
        return chunks.mean(axis=0) + len(chunks)


def test_a_model_is_measured_with_the_memory_of_the_article_before():
    bank = make_bank({"train": [30, 25], "dev": [12, 9]})
    rows, model = bank.targets("dev"), Recording()
    (first, second) = measure_kind(model, bank, Index.of(bank), "dev", 2)
    wanted = Memory.of_bank(bank).before(torch.from_numpy(rows)).numpy()
    np.testing.assert_array_equal(model.handed[0], wanted)
    kept = np.isin(rows + 1, rows)  # it stays that of the last real chunk
    np.testing.assert_array_equal(model.handed[1], wanted[kept])
    assert len(second.hits) == kept.sum() == len(first.hits) - 2
    assert np.unique(first.articles, return_counts=True)[1].tolist() == [7, 4]
    filled = Recording()
    list(measure_kind(filled, bank, Index.of(bank), "dev", 1, "repeat", 2))
    given = np.stack([np.asarray(bank.vectors[row - 2 : row]).mean(axis=0) + 2 for row in rows])
    np.testing.assert_allclose(filled.handed[0], given, rtol=1e-6)
