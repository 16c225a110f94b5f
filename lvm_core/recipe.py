"""A recipe is data: architecture, losses and optimiser, resolved to one small file that training depends on alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, model_validator

from lvm_core.corruption import Corruption
from lvm_core.files import write_text
from lvm_core.losses import LOSSES, Terms, in_force
from lvm_core.mapped import Where
from lvm_core.models import ModelParams, draws_samples
from lvm_core.params import PARAMS_FILE, Device, Group, Precision, Seed, Threads, validate
from lvm_core.schedules import Schedule
from lvm_core.yaml_text import read_yaml

Compile = Literal["default", "reduce-overhead", "max-autotune"]


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


class TrainParams(Group):
    """How a model is trained (`train` in params.yaml, laid over by each recipe's own `train`)."""

    epochs: Epochs
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)]
    lr: Annotated[float, Field(gt=0.0, le=10.0, description="base learning rate of AdamW")]
    weight_decay: Annotated[float, Field(ge=0.0)]
    beta1: Annotated[float, Field(ge=0.0, lt=1.0)]
    beta2: Annotated[float, Field(ge=0.0, lt=1.0)]
    clip: Annotated[float, Field(gt=0.0, description="largest gradient norm")]
    schedule: Schedule
    best_by: Annotated[Literal["cosine", "recall_at_5"], Field(description="dev figure that chooses the epoch kept")]
    batches: Annotated[
        Literal["windows", "articles"], Field(description="a step has windows of any, or of few articles")
    ]
    early_stop: Annotated[int | None, Field(ge=1, description="a phase ends after so many epochs without a better one")]
    target_offset: Annotated[int, Field(ge=1, le=16, description="k of the chunk to be predicted: 1 is the next one")]
    bank: Annotated[Where, Field(description="vectors on the device, read from the file as needed, or as they fit")]
    compile: Annotated[Compile | None, Field(description="torch.compile's mode; null: not compiled")]


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

    @property
    def needs_articles(self) -> bool:
        """Whether training has to know which article a row belongs to."""
        needs = {need for name in self.losses for need in LOSSES[name].needs}
        return self.train.batches == "articles" or self.train.target_offset > 1 or "future" in needs

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
    """Write `<directory>/<name>.yaml`.

    Args:
        directory: to write into.
        recipe: to write.
        code: a comment that names the code which trains it (`sources.code_line`).
    """
    text = yaml.safe_dump(recipe.model_dump(), sort_keys=False)
    write_text(
        Path(directory) / f"{recipe.name}.yaml", f"# Resolved from {PARAMS_FILE} by stages/resolve.py.\n{code}{text}"
    )


def read_recipe(path: str | Path) -> Recipe:
    """Read a resolved recipe.

    Raises:
        LvmError: the file is missing, not YAML or not a recipe (names the file and the key).
    """
    raw = read_yaml(path, "run `dvc repro resolve`")
    recipe: Recipe = validate(raw, Recipe, "recipe", path)
    return recipe
