"""A recipe is data: model, corruption, losses and optimiser, resolved to one file that training depends on alone.

Losses and corruption are functions in `lvm_core.train`, models are in `lvm_core.models`; a test asserts that the names
agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, SerializeAsAny, TypeAdapter, model_validator

from lvm_core.config.models import ModelParams, draws_samples
from lvm_core.config.params import PARAMS_FILE, Device, Group, Precision, Seed, Threads, validate
from lvm_core.config.schedules import Constant, Cosine, Plateau, Ramped
from lvm_core.runtime.files import write_text
from lvm_core.runtime.readers import read_yaml


class Epochs(Group):
    """Epochs of each phase."""

    a: Annotated[int, Field(ge=1, le=10_000)]
    b: Annotated[int, Field(ge=1, le=10_000)]
    c: Annotated[int, Field(ge=1, le=10_000)]

    @property
    def total(self) -> int:
        """Epochs of all phases."""
        return self.a + self.b + self.c

    def before(self, phase: str) -> int:
        """Epochs before `phase` begins."""
        return {"a": 0, "b": self.a, "c": self.a + self.b}[phase]


Where = Literal["auto", "resident", "mapped"]


class TrainParams(Group):
    """How a model is trained (`train` in params.yaml; each recipe's own `train` overrides it)."""

    epochs: Epochs
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)]
    lr: Annotated[float, Field(gt=0.0, le=10.0, description="base learning rate of AdamW")]
    weight_decay: Annotated[float, Field(ge=0.0)]
    beta1: Annotated[float, Field(ge=0.0, lt=1.0)]
    beta2: Annotated[float, Field(ge=0.0, lt=1.0)]
    clip: Annotated[float, Field(gt=0.0, description="largest gradient norm")]
    schedule: Annotated[Constant | Cosine | Plateau, Field(discriminator="name")]
    best_by: Annotated[Literal["cosine", "recall_at_5"], Field(description="dev figure that chooses the epoch kept")]
    batches: Annotated[
        Literal["windows", "articles"], Field(description="a step has windows of any, or of few articles")
    ]
    early_stop: Annotated[int | None, Field(ge=1, description="a phase ends after so many epochs without a better one")]
    target_offset: Annotated[int, Field(ge=1, le=16, description="k of the chunk to be predicted: 1 is the next one")]
    bank: Annotated[Where, Field(description="vectors on the device, read from the file as needed, or as they fit")]
    compile: Literal["default", "reduce-overhead", "max-autotune"] | None
    """Mode of torch.compile; null: not compiled."""


NUMBER = TypeAdapter(float, config={"strict": True})


