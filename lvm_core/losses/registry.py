"""Every loss that a recipe can name, with the options it has in params.yaml and what the trainer has to gather for it.

A new loss is a pure function of a `Batch` and an entry in `LOSSES` and `FUNCTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import GenericAlias
from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, Field, SerializeAsAny, TypeAdapter, model_validator

from lvm_core.losses.batch import Batch
from lvm_core.losses.energy import energy
from lvm_core.losses.guards import guard_context, guard_previous
from lvm_core.losses.ranking import article_softmax, micro_ranking
from lvm_core.losses.regression import cosine, mse, mse_normalised
from lvm_core.losses.rollout import rollout, smoothness
from lvm_core.schedules import Ramped

Need = Literal["raw", "future", "candidates", "predict", "samples", "scale"]
Margin = Annotated[float, Field(ge=-2.0, le=2.0, description="in cosine")]
Steps = Annotated[int, Field(ge=2, le=32, description="predictions in a row")]


class LossTerm(Ramped):
    """A loss in a recipe: its weight, when it is in force, and in subclasses its own options.

    Attributes:
        weight: full weight; a bare number in params.yaml is this alone.
    """

    weight: Annotated[float, Field(ge=0.0)]

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys(cls, value: Any) -> Any:
        unknown = set(value) - set(cls.model_fields) if isinstance(value, dict) else set()
        if unknown:
            raise ValueError(f"unknown key {min(map(str, unknown))!r}; allowed are {', '.join(cls.model_fields)}")
        return value

    def weight_at(self, epoch: float) -> float:
        """The weight at this point in training; `epoch` is fractional, from 0, over all phases."""
        return self.in_force(self.weight, epoch)

    def options(self) -> dict[str, Any]:
        """What the loss function takes beside the batch."""
        return {name: getattr(self, name) for name in type(self).model_fields if name not in LossTerm.model_fields}


class Guard(LossTerm):
    """Options of the guards."""

    margin: Margin
    adaptive: bool = False


class MicroRanking(LossTerm):
    """Options of `micro_ranking`."""

    gamma: Annotated[float, Field(gt=0.0, le=1000.0, description="steepness, per unit of cosine")]
    margin: Margin


class ArticleSoftmax(LossTerm):
    """Options of `article_softmax`."""

    temperature: Annotated[float, Field(gt=0.0, le=10.0, description="in cosine")]


class FreeRun(LossTerm):
    """Options of `rollout`."""

    steps: Steps = 3


class Smoothness(FreeRun):
    """Options of `smoothness`."""

    slope: Annotated[float, Field(gt=0.0)] = 10.0
    limit: Margin = 0.95


class Energy(LossTerm):
    """Options of `energy`."""

    samples: Annotated[int, Field(ge=2, le=64, description="draws a window")] = 4


@dataclass(frozen=True)
class Loss:
    """What a recipe can say of a loss; the function of the same name is in `lvm_core.train.losses`."""

    term: type[LossTerm]
    """Type of its entry in params.yaml."""
    source: str
    """Where it comes from."""
    needs: frozenset[Need]
    """What of the batch it reads beside contexts and targets."""


def _loss(term: type[LossTerm], source: str, *needs: Need) -> Loss:
    return Loss(term, source, frozenset(needs))


LOSSES: dict[str, Loss] = {
    "mse": _loss(LossTerm, "P1 (prior results, section 3.0)", "raw"),
    "mse_normalised": _loss(LossTerm, "Large Concept Model (anchors, section 1.1)", "raw", "scale"),
    "cosine": _loss(LossTerm, "ours", "raw"),
    "guard_previous": _loss(Guard, "L_dir (prior results, section 3.0)", "raw"),
    "guard_context": _loss(Guard, "L_ac (prior results, section 3.0)", "raw"),
    "micro_ranking": _loss(MicroRanking, "P5.1 (prior results, section 3.3)", "raw"),
    "rollout": _loss(FreeRun, "what P4 meant (prior results, section 3.1)", "raw", "future", "predict"),
    "smoothness": _loss(Smoothness, "what P4 ran (prior results, section 3.1)", "raw", "predict"),
    "article_softmax": _loss(ArticleSoftmax, "ours, after InfoNCE (1807.03748)", "raw", "candidates"),
    "energy": _loss(Energy, "CALM (anchors, section 1.3)", "samples"),
}
"""Every loss a recipe can name."""

FUNCTIONS: dict[str, Callable[..., torch.Tensor]] = {
    "mse": mse,
    "mse_normalised": mse_normalised,
    "cosine": cosine,
    "guard_previous": guard_previous,
    "guard_context": guard_context,
    "micro_ranking": micro_ranking,
    "rollout": rollout,
    "smoothness": smoothness,
    "article_softmax": article_softmax,
    "energy": energy,
}
"""Each loss as a function of a batch and, by keyword, the options of its term; a scalar. Keys as in `LOSSES`."""


def _as_mapping(name: str, value: Any) -> dict[str, Any]:
    """`value` under its name, so that a mistake is reported with it; a bare number as a weight."""
    if isinstance(value, dict):
        return {name: value}
    weight = TypeAdapter(dict[str, float], config={"strict": True}).validate_python({name: value})[name]
    return {name: {"weight": weight}}


def _typed(losses: Any) -> Any:
    """Each entry as the term of its loss; a bare number is the weight."""
    if not isinstance(losses, dict):
        return losses
    typed: dict[str, LossTerm] = {}
    for name, value in losses.items():
        if name not in LOSSES:
            raise ValueError(f"unknown loss {name!r}; known are {', '.join(LOSSES)}")
        if not isinstance(value, LossTerm):
            named = _as_mapping(name, value)
            kind: Any = GenericAlias(dict, (str, LOSSES[name].term))  # dict[str, its own type of term]
            value = TypeAdapter(kind).validate_python(named)[name]
        typed[name] = value
    return typed


Terms = Annotated[dict[str, SerializeAsAny[LossTerm]], Field(min_length=1), BeforeValidator(_typed)]
"""The losses of a recipe, by name."""


def in_force(terms: Mapping[str, LossTerm], epoch: float) -> dict[str, float]:
    """Weights of the losses at this point in training, without those that weigh nothing.

    Args:
        terms: by name.
        epoch: fractional, from 0, over all phases.
    """
    weights = {name: term.weight_at(epoch) for name, term in terms.items()}
    return {name: weight for name, weight in weights.items() if weight}


def total_loss(batch: Batch, terms: Mapping[str, LossTerm], weights: Mapping[str, float]) -> torch.Tensor:
    """Weighted sum of losses, a scalar.

    Args:
        batch: with what the weighted losses need.
        terms: options by name.
        weights: from `in_force`.
    """
    return torch.stack(
        [weight * FUNCTIONS[name](batch, **terms[name].options()) for name, weight in weights.items()]
    ).sum()
