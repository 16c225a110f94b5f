"""The windows of an evaluation and their batches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lvm_core.bank import Bank
from lvm_core.bank.chunks import unit_float32
from lvm_core.config.groups import EvaluateParams
from lvm_core.runtime.errors import LvmError
from lvm_core.windows import CONTEXT, window_targets

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(values: np.ndarray) -> np.ndarray:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def article_keys(article_ids: Iterable[str], seed: int, purpose: str) -> np.ndarray:
    """[A] uint64 stream key of each article, from its id, the seed and the purpose of the draw."""
    digests = [hashlib.sha256(f"{seed}\0{purpose}\0{article_id}".encode()).digest()[:8] for article_id in article_ids]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def chunk_keys(keys: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """[B] uint64 stream key of each chunk, from its article's key [B] and its position in the article [B] int."""
    return _mix(keys + (positions.astype(np.uint64) + np.uint64(1)) * _GOLDEN)


def uniform(keys: np.ndarray, count: int) -> np.ndarray:
    """[B, count] float64 in the open interval (0, 1): the first `count` numbers of each stream of `keys` [B] uint64."""
    counters = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    bits = _mix(keys[:, None] + counters) >> np.uint64(11)
    return (bits.astype(np.float64) + 0.5) * 2.0**-53


@dataclass(frozen=True)
class Windows:
    """The windows of one split in canonical order."""

    rows: np.ndarray
    """[W] int64, bank rows of the targets."""
    article: np.ndarray
    """[W] int64, index into `article_id`."""
    position: np.ndarray
    """[W] int64, position of the target in its article, >= 5."""
    article_id: np.ndarray
    """[A] str, sorted; all articles of the split, also those without a window."""
    first_row: np.ndarray
    """[A] int64, bank row of the article's first chunk."""
    n_chunks: np.ndarray
    """[A] int64, chunks of the article."""

    def __len__(self) -> int:
        return len(self.rows)

    def draw(self, seed: int, purpose: str, count: int = 1) -> np.ndarray:
        """[W, count] float64 uniform random numbers in (0, 1) for each window, keyed by article id and position."""
        keys = article_keys(self.article_id, seed, purpose)[self.article]
        return uniform(chunk_keys(keys, self.position), count)


def canonical_windows(bank: Bank, split: str) -> Windows:
    """All windows of a split of the bank, in canonical order."""
    chosen = bank.articles_of(split)
    order = np.argsort(chosen["article_id"].astype(str).to_numpy(dtype=object), kind="stable")
    first_row = chosen["first_row"].to_numpy(dtype=np.int64)[order]
    n_chunks = chosen["n_chunks"].to_numpy(dtype=np.int64)[order]
    rows = window_targets(first_row, n_chunks)
    article = np.repeat(np.arange(len(order)), np.maximum(n_chunks - CONTEXT, 0))
    article_id = chosen["article_id"].astype(str).to_numpy(dtype=object)[order]
    return Windows(rows, article, rows - first_row[article], article_id, first_row, n_chunks)


LEAK_BLOCK = 4096
"""Windows whose contexts are compared with their target at a time."""


def judged_windows(bank: Bank, split: str, params: EvaluateParams) -> Windows:
    """The windows of a split that are judged, in canonical order: all, or those whose answer is no near-duplicate."""
    windows = canonical_windows(bank, split)
    if params.near_duplicate is None or not len(windows):
        return windows
    kept = closest_in_context(bank.vectors, windows.rows) < params.near_duplicate
    if not kept.any():
        raise LvmError(
            f"params.yaml: evaluate.near_duplicate = {params.near_duplicate} leaves none of the {len(kept)} windows "
            f"of {split}; raise it"
        )
    return replace(windows, rows=windows.rows[kept], article=windows.article[kept], position=windows.position[kept])


