"""Model families: what each family of `config.models` builds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from lvm_core.config.models import ModelParams
from lvm_core.models.base import LatentModel
from lvm_core.models.families import Amn, FormulaModel, Gru, Lstm, NextToken, Storylines, Transformer

FAMILIES: dict[str, Callable[[Any, int], LatentModel]] = {
    "transformer": Transformer,
    "next_token": NextToken,
    "lstm": Lstm,
    "gru": Gru,
    "amn": Amn,
    "storylines": Storylines,
    "formula": FormulaModel,
}


def build_model(params: ModelParams, dimension: int) -> LatentModel:
    """A model of vectors of `dimension` numbers with fresh weights, drawn from torch's global generator.

    Where `params.normaliser` is set, its normaliser is to be fitted (`model.normaliser.fit`) or loaded before it can
    predict.
    """
    return FAMILIES[params.family](params, dimension)


def count_parameters(model: nn.Module) -> int:
    """Number of trained numbers."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
