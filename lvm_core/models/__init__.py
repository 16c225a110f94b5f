"""Model families: a registry of typed sizes and the modules they build. One file a family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field
from torch import nn

from lvm_core.models.amn import Amn, AmnParams
from lvm_core.models.base import LatentModel
from lvm_core.models.next_token import NextToken, NextTokenParams
from lvm_core.models.recurrent import Gru, GruParams, Lstm, LstmParams
from lvm_core.models.transformer import Transformer, TransformerParams

ModelParams = Annotated[
    TransformerParams | NextTokenParams | LstmParams | GruParams | AmnParams, Field(discriminator="family")
]
"""Sizes of any family, told apart by `family`."""

FAMILIES: dict[str, Callable[[Any, int], LatentModel]] = {
    **{"transformer": Transformer, "next_token": NextToken, "lstm": Lstm, "gru": Gru, "amn": Amn},
}


def build_model(params: ModelParams, dimension: int) -> LatentModel:
    """A model with fresh weights, drawn from torch's global generator.

    Args:
        params: family and size.
        dimension: D of the bank.

    Returns:
        A module mapping contexts [B, 5, D] to raw predictions [B, D]. Where `params.normaliser` is set, its normaliser
        is to be fitted (`model.normaliser.fit`) or loaded before it can predict.
    """
    return FAMILIES[params.family](params, dimension)


def draws_samples(params: ModelParams) -> bool:
    """Whether the model has `samples(contexts, n)`, as the energy loss needs."""
    return isinstance(params, TransformerParams) and params.head == "energy"


def count_parameters(model: nn.Module) -> int:
    """Number of trained numbers."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
