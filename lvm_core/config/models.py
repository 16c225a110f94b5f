"""Sizes and options of every model family, and what grows over the epochs (`Ramped`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from lvm_core.config.params import Group, PosScalar
from lvm_core.config.references import FORMULAS, REFERENCES, sees_of
from lvm_core.config.schedules import Ramp


class FamilyParams(Group):
    """Parameters that every family has."""

    normaliser: Literal["robust"] | None = None
    """`robust`: the model reads and writes vectors normalised dimension by dimension; null: as they are."""
    memory: Literal["read", "document"] | None = None
    """What the model is given beside the five chunks (`bank.chunks.Memory`): `read`, the mean of the article's chunks
    before the target; `document`, that of the whole article; null: nothing."""
    takes_memory: ClassVar[bool] = False

    @field_validator("memory")
    @classmethod
    def _memory_is_taken(cls, memory: str | None) -> str | None:
        if memory and not cls.takes_memory:
            raise ValueError(
                "this family cannot take a memory; transformer, storylines and formula can: set it to null"
            )
        return memory

    @model_validator(mode="after")
    def _no_normaliser_with_a_mean(self) -> Self:
        if self.normaliser and self.centred:
            raise ValueError(
                "a normaliser does not go with a memory or a formula, whose means are of vectors as they are"
            )
        return self

    @property
    def centred(self) -> bool:
        """Whether the model needs the mean of `train`."""
        return self.memory is not None


class FormulaNumbers(Group):
    """A formula that is not turned."""

    decay: Annotated[float, Field(ge=0.0, le=1.0)]
    """Weight of a chunk over that of the next newer one."""
    less: Annotated[float, Field(ge=0.0, le=2.0)]
    """How much of the memory is taken off, or of the mean of `train` where there is none."""


class HeadParams(FamilyParams):
    """Which head, and what it needs."""

    head: Literal["plain", "residual_unit", "residual_free", "mixture", "energy", "formula"] = "plain"
    mixture_start: Literal["last", "mean"] | None = None
    """With head `mixture`: the mixture that it starts from, the last context vector or the mean of all."""
    noise: Annotated[int, Field(ge=1, le=65_536)] | None = None
    """With head `energy`: width of the noise."""
    base: Literal[FORMULAS] | FormulaNumbers | None = None  # type: ignore[valid-type]
    """With head `formula`: what a correction is added to, a reference as it is fitted on the bank at hand, or numbers
    of one's own."""
    keep: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """With head `formula`: share of the base as it was before the training in what the trained model predicts."""
    train_base: Literal["weights", "all", "none"] = "weights"
    """With head `formula`: which of the reference's numbers are trained on: its weights and how much of the mean it
    takes off, the matrix too, or none."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for key, head in (("mixture_start", "mixture"), ("noise", "energy"), ("base", "formula")):
            if (getattr(self, key) is not None) != (self.head == head):
                raise ValueError(f"head {head!r} needs {key}, and no other head has it")
        if self.normaliser and self.head == "residual_unit":
            raise ValueError("head 'residual_unit' adds unit vectors: it does not go with a normaliser")
        if self.train_base != "weights" and self.base is None:
            raise ValueError(f"train_base = {self.train_base!r} has nothing to train: only head 'formula' has a base")
        if self.keep and self.base is None:
            raise ValueError(f"keep = {self.keep:g} has nothing to keep: only head 'formula' has a base")
        if isinstance(self.base, str) and REFERENCES[self.base] not in ("context", sees_of(self.memory)):
            memory = {"memory": "read", "document": "document"}[REFERENCES[self.base]]
            raise ValueError(f"base = {self.base!r} needs memory: {memory}, and memory is {self.memory!r}")
        return self

    @property
    def centred(self) -> bool:
        """A base takes the mean off too."""
        return self.memory is not None or self.base is not None


Width = Annotated[int, Field(ge=1, le=16_384, description="width of the layers")]

Layers = Annotated[int, Field(ge=1, le=128)]

FeedForward = Annotated[int, Field(ge=1, le=65_536, description="width of the feed-forward part")]

Rate = Annotated[float, Field(ge=0.0, lt=1.0)]


class Bias(Group):
    """beta, taken off the last slot's logit."""

    kind: str
    beta_max: Annotated[float, Field(ge=0.0, le=1000.0, description="its largest value")]
    ramp: Ramp | None = None


