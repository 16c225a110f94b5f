"""What the choice of the served model is made by: figures on `dev`; and a reference predictor as a model directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from lvm_core.bank import Bank
from lvm_core.bank.chunks import mean_chunk
from lvm_core.config.figures import COSTLY_TESTS
from lvm_core.config.groups import EvaluateParams
from lvm_core.config.ladder import CRITERIA
from lvm_core.config.references import FORMULAS, REFERENCES, Sees
from lvm_core.fivecat.evaluate import evaluate_splits
from lvm_core.fivecat.formulas import fit_formula
from lvm_core.fivecat.measures import Predictor
from lvm_core.fivecat.references import fit_linear5
from lvm_core.models.checkpoint import ModelInfo, save_model
from lvm_core.models.families import FormulaModel
from lvm_core.models.formula import Formula
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.readers import read_json
from lvm_core.windows import CONTEXT

SUMS = ("copy_last", "context_mean", "linear5")
"""References that are a sum of the context, which a formula is too."""

SERVABLE = tuple(
    name for name, sees in REFERENCES.items() if sees in ("context", "memory") and name in (*SUMS, *FORMULAS)
)
"""References that can be served: formulas that see no more than a text that is being written has. (`ridge` is a matrix
of 5 D x D numbers, `corpus_mean` and `random` do not read the text.)"""


def dev_figures(
    bank: Bank, predictor: Predictor, params: EvaluateParams, seed: int, device: torch.device
) -> dict[str, float | None]:
    """The figures of `CRITERIA` on `dev`, None where undefined; no other costly test is made."""
    left_out = set(COSTLY_TESTS) - {"full_bank"}
    done = evaluate_splits(bank, predictor, params, seed=seed, device=device, splits=("dev",), leave_out=left_out)
    return {key: done["dev"].summary[key] for key in CRITERIA}


def read_dev_figures(folder: Path) -> tuple[dict[str, float | None], Sees]:
    """The same of an evaluation's folder, where the stage has written them, and what the row sees.

    Raises:
        LvmError: the file is missing or damaged, or has no such figures.
    """
    path = folder / "summary.json"
    summary = read_json(path)
    try:
        return {key: summary["dev"][key] for key in CRITERIA}, summary["sees"]
    except (KeyError, TypeError):
        raise LvmError(f"{path}: has no figures on dev; delete the folder and run `dvc repro`") from None


def save_reference(bank: Bank, name: str, directory: Path, params: EvaluateParams) -> ModelInfo:
    """Fit a reference of `SERVABLE` and write it as a model directory; what its model.json says."""
    formula, fit = _as_formula(bank, name, params)
    memory = "read" if REFERENCES[name] == "memory" else None
    model = FormulaModel.of(formula, torch.from_numpy(mean_chunk(bank, "train")), memory)
    info = ModelInfo(
        recipe={"name": name, "reference": True, "fit": fit},
        phase="c",
        epoch=0,
        dimension=bank.info.dimension,
        encoder=bank.info.encoder,
        encoder_sha256=bank.info.encoder_sha256,
        data_sha256=bank.info.content_sha256,
        precision="fp32",
        processor_features=[],
        n_parameters=len(fit.get("weights", [key for key in ("decay", "less", "exponent") if key in fit])),
        architecture={"family": "formula", "turned": formula.matrix is not None, "memory": memory},
    )
    save_model(directory, model.state_dict(), info)
    return info


def _as_formula(bank: Bank, name: str, params: EvaluateParams) -> tuple[Formula, dict[str, Any]]:
    if name in FORMULAS:
        found = fit_formula(bank, name)
        return found.formula, found.fit
    formula = Formula(bank.info.dimension, turned=False).requires_grad_(False)
    fit = dict(fit_linear5(bank, params.batch_size).fit) if name == "linear5" else {}
    even = [1 / CONTEXT] * CONTEXT
    if name != "copy_last":  # which it is as it is made
        formula.weights.copy_(torch.tensor(fit.get("weights", even)))
    return formula, fit
