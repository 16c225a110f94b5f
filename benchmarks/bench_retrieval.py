"""Speed of exact search among all chunks: against faiss's flat index."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.published_size import ARTICLE, blocks
from benchmarks.report import Line, at_least
from benchmarks.timing import in_turn
from lvm_core.fivecat.ranking import full_bank_columns
from lvm_core.runtime.hardware import use_threads
from lvm_core.service.nearest import Index
from tests.synthetic import bank_of

CHUNKS, NEAREST, THREADS = 100_000, 10, 2


def measure(quick: bool) -> Iterator[Line]:
    """All lines; `quick` for a tenth of the chunks and one round.

    Raises:
        ImportError: faiss is not installed (`make bench` installs it).
    """
    import faiss

    use_threads(THREADS)
    faiss.omp_set_num_threads(THREADS)
    chunks, rounds = (CHUNKS // 10, 1) if quick else (CHUNKS, 5)
    for dimension in (384, 768):
        vectors = np.concatenate(list(blocks(chunks, dimension)))
        ours = Index(vectors)
        theirs: Any = faiss.IndexFlatIP(dimension)
        theirs.add(vectors)
        yield _ranks(vectors, theirs, rounds)
        rng = np.random.default_rng(0)
        for count in (1, 64, 1024):
            queries = rng.standard_normal((count, dimension)).astype(np.float32)
            queries /= np.linalg.norm(queries, axis=1, keepdims=True)
            again = max(1, 64 // count)  # so that one timing is long enough

            search = partial(_often, partial(ours.nearest, queries, NEAREST), again)
            peer = partial(_often, partial(theirs.search, queries, NEAREST), again)
            same = float((search()[0] == peer()[1]).mean())
            timed = in_turn(peer, search, rounds)
            yield at_least(
                f"exact search, {count:,} quer{'y' if count == 1 else 'ies'} of {dimension} dimensions",
                timed.ratio,
                1.0,
                f"faiss IndexFlatIP over ours, the {NEAREST} nearest of {chunks:,} chunks, {THREADS} threads each",
                f"{1000 * timed.second / again:.1f} ms against {1000 * timed.first / again:.1f} ms; "
                f"{same:.2%} of the places agree",
            )


def _ranks(vectors: np.ndarray, theirs: Any, rounds: int) -> Line:
    """The evaluation's full-bank retrieval: R@1, R@5 and R@10 of predictions among all chunks."""
    count, dimension = 1024, vectors.shape[1]
    articles = [(f"a{first}", "train", vectors[first : first + ARTICLE]) for first in range(0, len(vectors), ARTICLE)]
    bank = bank_of(articles)
    rows = bank.targets("train")[:count]
    drawn = np.random.default_rng(1).standard_normal((count, dimension)).astype(np.float32)
    predictions = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    own = (predictions * bank.vectors[rows]).sum(axis=1)
    timed = in_turn(
        lambda: theirs.search(predictions, NEAREST),
        lambda: full_bank_columns(bank, torch.from_numpy(predictions), own, rows, NEAREST),
        rounds,
    )
    return at_least(
        f"full-bank retrieval, {count:,} predictions of {dimension} dimensions",
        timed.ratio,
        1.0,
        f"faiss IndexFlatIP (the {NEAREST} nearest) over ours (exact ranks with ties, context left out), "
        f"{len(vectors):,} chunks, {THREADS} threads each",
        f"{1000 * timed.second:.0f} ms against {1000 * timed.first:.0f} ms",
    )


def _often(search: Callable[[], tuple[np.ndarray, np.ndarray]], times: int) -> tuple[np.ndarray, np.ndarray]:
    for _ in range(times):
        found = search()
    return found
