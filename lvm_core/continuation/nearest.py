"""The nearest chunks of a bank, exactly: a scan in blocks, so that no more than a block of scores is held."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from lvm_core.bank import Bank
from lvm_core.products import product

BLOCK = 16_384
"""Bank rows scored at a time."""

QUERIES = 256
"""Queries scored at a time."""

SAME = 0.98
"""Cosine from which on a chunk of the bank counts as the given chunk itself.

The same text encoded alone and in a batch of others differs by rounding only (cosine above 0.999 in bf16).
"""


class Index:
    """Exact search by inner product among the rows of a bank.

    Args:
        vectors: [N, D] float, unit rows; held in memory as float32.
    """

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
        """The `count` best rows of each query, best first.

        Args:
            queries: [B, D] float32 unit rows.
            count: rows wanted of each.
            leave_out: for each query, bank rows that are no candidates.

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

    def same_as(self, vectors: np.ndarray) -> list[int]:
        """Bank rows that are these very chunks: of cosine `SAME` or more with one of them.

        Args:
            vectors: [G, D] float32 unit rows.
        """
        return self.same_as_each([vectors])[0]

    @torch.inference_mode()
    def same_as_each(self, groups: Sequence[np.ndarray]) -> list[list[int]]:
        """`same_as` of several groups of vectors with one scan of the bank.

        Args:
            groups: of each, [G, D] float32 unit rows; at least one group.
        """
        given = torch.from_numpy(np.ascontiguousarray(np.concatenate(groups), dtype=np.float32))
        found: list[set[int]] = [set() for _ in groups]
        group_of = np.repeat(np.arange(len(groups)), [len(vectors) for vectors in groups])
        for start in range(0, len(self), BLOCK):
            same = torch.nonzero(product(self._vectors[start : start + BLOCK], given) >= SAME)
            for row, query in same.tolist():
                found[group_of[query]].add(start + row)
        return [sorted(rows) for rows in found]
