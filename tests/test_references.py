"""The reference predictors learn what was planted, and nothing from where articles lie."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lvm_core.bank import Bank
from lvm_core.bank.chunks import mean_chunk
from lvm_core.config.groups import EvaluateParams
from lvm_core.config.references import REFERENCES, RELATIVES, numbers_text
from lvm_core.fivecat.evaluate import evaluate
from lvm_core.fivecat.references import (
    article_centroid,
    corpus_mean,
    fit_linear5,
    fit_references,
    fit_ridge,
    random_directions,
)
from lvm_core.fivecat.relatives import relatives_of
from lvm_core.runtime.errors import LvmError
from tests.synthetic import bank_of, make_bank, unit

SPLITS = ("train",) * 12 + ("dev",) * 3 + ("val",) * 3


def planted_bank(step: object, dimension: int, length: int = 40, splits: tuple[str, ...] = SPLITS) -> Bank:
    """Articles whose every chunk is `step` (a function) of the five before it, starting from random chunks."""
    rng = np.random.default_rng(5)
    articles = []
    for number, split in enumerate(splits):
        chunks = list(unit(rng.standard_normal((5, dimension))))
        while len(chunks) < length:
            chunks.append(step(np.stack(chunks[-5:]), rng))  # type: ignore[operator]
        articles.append((f"a{number:02d}", split, np.stack(chunks)))
    return bank_of(articles)


def test_names_and_order() -> None:
    bank = make_bank({"train": [20] * 3, "dev": [20], "val": [20], "ood": [20]})
    references = fit_references(bank, EvaluateParams(), 0)
    assert tuple(reference.name for reference in references) == tuple(REFERENCES)
    blind = {reference.name for reference in references if not reference.reads_context}
    assert blind == {"oracle", "article_centroid", "corpus_mean", "random"}
    contexts, rows = torch.zeros(2, 5, 16), np.array([70, 90])
    assert all(reference(contexts, rows).shape == (2, 16) for reference in references)


def test_linear5_recovers_planted_weights() -> None:
    """Chunks orthogonal to each other up to their planted mixture: x_t = unit(w . context), with w of unit length."""
    weights = np.array([0.5, -0.4, 0.3, 0.5, 0.5099])

    def step(context: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return weights @ context

    # Six chunks an article: the context is exactly the five random (nearly orthogonal) chunks.
    bank = planted_bank(step, 4096, length=6, splits=("train",) * 40)
    assert fit_linear5(bank).fit["weights"] == pytest.approx(weights.tolist(), abs=0.01)


def test_linear5_equals_least_squares() -> None:
    bank = make_bank({"train": [9, 30, 6]}, 8)
    targets = bank.targets("train")
    contexts = np.stack([bank.vectors[targets - 5 + s] for s in range(5)], axis=-1).astype(np.float64)
    expected = np.linalg.lstsq(contexts.reshape(-1, 5), bank.vectors[targets].astype(np.float64).ravel())[0]
    assert fit_linear5(bank, batch_size=7).fit["weights"] == pytest.approx(expected.tolist(), abs=1e-5)


def test_ridge_recovers_a_planted_map() -> None:
    """Each chunk a rotation of the one before: no 5 scalars can do it, an affine map can."""
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((12, 12)))[0]
    bank = planted_bank(lambda context, rng: unit(context[-1] @ rotation + 0.02 * rng.standard_normal(12)), 12)
    ridge = fit_ridge(bank, EvaluateParams().ridge_strengths)
    assert evaluate(bank, "val", ridge).summary["cosine"] > 0.99
    assert evaluate(bank, "val", fit_linear5(bank)).summary["cosine"] < 0.9
    assert ridge.fit["dev_cosine"][f"{ridge.fit['strength']:g}"] == max(ridge.fit["dev_cosine"].values())


def test_ridge_equals_the_textbook_solution() -> None:
    bank, strength = make_bank({"train": [30, 20, 9]}, 4), 0.01
    targets = bank.targets("train")
    features = np.concatenate([bank.vectors[targets - 5 + s] for s in range(5)], axis=1).astype(np.float64)
    truth = bank.vectors[targets].astype(np.float64)
    padded = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    penalty = len(features) * strength * np.diag([1.0] * 20 + [0.0])
    expected = padded @ np.linalg.solve(padded.T @ padded + penalty, padded.T @ truth)
    contexts = torch.from_numpy(features.astype(np.float32)).view(-1, 5, 4)
    actual = fit_ridge(bank, [strength], batch_size=8)(contexts, targets).numpy()
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_centroid_and_corpus_mean() -> None:
    bank = make_bank({"train": [7, 12], "val": [9, 11]})
    rows = bank.targets("val")
    contexts = torch.zeros(len(rows), 5, 16)
    centroids = article_centroid(bank)(contexts, rows).numpy()
    for row, centroid in zip(rows, centroids, strict=True):
        members = bank.article_of_row == bank.article_of_row[row]
        np.testing.assert_allclose(centroid, bank.vectors[members].mean(0), atol=1e-6)
    np.testing.assert_allclose(
        corpus_mean(bank)(contexts, rows).numpy(),
        np.tile(bank.vectors[:19].mean(0), (len(rows), 1)),
        atol=1e-6,
    )


def test_random_is_one_direction_a_row() -> None:
    bank = make_bank({"val": [200]}, 32)
    rows = np.arange(200)
    contexts = torch.zeros(200, 5, 32)
    one, again, other = (random_directions(bank, seed)(contexts, rows).numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert abs((unit(one) * unit(other)).sum(1).mean()) < 0.05
    assert abs(one.mean()) < 0.05
    assert one.std() == pytest.approx(1.0, abs=0.05)
    similarity = unit(one) @ unit(one).T - np.eye(200)
    assert abs(similarity).max() < 0.85
    np.testing.assert_array_equal(random_directions(bank, 1)(contexts[:3], rows[[7, 3, 7]]).numpy(), one[[7, 3, 7]])


def test_near_relatives() -> None:
    """Each is what its name says, of the mean that it sees; all but the noise in a closed form."""
    bank = make_bank({"train": [30] * 3, "val": [20]})
    rows, mean, read = bank.targets("val"), mean_chunk(bank, "train"), torch.full((15, 16), 0.1)
    contexts = np.stack([bank.vectors[rows - 5 + slot] for slot in range(5)], axis=1)
    found = {one.name: one(torch.from_numpy(contexts), rows, None) for one in relatives_of(bank, 0)}
    assert list(found) == list(RELATIVES)
    np.testing.assert_allclose(found["centred_0.6"], contexts[:, -1] - 0.6 * mean, atol=1e-6)
    np.testing.assert_allclose(found["two_less_0.7"], contexts[:, -2:].mean(1) - 0.7 * mean, atol=1e-6)
    off = bank.vectors[:90].astype(np.float64) - mean
    values, vectors = np.linalg.eigh(off.T @ off / 90)
    half = vectors @ np.diag((values / values.min()) ** -0.5) @ vectors.T
    np.testing.assert_allclose(found["whitened_0.5"], (contexts[:, -1] - mean) @ half, atol=1e-4)
    noise = found["noisy_0.3"].numpy() - contexts[:, -1]
    np.testing.assert_allclose(np.linalg.norm(noise, axis=1), 0.3, atol=1e-5)
    seeing = {one.name: one for one in relatives_of(bank, 0) if one.sees == "memory"}
    given = [one(torch.from_numpy(contexts), rows, read).numpy() for one in seeing.values()]
    assert list(seeing) == ["memory_0.3", "memory_0.6", "memory_1.0"]
    np.testing.assert_allclose(given[0] - given[2], np.full((15, 16), 0.07), atol=1e-6)


def test_the_numbers_of_a_reference_in_words() -> None:
    fit = {"decay": 0.4, "less": 0.9, "exponent": 0.2, "dev_recall_at_5": 0.5, "tried": 660}
    text = "decay 0.4, less 0.9 x what was read, exponent 0.2 (the best of 660 on dev)"
    assert numbers_text("decay_memory", fit) == text
    assert numbers_text("decay", {"decay": 0.4}) == "decay 0.4"
    assert numbers_text("linear5", {"weights": [0.1, 0.25]}) == "weights 0.10, 0.25"
    assert numbers_text("ridge", {"strength": 0.003, "dev_cosine": {}}) == "penalty 0.003"
    assert numbers_text("copy_last", {}) == ""


@pytest.mark.parametrize(("lengths", "split"), [({"dev": [20]}, "train"), ({"train": [20], "val": [9]}, "dev")])
def test_no_windows_to_fit_on(lengths: dict[str, list[int]], split: str) -> None:
    with pytest.raises(LvmError, match=f"the {split} split has no window"):
        fit_references(make_bank(lengths), EvaluateParams(), 0)


def test_one_strength_needs_no_dev() -> None:
    assert fit_ridge(make_bank({"train": [20]}), [0.01]).fit == {"strength": 0.01}