class LossTerm(Ramped):
    """A loss in a recipe: its weight, when it is in force, and in subclasses its own options."""

    weight: Annotated[float, Field(ge=0.0, description="full weight; a bare number in params.yaml is this alone")]

    @model_validator(mode="before")
    @classmethod
    def _weight_or_known_keys(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return {"weight": NUMBER.validate_python(value)}
        unknown = set(value) - set(cls.model_fields)
        if unknown:
            raise ValueError(f"unknown key {min(map(str, unknown))!r}; allowed are {', '.join(cls.model_fields)}")
        return value

    def options(self) -> dict[str, Any]:
        """What the loss function takes beside the batch."""
        return {name: getattr(self, name) for name in type(self).model_fields if name not in LossTerm.model_fields}


def _typed(losses: Any) -> Any:
    """Each entry as the term of its loss."""
    if not isinstance(losses, dict):
        return losses
    typed: dict[str, LossTerm] = {}
    for name, value in losses.items():
        if name not in LOSSES:
            raise ValueError(f"unknown loss {name!r}; known are {', '.join(LOSSES)}")
        kind: Any = GenericAlias(dict, (str, LOSSES[name].term))  # with the name, so that a mistake is told with it
        typed[name] = value if isinstance(value, LossTerm) else TypeAdapter(kind).validate_python({name: value})[name]
    return typed


Terms = Annotated[dict[str, SerializeAsAny[LossTerm]], Field(min_length=1), BeforeValidator(_typed)]
"""The losses of a recipe, by name."""


Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class LastSlot(Ramped):
    """When the last slot is corrupted."""

    probability: Probability
    """That a window is corrupted, once the ramp is over."""


class Noise(LastSlot):
    """Gaussian noise added to the last chunk, which is then made unit length (P5.1: prior results, section 3.3)."""

    kind: Literal["noise"]
    norm: Annotated[float, Field(ge=0.0, le=100.0)]
    """Root mean square length of the noise, at any D; 0.83 leaves a cosine of 0.77 with the clean chunk."""
    swap: Probability = 0.0
    """Share of the corrupted windows that get the second-last chunk in the last slot instead."""


class RandomUnit(LastSlot):
    """A random direction instead of the last chunk (context drop of V1, V3, P3, P4: prior results, section 3.0)."""

    kind: Literal["random_unit"]


class Corruption(Group):
    """What is corrupted (`corruption` of a recipe)."""

    last_slot: Annotated[Noise | RandomUnit, Field(discriminator="kind")]


class Recipe(Group):
    """A resolved recipe: everything that shapes its training."""

    name: str
    seed: Seed
    threads: Threads
    precision: Precision
    device: Device
    model: ModelParams
    corruption: Corruption | None
    losses: Terms
    train: TrainParams

    @model_validator(mode="after")
    def _losses_find_what_they_need(self) -> Recipe:
        for name in self.losses:
            needs = LOSSES[name].needs
            if "candidates" in needs and self.train.batches != "articles":
                raise ValueError(f"loss {name} needs train.batches: articles")
            if "samples" in needs and not draws_samples(self.model):
                raise ValueError(f"loss {name} needs a model that draws samples: model.head: energy")
            if "scale" in needs and self.model.normaliser is None:
                raise ValueError(f"loss {name} needs model.normaliser")
        for epoch in range(self.train.epochs.total):
            if not in_force(self.losses, epoch):
                raise ValueError(f"at the start of epoch {epoch + 1} no loss has a weight")
        return self


def write_recipe(directory: str | Path, recipe: Recipe, code: str = "") -> None:
    """Write `<directory>/<name>.yaml`; `code` is a comment that names the code which trains it."""
    text = yaml.safe_dump(recipe.model_dump(), sort_keys=False)
    head = f"# Resolved from {PARAMS_FILE} by stages/resolve.py.\n{code}"
    write_text(Path(directory) / f"{recipe.name}.yaml", head + text)


def read_recipe(path: str | Path) -> Recipe:
    """Read a resolved recipe.

    Raises:
        LvmError: the file is missing, not YAML or not a recipe (names the file and the key).
    """
    raw = read_yaml(path, "run `dvc repro resolve`")
    return validate(raw, Recipe, "recipe", path)


Need = Literal["raw", "future", "candidates", "predict", "samples", "scale"]

Margin = Annotated[float, Field(ge=-2.0, le=2.0, description="in cosine")]


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
    candidates: Literal["masked", "forward", "both"] = "masked"
    """Of the article: all but the context, as masked R@5 ranks; the target and what follows it, as forward R@5 does; or
    the mean of the two losses."""
    bank_negatives: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """So many chunks of any article of `train` besides, drawn anew for each step."""
    centred: bool = False
    """Candidates less the mean of their article, at unit length, so that its topic does not tell them apart. With
    `bank_negatives`, where the topic does tell them apart, all less the mean of `train`. The prediction stays as it
    is."""


class FreeRun(LossTerm):
    """Options of `rollout`."""

    steps: Annotated[int, Field(ge=2, le=32, description="predictions in a row")] = 3


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
    needs: set[Need]
    """What of the batch it reads beside contexts and targets."""


LOSSES = {
    "mse": Loss(LossTerm, "P1 (prior results, section 3.0)", {"raw"}),
    "mse_normalised": Loss(LossTerm, "Large Concept Model (anchors, section 1.1)", {"raw", "scale"}),
    "cosine": Loss(LossTerm, "ours", {"raw"}),
    "guard_previous": Loss(Guard, "L_dir (prior results, section 3.0)", {"raw"}),
    "guard_context": Loss(Guard, "L_ac (prior results, section 3.0)", {"raw"}),
    "micro_ranking": Loss(MicroRanking, "P5.1 (prior results, section 3.3)", {"raw"}),
    "rollout": Loss(FreeRun, "what P4 meant (prior results, section 3.1)", {"raw", "future", "predict"}),
    "smoothness": Loss(Smoothness, "what P4 ran (prior results, section 3.1)", {"raw", "predict"}),
    "article_softmax": Loss(ArticleSoftmax, "ours, after InfoNCE (1807.03748)", {"raw", "candidates"}),
    "energy": Loss(Energy, "CALM (anchors, section 1.3)", {"samples"}),
}
"""Every loss a recipe can name."""


def in_force(terms: Mapping[str, LossTerm], epoch: float) -> dict[str, float]:
    """Weights of the losses, by name, at this point in training, without those that weigh nothing."""
    weights = {name: term.in_force(term.weight, epoch) for name, term in terms.items()}
    return {name: weight for name, weight in weights.items() if weight}
