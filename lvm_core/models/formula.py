"""The predictor of a few numbers: a sum of the context less a mean, turned by a matrix."""

from __future__ import annotations

import torch
from torch import nn

from lvm_core.windows import CONTEXT


class Formula(nn.Module):
    """y = (sum_i w_i ctx_i - less x mean) . matrix.

    The mean is that of `train`, what has been read of the article, or that of the whole article. Unfitted it copies the
    last chunk.
    """

    def __init__(self, dimension: int, turned: bool) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([0.0] * (CONTEXT - 1) + [1.0]))
        self.less = nn.Parameter(torch.zeros(()))
        self.matrix = nn.Parameter(torch.eye(dimension)) if turned else None

    def forward(self, contexts: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """Contexts [B, 5, D] and mean [B, D] or [D] -> [B, D]."""
        # not a matrix product: stays in the context's precision
        mixed = (self.weights[:, None] * contexts).sum(dim=1) - self.less * mean
        return mixed if self.matrix is None else mixed @ self.matrix
