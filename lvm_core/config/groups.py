"""The groups of params.yaml that shape the curriculum, the evaluation, the diagnosis and the service."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from lvm_core.config.params import Group, a_list
from lvm_core.windows import CONTEXT

Cosine = Annotated[float, Field(ge=-1.0, le=1.0)]

Positive = Annotated[float, Field(gt=0.0)]


class EvaluateParams(Group):
    """How predictors are judged; the defaults are those of the design."""

    batch_size: int = Field(default=256, ge=1, le=65_536)
    """Windows a batch; changes speed and memory, never the figures."""
    rollout_steps: int = Field(default=5, ge=1, le=100)
    """H, how often predictions are fed back (published: 5)."""
    coherence_cuts: list[Cosine] = Field(default=[0.45, 0.55], min_length=2, max_length=2)
    """The two borders of the coherence bins low | normal | high (published: 0.45 and 0.55)."""
    min_candidates: int = Field(default=10, ge=1)
    """Windows with fewer candidates are left out of retrieval, and counted."""
    contrastive_targets: int = Field(default=1000, ge=0, le=1_000_000)
    """Number of the split's targets that contrastive accuracy compares with; 0 leaves it out."""
    full_bank: bool = True
    """Whether to measure retrieval among all chunks of the bank too (the costliest figure on a large bank)."""
    near_duplicate: float | None = Field(default=None, gt=0.0, le=1.0)
    """Windows whose target has this cosine or more with a chunk of its context are left out of every figure
    (`metrics/diagnosis.json` has their share, by `diagnosis.near_duplicate`); None: none is."""
    ridge_strengths: list[Positive] = Field(default=[1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1], min_length=1)
    """Penalties of the `ridge` reference to choose from on `dev`, a training window (`references.fit_ridge`)."""

    @field_validator("coherence_cuts")
    @classmethod
    def _rising(cls, cuts: list[float]) -> list[float]:
        if not cuts[0] < cuts[1]:
            raise ValueError("must be two rising cosines, like [0.45, 0.55]")
        return cuts

    @field_validator("ridge_strengths")
    @classmethod
    def _distinct(cls, strengths: list[float]) -> list[float]:
        if len(set(strengths)) != len(strengths):
            raise ValueError("must not repeat a strength")
        return strengths


Fill = Literal["neighbours", "repeat"]
"""How a context of fewer than five chunks is filled up (`lvm_core.service.nearest`)."""


class ServiceParams(Group):
    """Parameters of the service."""

    models: Annotated[list[str], a_list("recipe names", "[contrast]; [] for none")]
    """Names of the recipes whose confidence is calibrated, beside the selected model's."""
    fill: Fill
    """Strategy for contexts of fewer than five chunks, unless a request names another."""
    steps: Annotated[int, Field(ge=1, le=16)]
    """Most chunks ahead that a request may ask for; confidence is calibrated for each."""


class DiagnosisParams(Group):
    """Parameters of the diagnosis (`diagnosis` in params.yaml)."""

    max_lag: Annotated[int, Field(ge=CONTEXT, le=1000, description="longest lag of the similarity curve")]
    near_duplicate: Annotated[float, Field(gt=0.0, le=1.0, description="cosine from which two chunks count as equal")]


ScoreName = Literal["distinctness", "forward_gain", "similarity"]

SCORES: tuple[ScoreName, ...] = ("distinctness", "forward_gain", "similarity")
"""The scores that can order a curriculum, higher first (prior results, section 5)."""


class ScoreParams(Group):
    """Which score orders the curriculum (`score` in params.yaml)."""

    name: Annotated[ScoreName, Field(description="score of the curricula that name no other")]


Fraction = Annotated[float, Field(gt=0.0, le=1.0)]

CosineSum = Annotated[float, Field(ge=-2.0, le=2.0)]


class TopShares(Group):
    """Share of the scored windows that phases A and B keep; phase C keeps all."""

    a: Fraction
    b: Fraction

    @model_validator(mode="after")
    def _nested(self) -> TopShares:
        if self.a > self.b:
            raise ValueError(f"a = {self.a} must not exceed b = {self.b}: phase B contains phase A")
        return self


class Thresholds(Group):
    """The P5.1 rule: A keeps sim_prev >= sim_a AND adv_prev >= adv_a, B has >= sim_b OR >= adv_b (and all of A)."""

    sim_a: CosineSum
    adv_a: CosineSum
    sim_b: CosineSum
    adv_b: CosineSum


class CurriculumParams(Group):
    """Parameters of all curricula (`curriculum` in params.yaml)."""

    top: TopShares
    thresholds: Thresholds
    min_windows: Annotated[int, Field(ge=1, description="a phase with fewer windows is an error")]
    near_duplicate: Annotated[
        float | None, Field(gt=0.0, le=1.0, description="windows whose target is this near to a context chunk are out")
    ]


class Rule(Group):
    """How one recipe's phases are selected: one entry of data/curricula.yaml."""

    rule: Literal["all", "top", "thresholds"]
    """`all` (every window in every phase), `top` (the windows with the highest score) or `thresholds` (P5.1)."""
    score: ScoreName | None = None
    """Orders the windows under `top`; None under the other rules."""

    @model_validator(mode="after")
    def _score_where_used(self) -> Rule:
        if (self.rule == "top") != (self.score is not None):
            raise ValueError("score is needed with rule: top, and only there")
        return self
