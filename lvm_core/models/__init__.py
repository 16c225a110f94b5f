"""Model families: a registry of typed sizes and the modules they build. One file a family."""

from __future__ import annotations

from torch import nn

from lvm_core.models.transformer import Transformer, TransformerParams

ModelParams = TransformerParams
"""Sizes of any family (a union once there is a second one), told apart by `family`."""

_BUILDERS: dict[str, type[Transformer]] = {"transformer": Transformer}


def build_model(params: ModelParams, dimension: int) -> nn.Module:
    """A model with fresh weights, drawn from torch's global generator.

    Args:
        params: family and size.
        dimension: D of the bank.

    Returns:
        A module mapping contexts [B, 5, D] to raw predictions [B, D].
    """
    return _BUILDERS[params.family](params, dimension)


def count_parameters(model: nn.Module) -> int:
    """Number of trained numbers."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