class FixedBias(Bias):
    """beta = beta_max x ramp."""

    kind: Literal["fixed"]


class LearnableBias(Bias):
    """beta = beta_max x ramp x sigmoid(theta); theta is learned from 0, so that beta starts at half of its limit."""

    kind: Literal["learnable"]


class Barred(Group):
    """The last slot is not seen at all."""

    kind: Literal["barred"]


class AttentionParams(FamilyParams):
    """Size of what attends with several heads."""

    family: str
    d_model: Annotated[int, Field(ge=8, le=16_384, description="width of the layers")]
    layers: Layers
    heads: Annotated[int, Field(ge=1, le=256)]
    ffn: FeedForward
    dropout: Rate

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.d_model % self.heads or self.d_model % 2:
            raise ValueError(f"d_model = {self.d_model} must be even and a multiple of heads = {self.heads}")
        return self


class TransformerParams(AttentionParams, HeadParams):
    """Size of a transformer, and its variants."""

    takes_memory: ClassVar[bool] = True

    family: Literal["transformer"]
    pos_scalar: Annotated[PosScalar | None, Field(description="last value of the extra position channel; null: none")]
    pos_ramp: Annotated[Ramp | None, Field(description="epochs over which that value is reached")] = None
    last_slot_bias: Annotated[
        FixedBias | LearnableBias | None,
        Field(discriminator="kind", description="against the last slot, in every attention"),
    ] = None

    @model_validator(mode="after")
    def _ramps_something(self) -> Self:
        if self.pos_ramp and self.pos_scalar is None:
            raise ValueError(f"pos_ramp = {self.pos_ramp} has nothing to ramp: pos_scalar is null")
        return self


class NextTokenParams(AttentionParams):
    """Size of a [NEXT] reader."""

    family: Literal["next_token"]
    last_slot_bias: Annotated[
        FixedBias | LearnableBias | Barred | None,
        Field(discriminator="kind", description="against the last slot; null: none"),
    ]


class LstmParams(FamilyParams):
    """Size of an LSTM; published: 512 wide, 2 layers, dropout 0.2 between them."""

    family: Literal["lstm"]
    d_model: Width
    layers: Layers
    dropout: Rate


class GruParams(FamilyParams):
    """Size of a GRU stack; published: 512 wide, 4 layers."""

    family: Literal["gru"]
    d_model: Width
    layers: Layers
    dropout: Rate


class StorylinesParams(FamilyParams):
    """Size of a residual network over the concatenated context (arXiv 2005.05255), a memory in a sixth place."""

    family: Literal["storylines"]
    width: Width
    blocks: Layers
    dropout: Rate
    takes_memory: ClassVar[bool] = True


class FormulaParams(FamilyParams):
    """A sum of the context less a mean, turned by a matrix (`models.formula`): a fitted reference as a model."""

    family: Literal["formula"]
    turned: bool
    """Whether there is a matrix."""
    takes_memory: ClassVar[bool] = True

    @property
    def centred(self) -> bool:
        """Always: without a memory the mean of `train` is what is taken off."""
        return True


class AmnParams(FamilyParams):
    """Size of an attention mixture network; published: d_model 256, ffn 512."""

    family: Literal["amn"]
    d_model: Width
    """Width of query and keys, and of the last hidden layer."""
    ffn: FeedForward
    """Width of the first hidden layer."""


ModelParams = Annotated[
    TransformerParams | NextTokenParams | LstmParams | GruParams | AmnParams | StorylinesParams | FormulaParams,
    Field(discriminator="family"),
]
"""Sizes of any family, told apart by `family`."""


def draws_samples(params: ModelParams) -> bool:
    """Whether the model has `samples(contexts, n)`, as the energy loss needs."""
    return isinstance(params, TransformerParams) and params.head == "energy"
