"""Nearest chunks of the bank: for contexts, decoding and measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch

from lvm_core.bank import Bank
from lvm_core.config.groups import Fill
from lvm_core.runtime.hardware import product
from lvm_core.windows import CONTEXT

BLOCK = 16_384
"""Bank rows scored at a time."""

QUERIES = 256
"""Queries scored at a time."""

SAME = 0.98
"""Cosine from which on a chunk of the bank counts as the given chunk itself.

The same text encoded alone and in a batch of others differs by rounding only (cosine above 0.999 in bf16).
"""


class Index:
    """Exact search by inner product among the rows of a bank, [N, D] unit rows held in memory as float32."""

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32))

    @classmethod
    def of(cls, bank: Bank) -> Index:
        """Of all chunks of a bank."""
        return cls(bank.read_vectors())

    def __len__(self) -> int:
        return len(self._vectors)

    @torch.inference_mode()
    def nearest(
        self, queries: np.ndarray, count: int, leave_out: Sequence[Sequence[int]] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The `count` best rows of each query, best first, without those of `leave_out` for that query.

        Args:
            queries: [B, D] float32 unit rows.

        Returns:
            Rows [B, count] int64 and scores [B, count] float32 (cosines); row -1 with score -inf where the bank has no
            further candidate.
        """
        parts = []
        for start in range(0, len(queries), QUERIES):
            some = torch.from_numpy(np.ascontiguousarray(queries[start : start + QUERIES], dtype=np.float32))
            left_out = leave_out[start : start + QUERIES] if leave_out is not None else []
            parts.append(self._nearest(some, count, left_out))
        if not parts:
            return np.empty((0, count), dtype=np.int64), np.empty((0, count), dtype=np.float32)
        return np.concatenate([rows for rows, _ in parts]), np.concatenate([scores for _, scores in parts])

    def _nearest(
        self, queries: torch.Tensor, count: int, leave_out: Sequence[Sequence[int]]
    ) -> tuple[np.ndarray, np.ndarray]:
        best = torch.full((len(queries), count), -torch.inf)
        rows = torch.full((len(queries), count), -1, dtype=torch.int64)
        query_of = np.repeat(np.arange(len(leave_out)), [len(out) for out in leave_out])
        row_of = np.array([row for out in leave_out for row in out], dtype=np.int64)
        scores = torch.empty(len(queries), BLOCK)
        for start in range(0, len(self), BLOCK):
            if start + BLOCK > len(self):
                scores = torch.empty(len(queries), len(self) - start)
            product(queries, self._vectors[start : start + BLOCK], out=scores)
            inside = (row_of >= start) & (row_of < start + scores.shape[1])
            scores[torch.from_numpy(query_of[inside]), torch.from_numpy(row_of[inside] - start)] = -torch.inf
            top = scores.topk(min(count, scores.shape[1]), dim=1)
            best, kept = torch.cat([best, top.values], 1).topk(count, dim=1)
            rows = torch.cat([rows, top.indices + start], 1).gather(1, kept)
        rows[best == -torch.inf] = -1
        return rows.numpy(), best.numpy()

    @torch.inference_mode()
    def same_as_each(self, groups: Sequence[np.ndarray]) -> tuple[list[list[int]], np.ndarray]:
        """What the bank holds of the chunks of each group of [G, D] float32 unit rows.

        Returns:
            For each group the bank rows of cosine `SAME` or more with one of it: these very chunks. And [B, N] float32,
            the cosines of the last chunk of each group with every row.
        """
        given = torch.from_numpy(np.ascontiguousarray(np.concatenate(groups), dtype=np.float32))
        found: list[set[int]] = [set() for _ in groups]
        last = np.cumsum([len(vectors) for vectors in groups]) - 1
        cosines = torch.empty(len(groups), len(self))
        group_of = np.repeat(np.arange(len(groups)), [len(vectors) for vectors in groups])
        for start in range(0, len(self), BLOCK):
            scores = product(self._vectors[start : start + BLOCK], given)
            for row, query in torch.nonzero(scores >= SAME).tolist():
                found[group_of[query]].add(start + row)
            cosines[:, start : start + BLOCK] = scores[:, last].T
        return [sorted(rows) for rows in found], cosines.numpy()


@dataclass(frozen=True)
class Context:
    """Five chunks for a model to read."""

    vectors: np.ndarray
    """[5, D] float32 unit rows, oldest first."""
    mode: Literal["given"] | Fill
    """`given` (all five were), or the strategy that filled it."""
    rows: tuple[int | None, ...]
    """For each place the bank row that fills it; None for a given or a repeated chunk."""
    given: int
    """Number of given chunks, 1 to 5; they are the last ones."""

    @property
    def bank_rows(self) -> list[int]:
        """The bank rows among the five."""
        return [row for row in self.rows if row is not None]


