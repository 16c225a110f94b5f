"""Chunks of a bank as tensors: by row, their mean over a split, and what an article has said before one of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from lvm_core.bank import Bank


def gather_chunks(bank: Bank, rows: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """[n, D] float32 unit vectors of bank rows [n] int64, on the device."""
    return unit_float32(bank.vectors[rows], device)


def unit_float32(vectors: np.ndarray, device: torch.device | str) -> Tensor:
    """Rows of a bank as they are used, on the device."""
    if vectors.dtype == np.float32:
        return torch.from_numpy(np.ascontiguousarray(vectors)).to(device)
    # Rounding to float16 leaves norms off by about 1e-4, which would show as an oracle with a cosine below 1.
    widened = torch.from_numpy(vectors.astype(np.float32)).to(device)
    return torch.nn.functional.normalize(widened, dim=1)


def mean_chunk(bank: Bank, split: str, block: int = 65_536) -> np.ndarray:
    """[D] float32 mean of all chunks of the articles of a split; zeros where it has none."""
    ordered = bank.articles_of(split).sort_values("article_id", kind="stable")  # bank order must not change a bit
    total = np.zeros(bank.vectors.shape[1])
    for first, length in zip(ordered["first_row"].tolist(), ordered["n_chunks"].tolist(), strict=True):
        for start in range(first, first + length, block):
            rows = np.arange(start, min(start + block, first + length))
            total += gather_chunks(bank, rows).sum(0, dtype=torch.float64).numpy()
    return (total / max(int(ordered["n_chunks"].sum()), 1)).astype(np.float32)


PRIOR = 10
"""So many chunks does the mean of `train` weigh in a mean over chunks of an article."""


def shrunk_mean(total: Tensor, count: Tensor | int, centre: Tensor) -> Tensor:
    """[..., D] mean of `count` [..., 1] chunks with the sum `total` [..., D], and of `PRIOR` times `centre` [D]."""
    return (total + PRIOR * centre) / (count + PRIOR)


class Memory:
    """Means over the chunks of an article: those before a chunk, or all; shrunk to the mean of `train`.

    Sums are kept at every `STRIDE`-th row of the bank, and the few chunks after it are read again: an eighth of the
    bank's memory, nothing a window.
    """

    STRIDE, BLOCK = 8, 1024
    """Rows a sum, and sums that are made at a time."""

    def __init__(self, gather: Callable[[Tensor], Tensor], article_of_row: np.ndarray, centre: Tensor) -> None:
        """Read the whole bank once.

        Args:
            gather: rows [...] int64 on the device of `centre` -> their chunks [..., D] float32 there.
            article_of_row: [N] int64 ascending (`Bank.article_of_row`).
            centre: [D] float32 mean of `train`.
        """
        device, number = centre.device, int(article_of_row[-1]) + 1
        bounds = np.searchsorted(article_of_row, np.arange(number + 1))
        self._gather, self.centre = gather, centre
        self._first, self._stop = (torch.from_numpy(ends[article_of_row]).to(device) for ends in (bounds, bounds[1:]))
        self._sums = self._sums_before()

    @classmethod
    def of_bank(cls, bank: Bank, device: torch.device | str = "cpu") -> Memory:
        """Of a bank's own vectors."""
        centre = torch.from_numpy(mean_chunk(bank, "train")).to(device)
        return cls(lambda rows: _gathered(bank, rows, device), bank.article_of_row, centre)

    def before(self, rows: Tensor) -> Tensor:
        """[B, D] float32: the chunks of the article before each of these rows [B] int64, on the device."""
        return self._mean(self._first[rows], rows)

    def whole(self, rows: Tensor) -> Tensor:
        """[B, D] float32: all chunks of the article of each of these rows."""
        return self._mean(self._first[rows], self._stop[rows])

    def _mean(self, first: Tensor, stop: Tensor) -> Tensor:
        """Of the rows from `first` to before `stop`, both [B], of one article each."""
        at = torch.div(stop - 1, self.STRIDE, rounding_mode="floor")
        start = torch.maximum(at * self.STRIDE, first)
        rows = start[:, None] + torch.arange(self.STRIDE, device=first.device)
        there = rows < stop[:, None]
        chunks = self._gather(torch.where(there, rows, start[:, None].clamp_max(len(self._first) - 1)))
        total = _sum_of(chunks, there) + self._sums[at.clamp_min(0)] * (first <= at * self.STRIDE)[:, None]
        return shrunk_mean(total, (stop - first)[:, None], self.centre)

    def _sums_before(self) -> Tensor:
        """[ceil(N / STRIDE), D] float32: of the article's chunks before each `STRIDE`-th row of the bank."""
        marks = torch.arange(0, len(self._first), self.STRIDE, device=self.centre.device)
        first = self._first[marks]
        sums = self.centre.new_zeros(len(marks), len(self.centre))
        for begin in range(1, len(marks), self.BLOCK):
            block = slice(begin, begin + self.BLOCK)
            rows = marks[block, None] + torch.arange(-self.STRIDE, 0, device=marks.device)
            sums[block] = _sum_of(self._gather(rows), rows >= first[block, None])  # since the last mark
        for article in sums.split(torch.unique_consecutive(first, return_counts=True)[1].tolist()):
            article.copy_(article.cumsum(0, dtype=torch.float64))
        return sums


def _sum_of(chunks: Tensor, there: Tensor) -> Tensor:
    """[B, D] sum of those of the chunks [B, S, D] that are `there` [B, S]."""
    return torch.bmm(there[:, None].to(chunks.dtype), chunks)[:, 0]


def _gathered(bank: Bank, rows: Tensor, device: torch.device | str) -> Tensor:
    flat = gather_chunks(bank, rows.flatten().cpu().numpy(), device)
    return flat.view(*rows.shape, flat.shape[1])