def closest_in_context(vectors: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """[W] float32: the largest cosine of each window's target (row [W]) with one of its five context chunks."""
    closest = np.empty(len(targets), dtype=np.float32)
    for start in range(0, len(targets), LEAK_BLOCK):
        rows = targets[start : start + LEAK_BLOCK]
        own = np.asarray(vectors[rows], dtype=np.float32)
        cosines = [np.vecdot(own, np.asarray(vectors[rows - lag], np.float32)) for lag in range(1, CONTEXT + 1)]
        closest[start : start + LEAK_BLOCK] = np.max(cosines, axis=0)
    return closest


def has_offset(position: np.ndarray, n_chunks: np.ndarray, k: int) -> np.ndarray:
    """[W] bool: does the article, of n_chunks [W], have the chunk at offset k of the window with target `position` [W]?

    That is the one at `position - 1 + k`.
    """
    at = position - 1 + k
    return (at >= 0) & (at < n_chunks)


def shuffled_orders(windows: Windows, seed: int) -> np.ndarray:
    """[W, 5] int64: a uniform random order of each window's context, keyed by article id and position."""
    return np.argsort(windows.draw(seed, "shuffle", CONTEXT), axis=1)


def foreign_rows(windows: Windows, seed: int) -> np.ndarray | None:
    """[W] int64 bank rows: for each window a uniform random chunk of another article of the split, if it has one."""
    starts = np.concatenate([[0], np.cumsum(windows.n_chunks)])
    total, own = int(starts[-1]), windows.n_chunks[windows.article]
    if len(windows.article_id) < 2 or bool((own >= total).any()):
        return None
    # A number among the chunks of all other articles, counted in canonical order: step over the window's own article.
    chosen = np.minimum((windows.draw(seed, "foreign")[:, 0] * (total - own)).astype(np.int64), total - own - 1)
    chosen += np.where(chosen >= starts[windows.article], own, 0)
    article = np.searchsorted(starts, chosen, side="right") - 1
    return windows.first_row[article] + chosen - starts[article]


LARGEST_SCORES = 2**22
"""Entries of a [windows, longest article] matrix (16 MB): a batch with longer articles than this allows is shorter."""


@dataclass(frozen=True)
class Batch:
    """Some consecutive windows, in canonical order."""

    chunks: Tensor
    """[P, D] float32 unit vectors: all chunks of all articles that the batch touches."""
    rows: np.ndarray
    """[B] int64, bank rows of the targets."""
    position: np.ndarray
    """[B] int64, position of the target in its article."""
    n_chunks: np.ndarray
    """[B] int64, chunks of that article."""
    first: np.ndarray
    """[B] int64, index into `chunks` of the article's first chunk; never falls."""
    index: np.ndarray
    """[B] int64, position of the windows in the split."""

    def __len__(self) -> int:
        return len(self.rows)

    def contexts(self, order: np.ndarray | None = None) -> Tensor:
        """[B, 5, D] float32 contexts, slot s holding context chunk `order[..., s]` (default: 0..4, oldest first)."""
        slots = np.arange(CONTEXT) if order is None else order
        at = (self.first + self.position - CONTEXT)[:, None] + slots
        flat = self.chunks.index_select(0, self._tensor(at.reshape(-1)))
        return flat.view(len(self), CONTEXT, self.chunks.shape[1])

    def at_offset(self, k: int) -> Tensor:
        """[B, D] float32 chunks at offset k, which the articles must have."""
        return self.chunks.index_select(0, self._tensor(self.first + self.position - 1 + k))

    def where(self, chosen: np.ndarray) -> Batch:
        """The windows with `chosen` [B] bool, over the same chunks."""
        of_windows = ("rows", "position", "n_chunks", "first", "index")
        return replace(self, **{name: getattr(self, name)[chosen] for name in of_windows})

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self.chunks.device)


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
        chunks = unit_float32(np.concatenate(blocks), device)
        offsets = np.cumsum(counts) - counts
        yield Batch(chunks, windows.rows[index], windows.position[index], counts[local], offsets[local], index)
