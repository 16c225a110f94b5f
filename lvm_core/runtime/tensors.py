"""Operations on tensors: a sum over processes with its gradient, and large products."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import distributed


class _Summed(torch.autograd.Function):
    """y = the sum of all processes' x; so the gradient of x is the sum of all processes' gradients of y."""

    @staticmethod
    def forward(context: Any, value: torch.Tensor) -> torch.Tensor:
        total = value.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return _Summed.forward(context, gradients[0])


def summed(value: torch.Tensor) -> torch.Tensor:
    """The sum of this value [...] over all processes, in every process, with its gradient.

    (torch has the same in `torch.distributed.nn.functional`, deprecated, and in a private module.)
    """
    total: torch.Tensor = _Summed.apply(value)
    return total


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
