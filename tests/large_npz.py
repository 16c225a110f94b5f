"""An NPZ of windows as published, of any size."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

DIMENSION = 768


def write_windows(path: Path, windows: int, compression: int) -> None:
    """Windows as published, across borders of articles of 66 chunks, with metadata; never in memory as a whole."""
    rng = np.random.default_rng(0)
    some = rng.standard_normal((997, DIMENSION), dtype=np.float32)

    def chunks(first: int, last: int) -> np.ndarray:
        """Rows first..last of a long walk through combinations of a few vectors: all distinct, cheap to make."""
        numbers = np.arange(first, last)
        return some[numbers % 997] + some[numbers // 997 % 997] * np.float32(0.5)

    def blocks(low: int, high: int) -> Iterator[np.ndarray]:
        for start in range(5, windows + 5, 4096):
            stop = min(start + 4096, windows + 5)
            rows = chunks(start - 5, stop)
            yield rows[np.arange(5, len(rows))[:, None] + np.arange(low, high)]

    metadata = np.empty(windows, dtype=object)
    for number in range(windows):
        article, chunk = divmod(number + 5, 66)
        metadata[number] = {"article_index": article, "target_chunk_index": chunk, "target_cpe_id": str(number)}
    with zipfile.ZipFile(path, "w", compression, compresslevel=1) as archive:
        for name, axis, (low, high) in (("context_sequences", (5,), (-5, 0)), ("target_vectors", (), (0, 1))):
            shape = (windows, *axis, DIMENSION)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                for block in blocks(low, high):
                    file.write(np.ascontiguousarray(block).data)
        with archive.open("metadata.npy", "w") as file:
            np.lib.format.write_array(file, metadata, allow_pickle=True)
