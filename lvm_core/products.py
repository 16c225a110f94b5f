"""Large matrix products, by the library that is fastest at them."""

from __future__ import annotations

import numpy as np
import torch


def product(left: torch.Tensor, right: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
    """Left [A, D] times right [B, D] transposed, both float32 on one device -> [A, B].

    On a processor numpy multiplies: its OpenBLAS takes two thirds of the time of torch's MKL on AMD processors, and a
    quarter for a single row (benchmarks/bench_retrieval.py).

    Args:
        left: [A, D].
        right: [B, D].
        out: [A, B] contiguous, to be written over: fresh memory for each block costs as much as counting in it.
    """
    if left.device.type != "cpu":
        return torch.matmul(left, right.T, out=out)
    return torch.from_numpy(np.matmul(left.numpy(), right.numpy().T, out=None if out is None else out.numpy()))
