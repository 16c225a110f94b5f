"""Which windows come together in a training step, and which rows of the bank the losses look at beside them.

Everything here is about bank rows; no vector is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lvm_core.windows import CONTEXT

RUN = 16
"""Most windows of one article in a row in a batch of articles: several articles share a batch, which steadies it."""


@dataclass(frozen=True)
class Articles:
    """Where the articles of a bank begin and end.

    Attributes:
        of_row: [N] int64, number of the article of each row, ascending.
        start: [A + 1] int64, first row of each article, and N.
    """

    of_row: np.ndarray
    start: np.ndarray

    @classmethod
    def from_rows(cls, of_row: np.ndarray) -> Articles:
        """From the article number of each row, [N] int64 ascending from 0 without gaps (`Bank.article_of_row`)."""
        return cls(of_row, np.searchsorted(of_row, np.arange(of_row[-1] + 2)))

    def end_of(self, rows: np.ndarray) -> np.ndarray:
        """[W] int64: the first row after the article of each of these rows [W]."""
        return self.start[self.of_row[rows] + 1]

    def chunks_of(self, rows: np.ndarray) -> np.ndarray:
        """[P] int64 ascending: all rows of all articles that these rows [W] touch."""
        touched = np.unique(self.of_row[rows])
        spans = zip(self.start[touched].tolist(), self.start[touched + 1].tolist(), strict=True)
        return np.concatenate([np.arange(first, end) for first, end in spans])


def with_chunk_ahead(rows: np.ndarray, ahead: int, articles: Articles) -> np.ndarray:
    """Those of the windows [W] whose article has a chunk `ahead` rows after the window's own target."""
    return rows[rows + ahead < articles.end_of(rows)]


def window_batches(rows: torch.Tensor, size: int, seed: int) -> Sequence[torch.Tensor]:
    """All windows [W], each once, in a seeded order, `size` at a time."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    return rows[order.to(rows.device)].split(size)


def article_batches(rows: np.ndarray, size: int, seed: int, articles: Articles) -> list[np.ndarray]:
    """All windows, each once, in batches of whole runs: consecutive windows of one article, at most `RUN` of them.

    The runs of an article are as equal in length as can be; all runs are put in a seeded order, and a batch is filled
    with them as long as it does not exceed `size`.

    Args:
        rows: [W] int64 target rows.
        size: most windows of a batch (a single run may be cut no further, so `size` below `RUN` shortens the runs).
        seed: of the order.
        articles: of the bank.
    """
    rows, longest = np.sort(rows), min(RUN, size)
    bounds = np.flatnonzero(np.diff(articles.of_row[rows])) + 1
    runs = [run for own in np.split(rows, bounds) for run in np.array_split(own, -(-len(own) // longest))]
    order = torch.randperm(len(runs), generator=torch.Generator().manual_seed(seed)).tolist()
    batches: list[list[np.ndarray]] = []
    filled = size
    for number in order:
        if filled + len(runs[number]) > size:
            batches.append([])
            filled = 0
        batches[-1].append(runs[number])
        filled += len(runs[number])
    return [np.concatenate(batch) for batch in batches]


@dataclass(frozen=True)
class CandidateRows:
    """The chunks that the targets of a batch have to be told from.

    Attributes:
        rows: [P] int64 ascending, all rows of all articles of the batch.
        allowed: [B, P] bool, rows of the window's own article other than its 5 context rows.
        target: [B] int64, index of the target in `rows`.
    """

    rows: np.ndarray
    allowed: np.ndarray
    target: np.ndarray


def candidates_of(rows: np.ndarray, articles: Articles, ahead: int = 0) -> CandidateRows:
    """The candidates of a batch.

    Args:
        rows: [B] int64, row after the last context chunk of each window.
        articles: of the bank.
        ahead: how many rows after that the chunk to be predicted lies.
    """
    own, chunks = rows[:, None], articles.chunks_of(rows)
    allowed = articles.of_row[chunks] == articles.of_row[own]
    allowed &= (chunks < own - CONTEXT) | (chunks >= own)
    return CandidateRows(chunks, allowed, np.searchsorted(chunks, rows + ahead))


def future_of(rows: np.ndarray, steps: int, articles: Articles) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the chunks after the targets [B], and whether the article has them: [B, steps] int64 and bool.

    Where it has not, the row is the target's.
    """
    future = rows[:, None] + np.arange(1, steps + 1)
    has = future < articles.end_of(rows)[:, None]
    return np.where(has, future, rows[:, None]), has
