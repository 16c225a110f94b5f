"""A recipe is data: architecture, losses and optimiser, resolved to one small file that training depends on alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, field_validator

from lvm_core.errors import LvmError
from lvm_core.files import write_text
from lvm_core.losses import LOSSES
from lvm_core.models import ModelParams
from lvm_core.params import PARAMS_FILE, Device, Group, Precision, Seed, Threads, validate
from lvm_core.schedules import Schedule


class Epochs(Group):
    """Epochs of each phase."""

    a: Annotated[int, Field(ge=1)]
    b: Annotated[int, Field(ge=1)]
    c: Annotated[int, Field(ge=1)]

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


class Recipe(Group):
    """A resolved recipe: everything that shapes its training."""

    name: str
    seed: Seed
    threads: Threads
    precision: Precision
    device: Device
    model: ModelParams
    losses: Annotated[dict[str, float], Field(min_length=1)]
    train: TrainParams

    @field_validator("losses")
    @classmethod
    def _known_losses(cls, losses: dict[str, float]) -> dict[str, float]:
        for name in losses:
            if name not in LOSSES:
                raise ValueError(f"unknown loss {name!r}; known are {', '.join(LOSSES)}")
        return losses


def write_recipe(directory: str | Path, recipe: Recipe) -> None:
    """Write `<directory>/<name>.yaml`."""
    text = yaml.safe_dump(recipe.model_dump(), sort_keys=False)
    write_text(Path(directory) / f"{recipe.name}.yaml", f"# Resolved from {PARAMS_FILE} by stages/resolve.py.\n{text}")


def read_recipe(path: str | Path) -> Recipe:
    """Read a resolved recipe.

    Raises:
        LvmError: the file is missing, not YAML or not a recipe (names the file and the key).
    """
    try:
        raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise LvmError(f"{path}: cannot be read as a recipe ({error}); run `dvc repro resolve`") from error
    recipe: Recipe = validate(raw, Recipe, "recipe", path)
    return recipe
