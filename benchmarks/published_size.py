"""A bank of the published size and lag profile: 438,568 chunks of 768 dimensions, made here from noise.

`python -m benchmarks.published_size FOLDER` writes it as `noise.npy` and `noise.csv`, which `data.train` takes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from tests.synthetic import published_articles, unit

CHUNKS, DIMENSION, ARTICLE = 438_568, 768, 66


def blocks(chunks: int, dimension: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Unit rows [n, dimension] float32, some articles of `ARTICLE` chunks at a time, `chunks` in all."""
    together = 64
    for first in range(0, chunks, together * ARTICLE):
        vectors = published_articles(together, ARTICLE, dimension, seed=seed + first)
        yield unit(np.concatenate(vectors))[: chunks - first].astype(np.float32)


def write_vectors(path: Path, chunks: int, dimension: int, dtype: str) -> None:
    """Those rows as a .npy file, never in memory as a whole."""
    out = np.lib.format.open_memmap(path, "w+", np.dtype(dtype), (chunks, dimension))
    done = 0
    for block in blocks(chunks, dimension):
        out[done : done + len(block)] = block
        done += len(block)
    out.flush()


def article_numbers(chunks: int) -> np.ndarray:
    """[chunks] int64, number of the article of each row."""
    return np.arange(chunks) // ARTICLE


def targets_of(chunks: int) -> np.ndarray:
    """[W] int64, rows that have five chunks of their article before them."""
    rows = np.arange(chunks)
    return rows[rows % ARTICLE >= 5]


def main() -> None:
    """Write the vectors and the table of their articles."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.published_size", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--chunks", type=int, default=CHUNKS, help=f"default: {CHUNKS}")
    parser.add_argument("--dimension", type=int, default=DIMENSION, help=f"default: {DIMENSION}")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    write_vectors(options.folder / "noise.npy", options.chunks, options.dimension, "float32")
    rows = np.arange(options.chunks)
    table = pd.DataFrame({"article_id": rows // ARTICLE, "chunk_index": rows % ARTICLE})
    table.to_csv(options.folder / "noise.csv", index=False)
    print(f"{options.folder}: {options.chunks:,} chunks of {options.dimension} dimensions")


if __name__ == "__main__":
    main()
