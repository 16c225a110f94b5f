"""Small banks made in memory (or written to a folder), for tests of everything that reads a bank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lvm_core.bank import Bank, BankInfo, content_sha256
from lvm_core.runtime.files import write_npy, write_parquet

Article = tuple[str, str, np.ndarray]
"""Article id, split, vectors [n, D]."""


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of unit length."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def bank_of(articles: Sequence[Article], dtype: Any = np.float32) -> Bank:
    """A bank of these articles in this order; the vectors are made unit length."""
    counts = np.array([len(vectors) for _, _, vectors in articles], dtype=np.int64)
    vectors = np.concatenate([unit(np.asarray(v, dtype=np.float64)) for _, _, v in articles]).astype(dtype)
    frame = pd.DataFrame(
        {
            "article_id": [article_id for article_id, _, _ in articles],
            "title": [article_id for article_id, _, _ in articles],
            "source": ["other" if split == "ood" else "home" for _, split, _ in articles],
            "split": [split for _, split, _ in articles],
            "first_row": np.cumsum(counts) - counts,
            "n_chunks": counts,
        }
    )
    info = BankInfo("synthetic", "", "fp32", [], vectors.shape[1], len(vectors), content_sha256(vectors))
    return Bank(vectors, frame, info)


def make_bank(
    lengths: Mapping[str, Sequence[int]], dimension: int = 16, seed: int = 0, dtype: Any = np.float32
) -> Bank:
    """A bank with articles of the given lengths by split, each a first-order walk around its own topic.

    Ids are drawn so that their sorted order is not their order in the bank.
    """
    rng = np.random.default_rng(seed)
    names = rng.permutation(sum(map(len, lengths.values())))
    articles: list[Article] = []
    for split, counts in lengths.items():
        for count in counts:
            vectors = walk(rng, count, dimension)
            articles.append((f"article-{names[len(articles)]:05d}", split, vectors))
    return bank_of(articles, dtype)


def walk(rng: np.random.Generator, count: int, dimension: int, stay: float = 0.6, topic: float = 0.7) -> np.ndarray:
    """[count, dimension] float64: x_t = stay x_(t-1) + noise, added to a topic of relative size `topic`."""
    noise = rng.standard_normal((count, dimension))
    steps = np.empty_like(noise)
    steps[0] = noise[0]
    for t in range(1, count):
        steps[t] = stay * steps[t - 1] + np.sqrt(1 - stay**2) * noise[t]
    return unit(steps + topic * rng.standard_normal(dimension))


def articles_in(bank: Bank) -> list[Article]:
    """The articles of a bank, so that another one can be made of them."""
    return [
        (article_id, split, np.asarray(bank.vectors[first : first + count]))
        for article_id, split, first, count in zip(
            *(bank.articles[name].tolist() for name in ("article_id", "split", "first_row", "n_chunks")), strict=True
        )
    ]


def permuted(bank: Bank, seed: int) -> Bank:
    """The same articles in another order, the same vectors bit by bit."""
    order = np.random.default_rng(seed).permutation(len(bank.articles))
    articles = bank.articles.iloc[order].reset_index(drop=True)
    first, counts = articles["first_row"].to_numpy(), articles["n_chunks"].to_numpy()
    rows = [np.arange(start, start + count) for start, count in zip(first, counts, strict=True)]
    vectors = bank.vectors[np.concatenate(rows)]
    articles["first_row"] = articles["n_chunks"].cumsum() - articles["n_chunks"]
    return Bank(vectors, articles, bank.info)


def write_bank(bank: Bank, directory: Path) -> None:
    """Write a bank folder as `load_bank` reads it."""
    directory.mkdir(parents=True, exist_ok=True)
    chunks = pd.DataFrame(
        {
            "article_id": np.repeat(bank.articles["article_id"].to_numpy(), bank.articles["n_chunks"]),
            "chunk_index": np.concatenate([np.arange(n) for n in bank.articles["n_chunks"]]),
            "text": [f"text of chunk {row}" for row in range(len(bank.vectors))],
        }
    )
    write_npy(directory / "vectors.npy", bank.vectors)
    write_parquet(directory / "articles.parquet", bank.articles)
    write_parquet(directory / "chunks.parquet", chunks)
    bank.info.write(directory)


PUBLISHED_LAGS = (1.0, 0.4569, 0.3869, 0.3649, 0.3515, 0.3399)
"""Mean similarity of chunks 0..5 apart in the published training data (prior-results, section 10)."""


def published_articles(count: int, n_chunks: int, dimension: int, seed: int) -> list[np.ndarray]:
    """Gaussian articles [n_chunks, dimension] whose lag similarities are the published ones (0.33 beyond lag 5)."""
    lags = np.full(n_chunks, 0.33)
    lags[: len(PUBLISHED_LAGS)] = PUBLISHED_LAGS
    position = np.arange(n_chunks)
    factor = np.linalg.cholesky(lags[np.abs(position[:, None] - position)])
    rng = np.random.default_rng(seed)
    return [factor @ rng.standard_normal((n_chunks, dimension)) for _ in range(count)]
