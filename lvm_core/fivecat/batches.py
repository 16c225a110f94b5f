"""Batches of windows: the chunks of the articles they touch, in float32 on the device, and indices into them.

Chunks are gathered from the bank once a batch; contexts, ablations, offsets and candidates are all indices into that
gather. Memory of a batch: its articles in float32, its contexts, and for each rollout step a [windows, longest article]
matrix of scores, which `LARGEST_SCORES` bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lvm_core.bank import Bank
from lvm_core.fivecat.window_sets import Windows
from lvm_core.windows import CONTEXT

LARGEST_SCORES = 2**22
"""Entries of a [windows, longest article] matrix (16 MB): a batch with longer articles than this allows is shorter."""


@dataclass(frozen=True)
class Batch:
    """Some consecutive windows, in canonical order.

    Attributes:
        chunks: [P, D] float32 unit vectors: all chunks of all articles that the batch touches.
        rows: [B] int64, bank rows of the targets.
        position: [B] int64, position of the target in its article.
        n_chunks: [B] int64, chunks of that article.
        first: [B] int64, index into `chunks` of the article's first chunk; never falls.
        index: [B] int64, position of the windows in the split.
    """

    chunks: Tensor
    rows: np.ndarray
    position: np.ndarray
    n_chunks: np.ndarray
    first: np.ndarray
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def contexts(self, order: np.ndarray | None = None) -> Tensor:
        """[B, 5, D] float32 contexts, slot s holding context chunk `order[..., s]` (default: 0..4, oldest first).

        Args:
            order: [5] or [B, 5] int, context chunks (0 the oldest) to put into the five slots.
        """
        slots = np.arange(CONTEXT) if order is None else order
        at = (self.first + self.position - CONTEXT)[:, None] + slots
        flat = self.chunks.index_select(0, self._tensor(at.reshape(-1)))
        return flat.view(len(self), CONTEXT, self.chunks.shape[1])

    def at_offset(self, k: int) -> Tensor:
        """[B, D] float32 chunks at offset k, which the articles must have."""
        return self.chunks.index_select(0, self._tensor(self.first + self.position - 1 + k))

    def where(self, chosen: np.ndarray) -> Batch:
        """The windows with `chosen` [B] bool, over the same chunks."""
        return Batch(
            self.chunks,
            self.rows[chosen],
            self.position[chosen],
            self.n_chunks[chosen],
            self.first[chosen],
            self.index[chosen],
        )

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self.chunks.device)


def gather_chunks(bank: Bank, rows: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """[n, D] float32 unit vectors of bank rows [n] int64, on the device."""
    return _unit_float32(bank.vectors[rows], device)


def _unit_float32(vectors: np.ndarray, device: torch.device | str) -> Tensor:
    if vectors.dtype == np.float32:
        return torch.from_numpy(np.ascontiguousarray(vectors)).to(device)
    # Rounding to float16 leaves norms off by about 1e-4, which would show as an oracle with a cosine below 1.
    widened = torch.from_numpy(vectors.astype(np.float32)).to(device)
    return torch.nn.functional.normalize(widened, dim=1)


def iterate_batches(bank: Bank, windows: Windows, batch_size: int, device: torch.device | str) -> Iterator[Batch]:
    """Yield all windows in canonical order, `batch_size` at a time (fewer in articles of thousands of chunks)."""
    stop = 0
    while stop < len(windows):
        start, stop = stop, min(stop + batch_size, len(windows))
        longest = int(windows.n_chunks[windows.article[start:stop]].max())
        stop = min(stop, start + max(LARGEST_SCORES // longest, 1))
        index = np.arange(start, stop)
        article = windows.article[index]
        touched, local = np.unique(article, return_inverse=True)
        first, counts = windows.first_row[touched], windows.n_chunks[touched]
        blocks = [bank.vectors[a : a + n] for a, n in zip(first.tolist(), counts.tolist(), strict=True)]
        chunks = _unit_float32(np.concatenate(blocks), device)
        offsets = np.cumsum(counts) - counts
        yield Batch(chunks, windows.rows[index], windows.position[index], counts[local], offsets[local], index)
