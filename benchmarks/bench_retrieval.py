"""Speed of exact search among all chunks: against faiss's flat index."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from benchmarks.published_size import blocks
from benchmarks.report import Line, at_least
from benchmarks.timing import in_turn
from lvm_core.continuation.nearest import Index
from lvm_core.hardware import use_threads

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
        ours, theirs = Index(vectors), faiss.IndexFlatIP(dimension)
        theirs.add(vectors)
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


def _often(search: Callable[[], tuple[np.ndarray, np.ndarray]], times: int) -> tuple[np.ndarray, np.ndarray]:
    for _ in range(times):
        found = search()
    return found
