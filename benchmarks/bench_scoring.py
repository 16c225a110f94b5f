"""Speed and memory of scoring: against reading the bank once, and against the published layout of windows."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.published_size import CHUNKS, DIMENSION, article_numbers, targets_of, write_vectors
from benchmarks.report import Line, at_least, at_most
from benchmarks.subprocesses import run_fresh
from benchmarks.timing import in_turn
from lvm_core.curriculum.phases import score_windows
from lvm_core.runtime.hardware import set_threads

THREADS = 2
ALLOWED_MB = 400

MEMORY = """
import numpy as np
from benchmarks.published_size import article_numbers, targets_of
from lvm_core.curriculum.phases import score_windows
vectors = np.load({path!r}, mmap_mode="r")
score_windows(vectors, targets_of(len(vectors)), article_numbers(len(vectors)), {threads})
"""


def measure(quick: bool) -> Iterator[Line]:
    """All lines; `quick` for a tenth of the chunks and one round."""
    chunks, rounds = (CHUNKS // 10, 1) if quick else (CHUNKS, 7)
    set_threads(THREADS)
    with tempfile.TemporaryDirectory() as folder:
        for dtype in ("float32", "float16"):
            path = Path(folder) / f"{dtype}.npy"
            write_vectors(path, chunks, DIMENSION, dtype)
            yield _against_reading(path, dtype, rounds)
            yield _memory(path, dtype)
        yield _against_published(Path(folder) / "float32.npy", 1 if quick else 3)


def _score(vectors: np.ndarray) -> None:
    score_windows(vectors, targets_of(len(vectors)), article_numbers(len(vectors)), THREADS)


def _against_reading(path: Path, dtype: str, rounds: int) -> Line:
    vectors = np.load(path, mmap_mode="r")
    timed = in_turn(lambda: vectors.sum(dtype=np.float32), lambda: _score(vectors), rounds)
    return at_least(
        f"scoring {len(vectors):,} x {DIMENSION} {dtype}: share of the speed of reading it",
        timed.ratio,
        0.5,
        "all scores of all windows, over one single-threaded numpy float32 sum over the same warm map",
        f"{timed.second:.3f} s with {THREADS} threads against {timed.first:.3f} s",
    )


def _against_published(path: Path, rounds: int) -> Line:
    vectors = np.load(path, mmap_mode="r")
    targets = targets_of(len(vectors))

    def published() -> None:
        contexts = vectors[targets[:, None] + np.arange(-5, 0)]  # [W, 5, D], 6 GB
        target = vectors[targets]
        products = np.einsum("wkd,wd->wk", contexts, target)
        lengths = np.sqrt(np.einsum("wkd,wkd->wk", contexts, contexts))
        own = np.sqrt(np.einsum("wd,wd->w", target, target))
        1 - products / (lengths * own[:, None])

    timed = in_turn(published, lambda: _score(vectors), rounds)
    return at_least(
        f"scoring {len(vectors):,} x {DIMENSION}: against laid-out windows",
        timed.ratio,
        10.0,
        "contexts [W, 5, D] laid out, normalised and multiplied with the targets, over ours",
        f"{timed.first:.2f} s and {6 * targets.size * DIMENSION * 4 / 2**30:.1f} GB against {timed.second:.2f} s",
    )


def _memory(path: Path, dtype: str) -> Line:
    ran = run_fresh(MEMORY.format(path=str(path), threads=THREADS))
    size = path.stat().st_size / 2**20
    return at_most(
        f"scoring {dtype}: peak memory above the mapped file, in units of {ALLOWED_MB} MB",
        (ran.peak_mb - size) / ALLOWED_MB,
        1.0,
        "peak resident memory of a fresh process less the whole file, whose pages count while they are mapped",
        f"peak {ran.peak_mb:.0f} MB, file {size:.0f} MB",
    )
