"""Evaluation of model directories on one bank."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import torch

from lvm_core.bank import Bank, load_bank, reversed_bank
from lvm_core.config.groups import EvaluateParams
from lvm_core.fivecat.evaluate import Evaluation, evaluate_splits
from lvm_core.fivecat.measures import from_model
from lvm_core.models.checkpoint import load_model
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import REVERSED
from lvm_core.runtime.hardware import resolve_device


@dataclass(frozen=True)
class ModelJudge:
    """Evaluates models on `val` and `ood` of a bank."""

    bank: Bank
    """To evaluate on."""
    params: EvaluateParams
    seed: int
    """Of the random draws."""
    device: torch.device
    """To predict on."""

    @classmethod
    def of_bank(cls, directory: str | Path, kind: str, params: EvaluateParams, seed: int, device: str) -> ModelJudge:
        """On the bank in a folder, with its articles read backwards where `kind` is that variant.

        Raises:
            LvmError: the bank is missing or damaged, or there is no such device.
        """
        bank, found = load_bank(directory), resolve_device(device)
        return cls(reversed_bank(bank) if kind.startswith(REVERSED) else bank, params, seed, found)

    def evaluate(self, directory: Path, name: str, leave_out: Collection[str] = ()) -> dict[str, Evaluation]:
        """Evaluations by split of the model in a directory, without the named `COSTLY_TESTS`.

        Raises:
            LvmError: the model is missing, damaged, of another dimension than the bank, or predicts no numbers.
        """
        model = load_model(directory).to(self.device)
        if model.info.dimension != self.bank.info.dimension:
            reads, holds = (f"{info.dimension}-d vectors of {info.encoder}" for info in (model.info, self.bank.info))
            raise LvmError(f"{directory}: reads {reads}, data/bank holds {holds}; train the recipe on this bank")
        predictor = from_model(model, name)
        return evaluate_splits(
            self.bank, predictor, self.params, seed=self.seed, device=self.device, leave_out=leave_out
        )  # fmt: skip
