"""Seeded random numbers that belong to a chunk: the same whatever the order of the bank, the batch or the machine.

A counter-based generator: number j of the stream `key` is a hash of (key, j), computed directly, without state. The
hash is the finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def _mix(values: np.ndarray) -> np.ndarray:
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
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
