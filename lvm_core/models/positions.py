"""Positions: the fixed sinusoid, and the extra input channel that the earlier work called positional scalar."""

from __future__ import annotations

import math

import torch


def sinusoid(length: int, width: int) -> torch.Tensor:
    """[length, width] float32 fixed sinusoidal positions (Vaswani et al. 2017, section 3.5).

    Column 2i holds sin(t / 10000^(2i/width)), column 2i+1 the cosine.
    """
    # On the processor, whatever the default device: on `meta` torch would import its compiler for a range.
    position = torch.arange(length, dtype=torch.float32, device="cpu")[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32, device="cpu") * (-math.log(10_000.0) / width))
    table = torch.zeros(length, width, device="cpu")
    table[:, 0::2] = torch.sin(position * rate)
    table[:, 1::2] = torch.cos(position * rate)[:, : width // 2]
    return table


def append_position(contexts: torch.Tensor, scalar: float | torch.Tensor) -> torch.Tensor:
    """Append the channel p_i = scalar * i/(T-1) to every context vector (prior results, section 2.2).

    Args:
        contexts: [B, T, D].
        scalar: value of the channel at the last position; a tensor [] where it changes in training.

    Returns:
        [B, T, D + 1].
    """
    batch, length, _ = contexts.shape
    if isinstance(scalar, torch.Tensor):
        ramp = scalar * torch.linspace(0.0, 1.0, length, dtype=contexts.dtype, device=contexts.device)
    else:
        ramp = torch.linspace(0.0, scalar, length, dtype=contexts.dtype, device=contexts.device)
    return torch.cat([contexts, ramp[None, :, None].expand(batch, length, 1)], dim=2)