class ContextFiller:
    """Fills contexts from a bank."""

    def __init__(self, bank: Bank, index: Index) -> None:
        self._bank, self._index = bank, index
        first = bank.articles["first_row"].to_numpy()[bank.article_of_row]
        self._before = np.arange(len(bank.vectors), dtype=np.int64) - first  # chunks before each row in its article

    def fill(
        self, given: Sequence[np.ndarray], strategies: Sequence[Fill], leave_out: Sequence[Sequence[int]] | None = None
    ) -> list[Context]:
        """The contexts of several requests, with one search: neighbours precede the best match that has enough of them.

        Args:
            given: of each request, [G, D] float32 unit rows, oldest first; of more than five, the last five are read.
            strategies: of each request, as `leave_out`: bank rows that are no match.
        """
        last = [vectors[-CONTEXT:] for vectors in given]
        missing = [CONTEXT - len(vectors) for vectors in last]
        asking = [n for n, strategy in enumerate(strategies) if strategy == "neighbours" and missing[n]]
        found: list[tuple[int, ...]] = [()] * len(last)
        if asking:
            too_early = {count: np.flatnonzero(self._before < count).tolist() for count in {missing[n] for n in asking}}
            excluded = [[*too_early[missing[n]], *(leave_out[n] if leave_out is not None else ())] for n in asking]
            matches, _ = self._index.nearest(np.stack([last[n][0] for n in asking]), 1, excluded)
            for n, match in zip(asking, matches[:, 0].tolist(), strict=True):
                found[n] = tuple(range(match - missing[n], match)) if match >= 0 else ()
        return [_context(vectors, self._bank.vectors, rows) for vectors, rows in zip(last, found, strict=True)]


def _context(given: np.ndarray, bank_vectors: np.ndarray, rows: tuple[int, ...]) -> Context:
    missing = CONTEXT - len(given)
    if not missing:
        return Context(np.ascontiguousarray(given, dtype=np.float32), "given", (None,) * CONTEXT, CONTEXT)
    if not rows:
        vectors = np.concatenate([np.repeat(given[:1], missing, axis=0), given])
        return Context(vectors.astype(np.float32), "repeat", (None,) * CONTEXT, len(given))
    before = np.asarray(bank_vectors[list(rows)], dtype=np.float32)
    return Context(np.concatenate([before, given]), "neighbours", (*rows, *(None,) * len(given)), len(given))


@dataclass(frozen=True)
class Candidate:
    """A chunk of the bank that a predicted vector may stand for, with its article's title, id and source."""

    row: int
    """Of the bank."""
    text: str
    title: str
    article_id: str
    source: str
    chunk_index: int
    """Position in its article, from 0."""
    score: float
    """Cosine with the predicted vector."""


class ChunkSearch:
    """The chunks of a bank by their vectors: what lies nearest to a prediction, with where it comes from."""

    def __init__(self, bank: Bank, index: Index) -> None:
        self._index, self._texts, self._article_of_row = index, bank.texts(), bank.article_of_row
        self._articles = bank.articles[["title", "article_id", "source", "first_row"]].to_dict("records")

    def nearest(self, vectors: np.ndarray, leave_out: Sequence[Sequence[int]], count: int) -> list[list[Candidate]]:
        """The chunks nearest to each of [B, D] float32 unit rows, best first; fewer where there are no more."""
        rows, scores = self._index.nearest(vectors, count, leave_out)
        return [
            [self.candidate(row, score) for row, score in zip(of_one, scored, strict=True) if row >= 0]
            for of_one, scored in zip(rows.tolist(), scores.tolist(), strict=True)
        ]

    def best(self, cosines: np.ndarray, leave_out: Sequence[int], count: int) -> list[Candidate]:
        """The chunks of the highest of [N] float32 cosines, best first, without those left out; overwrites these."""
        cosines[list(leave_out)] = -np.inf
        top = torch.from_numpy(cosines).topk(min(count, len(cosines)))
        found = zip(top.indices.tolist(), top.values.tolist(), strict=True)
        return [self.candidate(row, score) for row, score in found if score > -np.inf]

    def candidate(self, row: int, score: float) -> Candidate:
        """A chunk of the bank as a candidate with this score."""
        article = dict(self._articles[self._article_of_row[row]])
        place = row - article.pop("first_row")
        return Candidate(row=row, text=self._texts[row], **article, chunk_index=place, score=score)


class Decoder(Protocol):
    """Turns predicted vectors into text. A generative decoder needs no more than this method."""

    def decode(
        self, predicted: np.ndarray, candidates: Sequence[Sequence[Candidate]], said: Sequence[Sequence[str]]
    ) -> list[str]:
        """The text of each prediction ([B, D] float32 unit rows); empty where there is nothing to say."""


class NearestChunk:
    """Decodes a vector to the nearest chunk of the bank that was not said before."""

    def decode(
        self, predicted: np.ndarray, candidates: Sequence[Sequence[Candidate]], said: Sequence[Sequence[str]]
    ) -> list[str]:
        """The best candidate that is new (see `Decoder.decode`)."""
        return [
            next((one.text for one in of_one if one.text not in before), "")
            for of_one, before in zip(candidates, said, strict=True)
        ]
