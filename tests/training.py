"""A small bank on disk, a small recipe, and one call that trains it: for every test that needs a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from lvm_core.bank import Bank
from lvm_core.config.recipe import Recipe
from lvm_core.train.state import TrainState
from lvm_core.train.trainer import Trainer
from tests.synthetic import make_bank

MODEL = {"family": "transformer", "d_model": 32, "layers": 2, "heads": 4, "ffn": 64, "dropout": 0.1, "pos_scalar": None}
TRAIN: dict[str, Any] = {
    **{"batch_size": 32, "lr": 0.002, "weight_decay": 0.01, "beta1": 0.9, "beta2": 0.999, "clip": 1.0},
    "epochs": {"a": 2, "b": 1, "c": 2},
    "schedule": {"name": "plateau", "factor": 0.5, "patience": 3},
    "best_by": "cosine",
    **{"batches": "windows", "early_stop": None, "target_offset": 1, "bank": "auto", "compile": None},
}


def small_bank(seed: int = 0) -> Bank:
    return make_bank({"train": [40] * 12, "dev": [30] * 3, "val": [30] * 3, "ood": [25] * 3}, dimension=16, seed=seed)


def small_recipe(model: dict[str, Any] | None = None, train: dict[str, Any] | None = None, **changes: Any) -> Recipe:
    values = {"name": "small", "seed": 0, "threads": 1, "precision": "fp32", "device": "cpu", "losses": {"mse": 1.0}}
    values |= {"corruption": None}
    values |= {"model": MODEL | (model or {}), "train": TRAIN | (train or {})} | changes
    return Recipe.model_validate(values)


def train(bank: Bank, recipe: Recipe, phases: str = "abc") -> TrainState:
    trainer = Trainer(recipe, bank)
    state = trainer.start()
    for phase in phases:
        trainer.train(state, phase, bank.targets("train"))
    return state


def weights_of(state: TrainState) -> dict[str, np.ndarray]:
    return {name: tensor.numpy().copy() for name, tensor in state.model.state_dict().items()}


def same(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> bool:
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)


def write_untrained(directory: Path, dimension: int, seed: int = 0) -> None:
    """A model folder with the weights that a small model begins with."""
    from lvm_core.models import build_model
    from lvm_core.models.checkpoint import ModelInfo, save_model

    torch.manual_seed(seed)
    recipe = small_recipe(model={"d_model": 16, "layers": 1, "heads": 2, "ffn": 32})
    params = recipe.model
    info = ModelInfo(recipe.model_dump(), "c", 1, dimension, "synthetic", "", "", "fp32", [], 0, params.model_dump())
    save_model(directory, build_model(params, dimension).state_dict(), info)


def write_inputs(root: Path, bank: Bank, recipe: Recipe) -> None:
    """Everything that `stages/train.py` reads, under `root`."""
    from lvm_core.config.recipe import write_recipe
    from lvm_core.runtime.files import write_npy
    from lvm_core.train import Decision, decision_file, write_decision
    from tests.synthetic import write_bank

    write_bank(bank, root / "data/bank")
    write_recipe(root / "data/recipes", recipe)
    write_decision(root / decision_file("a", recipe.name), Decision(goes_on=True, why=None))
    for phase in "abc":
        write_npy(root / f"data/curriculum/{recipe.name}/{phase}.npy", bank.targets("train"))
