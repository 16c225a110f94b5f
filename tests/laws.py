"""Banks whose chunks follow a known law of order, with the law's own best predictor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from lvm_core.bank import Bank
from lvm_core.fivecat.measures import Predictor, from_callable
from tests.synthetic import Article, bank_of, unit


@dataclass(frozen=True)
class Law:
    """x_t = unit(near R x_(t-1) + far S x_(t-2) + noise z_t / sqrt(D)), R and S fixed random rotations, z_t normal.

    The noise has no preferred direction, so the direction of the chunk to come is most likely that of the two rotated
    chunks' sum, whatever else came before: this is the best predictor there can be. It uses order, because R is not S.

    Attributes:
        dimension: D.
        near: weight of the last chunk.
        far: weight of the one before it.
        noise: expected length of the noise.
        seed: of the rotations.
    """

    dimension: int = 48
    near: float = 1.0
    far: float = 0.7
    noise: float = 0.6
    seed: int = 0

    @property
    def rotations(self) -> tuple[np.ndarray, np.ndarray]:
        """R and S, [D, D] float64 orthogonal."""
        rng = np.random.default_rng(self.seed)
        first, second = (np.linalg.qr(rng.standard_normal((self.dimension, self.dimension)))[0] for _ in range(2))
        return first, second

    def article(self, rng: np.random.Generator, length: int) -> np.ndarray:
        """[length, D] float64 unit vectors that follow the law, from two random ones on."""
        (near, far), chunks = self.rotations, list(unit(rng.standard_normal((2, self.dimension))))
        while len(chunks) < length:
            noise = self.noise * rng.standard_normal(self.dimension) / np.sqrt(self.dimension)
            chunks.append(unit(self.near * near @ chunks[-1] + self.far * far @ chunks[-2] + noise))
        return np.stack(chunks)

    def bank(self, lengths: Mapping[str, list[int]], seed: int = 0) -> Bank:
        """A bank with articles of these lengths by split."""
        rng = np.random.default_rng(seed)
        articles: list[Article] = [
            (f"{split}-{number:03d}", split, self.article(rng, length))
            for split, wanted in lengths.items()
            for number, length in enumerate(wanted)
        ]
        return bank_of(articles)

    def best_predictor(self) -> Predictor:
        """Knows the law; reads the two newest context chunks."""
        near, far = (torch.from_numpy(matrix.T.astype(np.float32)) for matrix in self.rotations)
        return from_callable(
            lambda contexts: self.near * contexts[:, -1] @ near + self.far * contexts[:, -2] @ far, "law"
        )
