"""From predicted vectors to text: the nearest chunks of the bank, and what makes a text of them and the prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lvm_core.bank import Bank
from lvm_core.continuation.nearest import Index


@dataclass(frozen=True)
class Candidate:
    """A chunk of the bank that a predicted vector may stand for.

    Attributes:
        row: of the bank.
        text: the text.
        title: of its article.
        article_id: of its article.
        source: corpus of its article.
        split: of its article.
        chunk_index: position in its article, from 0.
        score: cosine with the predicted vector.
    """

    row: int
    text: str
    title: str
    article_id: str
    source: str
    split: str
    chunk_index: int
    score: float


class Catalogue:
    """The chunks of a bank by their vectors: what lies nearest to a prediction, with where it comes from.

    Args:
        bank: its texts are read once.
        index: of all its rows.
    """

    def __init__(self, bank: Bank, index: Index) -> None:
        self._index, self._texts, self._article_of_row = index, bank.texts(), bank.article_of_row
        self._articles = bank.articles[["title", "article_id", "source", "split", "first_row"]].to_dict("records")

    def nearest(self, vectors: np.ndarray, leave_out: Sequence[Sequence[int]], count: int) -> list[list[Candidate]]:
        """The chunks nearest to each vector, best first; fewer than asked for where there are no more.

        Args:
            vectors: [B, D] float32 unit rows.
            leave_out: for each, bank rows that are no answer (the context).
            count: chunks wanted of each.
        """
        rows, scores = self._index.nearest(vectors, count, leave_out)
        return [
            [self.candidate(row, score) for row, score in zip(of_one, scored, strict=True) if row >= 0]
            for of_one, scored in zip(rows.tolist(), scores.tolist(), strict=True)
        ]

    def candidate(self, row: int, score: float) -> Candidate:
        """A chunk of the bank as a candidate with this score."""
        article = self._articles[self._article_of_row[row]]
        return Candidate(
            row=row,
            text=self._texts[row],
            title=article["title"],
            article_id=article["article_id"],
            source=article["source"],
            split=article["split"],
            chunk_index=row - article["first_row"],
            score=score,
        )


class Decoder(Protocol):
    """Turns predicted vectors into text. A generative decoder needs no more than this method."""

    def decode(
        self, predicted: np.ndarray, candidates: Sequence[Sequence[Candidate]], said: Sequence[Sequence[str]]
    ) -> list[str]:
        """The text of each prediction; empty where there is nothing to say.

        Args:
            predicted: [B, D] float32 unit rows.
            candidates: of each, the nearest chunks of the bank, best first.
            said: of each, the texts of the steps before it.
        """


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
