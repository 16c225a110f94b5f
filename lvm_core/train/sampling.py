"""Which windows make a batch, and the vectors that they are gathered from."""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lvm_core.bank import Bank
from lvm_core.config.recipe import Where
from lvm_core.windows import CONTEXT

FITS = 0.5
"""Share of the free memory of a device that the bank may take; the model, its moments and a batch need room too."""


class MappedVectors:
    """The bank's vectors in their file: indexed as a tensor [N, D] is; only the rows asked for are put on `device`."""

    def __init__(self, vectors: np.ndarray, device: torch.device) -> None:
        self._vectors, self.device = vectors, device
        base = vectors.base if isinstance(vectors.base, mmap.mmap) else None
        if base is not None:
            base.madvise(mmap.MADV_RANDOM)  # rows of a shuffled batch: reading ahead would read what nobody asks for

    def __getitem__(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows [...] int64 on any device -> [..., D] on `device`, as stored (float32 or float16)."""
        found = torch.from_numpy(self._vectors[rows.cpu().numpy()])
        if self.device.type == "cuda":
            return found.pin_memory().to(self.device, non_blocking=True)
        return found


Vectors = torch.Tensor | MappedVectors
"""What training gathers from, by rows."""


def rows_of(vectors: Vectors, rows: torch.Tensor) -> torch.Tensor:
    """Rows [...] int64 on the vectors' device -> [..., D] float32."""
    if isinstance(vectors, MappedVectors):
        return vectors[rows].float()
    return vectors.index_select(0, rows.flatten()).view(*rows.shape, -1).float()


def training_vectors(bank: Bank, device: torch.device, where: Where) -> Vectors:
    """The bank's vectors for training on `device`; the choice changes the speed and no result.

    `resident`: all on the device; `mapped`: read from the file as needed; `auto`: resident if that takes at most half
    of the memory that is free.
    """
    fits = bank.vectors.nbytes <= FITS * free_memory(device)
    if where == "mapped" or (where == "auto" and not fits):
        return MappedVectors(bank.vectors, device)
    return torch.from_numpy(bank.read_vectors()).to(device)


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a GPU, or on this machine (caches count as free)."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            fields = dict(line.split(":", 1) for line in lines)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):  # not Linux: what is installed, as all systems tell
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def train_rows(bank: Bank) -> np.ndarray:
    """[n] int64, rows of all chunks of the `train` split, ascending."""
    of_train = (bank.articles["split"] == "train").to_numpy()
    return np.flatnonzero(of_train[bank.article_of_row])


RUN = 16
"""Most windows of one article in a row in a batch of articles: several articles share a batch, which steadies it."""


@dataclass(frozen=True)
class Articles:
    """Where the articles of a bank begin and end."""

    of_row: np.ndarray
    """[N] int64, number of the article of each row, ascending."""
    start: np.ndarray
    """[A + 1] int64, first row of each article, and N."""

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
    """All windows [W], each once, in batches of whole runs: consecutive windows of one article, at most `RUN` of them.

    The runs of an article are as equal in length as can be; all runs are put in a seeded order, and a batch is filled
    with them as long as it does not exceed `size`.
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


def candidates_of(rows: np.ndarray, articles: Articles, ahead: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The chunks that the targets of a batch have to be told from.

    Args:
        rows: [B] int64, row after the last context chunk of each window; the target is `ahead` rows further.

    Returns:
        [P] int64 ascending, all rows of all articles of the batch; [B, P] bool, which of them are of the window's own
        article and none of its 5 context rows; [B] int64, which one is the target.
    """
    own, chunks = rows[:, None], articles.chunks_of(rows)
    allowed = articles.of_row[chunks] == articles.of_row[own]
    allowed &= (chunks < own - CONTEXT) | (chunks >= own)
    return chunks, allowed, np.searchsorted(chunks, rows + ahead)


def means_by(article: np.ndarray, chunks: torch.Tensor) -> torch.Tensor:
    """[P, D]: of each of the chunks [P, D] the mean of those with the same article [P] int64, ascending."""
    _, first, count = np.unique(article, return_index=True, return_counts=True)
    means = [chunks[start : start + number].mean(dim=0) for start, number in zip(first, count, strict=True)]
    return torch.stack(means).repeat_interleave(torch.from_numpy(count).to(chunks.device), dim=0)


def future_of(rows: np.ndarray, steps: int, articles: Articles) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the chunks after the targets [B], and whether the article has them: [B, steps] int64 and bool.

    Where it has not, the row is the target's.
    """
    future = rows[:, None] + np.arange(1, steps + 1)
    has = future < articles.end_of(rows)[:, None]
    return np.where(has, future, rows[:, None]), has
