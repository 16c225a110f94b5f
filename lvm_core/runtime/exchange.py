"""A sum over processes that gradients go through."""

from __future__ import annotations

from typing import Any

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
