"""Parameters of the evaluation (`evaluate:` in params.yaml)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from lvm_core.params import Group

Cosine = Annotated[float, Field(ge=-1.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]


class EvaluateParams(Group):
    """How predictors are judged; the defaults are those of the design.

    Attributes:
        batch_size: windows a batch; changes speed and memory, never the figures.
        rollout_steps: H, how often predictions are fed back (published: 5).
        coherence_cuts: the two borders of the coherence bins low | normal | high (published: 0.45 and 0.55).
        min_candidates: windows with fewer candidates are left out of retrieval, and counted.
        contrastive_targets: number of the split's targets that contrastive accuracy compares with; 0 leaves it out.
        full_bank: whether to measure retrieval among all chunks of the bank too (the dearest figure on a large bank).
        near_duplicate: windows whose target has this cosine or more with a chunk of its context are left out of every
            figure (`metrics/diagnosis.json` has their share, by `diagnosis.near_duplicate`); None: none is.
        ridge_strengths: penalties of the `ridge` reference to choose from on `dev`, a training window
            (`references.fit_ridge`).
    """

    batch_size: int = Field(default=256, ge=1, le=65_536)
    rollout_steps: int = Field(default=5, ge=1, le=100)
    coherence_cuts: list[Cosine] = Field(default=[0.45, 0.55], min_length=2, max_length=2)
    min_candidates: int = Field(default=10, ge=1)
    contrastive_targets: int = Field(default=1000, ge=0, le=1_000_000)
    full_bank: bool = True
    near_duplicate: float | None = Field(default=None, gt=0.0, le=1.0)
    ridge_strengths: list[Positive] = Field(default=[1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1], min_length=1)

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
