"""Contexts from fewer than five given chunks: what fills the missing places, and that it is said.

A model reads five chunks. `neighbours` puts before the given chunks those that precede, in its own article, the chunk
of the bank that is most like the first given one; `repeat` repeats the first given chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lvm_core.bank import Bank
from lvm_core.continuation.nearest import Index
from lvm_core.continuation.params import Fill
from lvm_core.windows import CONTEXT


@dataclass(frozen=True)
class Context:
    """Five chunks for a model to read.

    Attributes:
        vectors: [5, D] float32 unit rows, oldest first.
        mode: `given` (all five were), or the strategy that filled it.
        rows: for each place the bank row that fills it; None for a given or a repeated chunk.
        given: number of given chunks, 1 to 5; they are the last ones.
    """

    vectors: np.ndarray
    mode: Literal["given"] | Fill
    rows: tuple[int | None, ...]
    given: int

    @property
    def bank_rows(self) -> list[int]:
        """The bank rows among the five."""
        return [row for row in self.rows if row is not None]


class Filler:
    """Fills contexts from a bank.

    Args:
        bank: whose articles the neighbours come from.
        index: of all its rows.
    """

    def __init__(self, bank: Bank, index: Index) -> None:
        self._bank, self._index = bank, index
        first = bank.articles["first_row"].to_numpy()[bank.article_of_row]
        self._before = np.arange(len(bank.vectors), dtype=np.int64) - first  # chunks before each row in its article

    def fill(self, given: np.ndarray, strategy: Fill) -> Context:
        """The context of one to five given chunks (of more, the last five).

        Args:
            given: [G, D] float32 unit rows, oldest first.
            strategy: what fills the missing places.
        """
        return self.fill_many([given], strategy)[0]

    def fill_many(
        self, given: Sequence[np.ndarray], strategy: Fill, leave_out: Sequence[Sequence[int]] | None = None
    ) -> list[Context]:
        """The contexts of several requests, with one search.

        Args:
            given: of each request, [G, D] float32 unit rows, oldest first.
            strategy: what fills the missing places.
            leave_out: of each request, bank rows that are no match (when measuring: the article itself).
        """
        last = [vectors[-CONTEXT:] for vectors in given]
        found: list[tuple[int, ...]] = [()] * len(last)
        short = [number for number, vectors in enumerate(last) if len(vectors) < CONTEXT]
        if strategy == "neighbours" and short:
            for number, rows in zip(short, self._preceding(last, short, leave_out), strict=True):
                found[number] = rows
        return [_context(vectors, self._bank.vectors, rows) for vectors, rows in zip(last, found, strict=True)]

    def _preceding(
        self, given: list[np.ndarray], short: list[int], leave_out: Sequence[Sequence[int]] | None
    ) -> list[tuple[int, ...]]:
        """For each short context, the rows before the best match that has enough of them; () if none has."""
        missing = [CONTEXT - len(given[number]) for number in short]
        too_early = {count: np.flatnonzero(self._before < count).tolist() for count in set(missing)}
        excluded = [
            [*too_early[count], *(leave_out[number] if leave_out is not None else ())]
            for number, count in zip(short, missing, strict=True)
        ]
        matches, _ = self._index.nearest(np.stack([given[number][0] for number in short]), 1, excluded)
        return [
            tuple(range(match - count, match)) if match >= 0 else ()
            for match, count in zip(matches[:, 0].tolist(), missing, strict=True)
        ]


def _context(given: np.ndarray, bank_vectors: np.ndarray, rows: tuple[int, ...]) -> Context:
    missing = CONTEXT - len(given)
    if not missing:
        return Context(np.ascontiguousarray(given, dtype=np.float32), "given", (None,) * CONTEXT, CONTEXT)
    if not rows:
        vectors = np.concatenate([np.repeat(given[:1], missing, axis=0), given])
        return Context(vectors.astype(np.float32), "repeat", (None,) * CONTEXT, len(given))
    before = np.asarray(bank_vectors[list(rows)], dtype=np.float32)
    return Context(np.concatenate([before, given]), "neighbours", (*rows, *(None,) * len(given)), len(given))
