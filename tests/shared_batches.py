"""Gradients of every recipe, alone or as one of several processes: `torchrun ... -m tests.shared_batches OUT`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from lvm_core.config.params import read_params
from lvm_core.config.recipe import Recipe
from lvm_core.config.resolve import resolve_recipes
from lvm_core.models.checkpoint import save_tensors
from lvm_core.models.layers import draw_masks
from lvm_core.runtime.distributed import Ranks, joined
from lvm_core.train.batch import step_function
from lvm_core.train.phases import fit
from lvm_core.train.trainer import Trainer
from tests.paths import ROOT
from tests.synthetic import make_bank

SIZES = (13, 1)
"""Windows of the batches: neither can be shared evenly, and the second leaves a process without any."""
AT = 7.5
"""Point in training at which every loss and ramp of every recipe is in force."""
OWN_DRAWS = ("lstm",)
"""Recipes whose dropout torch draws inside a layer of its own, for the windows that it sees."""
WITH_MEMORY = {
    "about": "everything that a memory and candidates of the bank reach",
    "model": {"memory": "read", "head": "formula", "base": "decay_memory"},
    "corruption": {"last_slot": {"kind": "noise", "probability": 0.5, "norm": 0.83}},
    "losses": {
        "article_softmax": {"weight": 1.0, "temperature": 0.1, "candidates": "both", "bank_negatives": 20},
        "rollout": {"weight": 1.0, "steps": 3},
    },
    "train": {"batches": "articles"},
    "curriculum": {"rule": "all"},
}
"""A recipe that need not be in params.yaml."""


def small_recipes() -> list[Recipe]:
    """Every recipe of params.yaml and one more, at a small size."""
    params = read_params(ROOT / "params.yaml")
    params["recipes"] |= {"with_memory": WITH_MEMORY}
    params |= {"names": list(params["recipes"]), "precision": "fp32"}
    params["model"] |= {"d_model": 16, "ffn": 32, "layers": 2, "heads": 2}
    return resolve_recipes(params)[0]


def gradients(recipe: Recipe, ranks: Ranks) -> dict[str, torch.Tensor]:
    """Loss and gradients of one batch of each size, by name."""
    bank = make_bank({"train": [30] * 4, "dev": [25] * 2}, dimension=12)
    trainer = Trainer(recipe, bank)
    model = trainer.start().model.train()
    fit(trainer, model)
    windows = trainer.windows(bank.targets("train"))
    loss_of = step_function(model, windows, ranks)
    found = {}
    for size in SIZES:
        draw_masks(model, seed=3)
        torch.manual_seed(5)
        model.set_ramps(AT)
        model.zero_grad()
        loss = loss_of(windows.rows[20 : 20 + size], AT, 0)
        loss.backward()
        found[f"{recipe.name}.{size}.loss"] = loss.detach()
        for name, weight in model.named_parameters():
            if not weight.requires_grad:
                continue
            if weight.grad is None:
                raise AssertionError(f"{recipe.name}: {name} has no gradient")
            found[f"{recipe.name}.{size}.{name}"] = weight.grad.clone()
    return found


def main(out: str) -> None:
    torch.set_num_threads(1)
    with joined("cpu") as ranks:
        found: dict[str, torch.Tensor] = {}
        for recipe in small_recipes():
            found |= gradients(recipe, ranks)
        if ranks.first:
            save_tensors(Path(out), found)


if __name__ == "__main__":
    main(sys.argv[1])
