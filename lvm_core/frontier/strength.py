"""How much the affine family is shrunk: chosen on dev among the strengths of the `ridge` reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from lvm_core.bank import Bank
from lvm_core.errors import LvmError
from lvm_core.fivecat.batches import iterate_batches
from lvm_core.fivecat.window_sets import canonical_windows
from lvm_core.frontier.equations import Equations
from lvm_core.frontier.families import shrunk_solver
from lvm_core.progress import Progress


def choose_strength(bank: Bank, equations: Equations, strengths: Sequence[float], batch_size: int) -> float:
    """The strength whose unconstrained affine predictor has the best mean cosine on dev.

    Args:
        bank: the vectors.
        equations: of its train windows.
        strengths: to choose from; with a single one, dev is not looked at.
        batch_size: windows a batch.

    Raises:
        LvmError: dev has no window and is needed, or a strength is too small.
    """
    if len(strengths) == 1:
        return strengths[0]
    if not len(bank.targets("dev")):
        raise LvmError(
            "data/bank: the dev split has no window, which the choice among several evaluate.ridge_strengths needs; "
            "give it more or longer articles (data.train, split.*)"
        )
    cosines = []
    progress = Progress("frontier, strength of the penalty", len(strengths), "strengths")
    for strength in strengths:
        solved = shrunk_solver(equations, strength)(equations.right[0])
        bias = equations.right_mean[0] - equations.feature_mean @ solved
        cosines.append(_dev_cosine(bank, solved.float(), bias.float(), batch_size))
        progress.update(1)
    progress.close()
    return strengths[int(np.argmax(cosines))]


def _dev_cosine(bank: Bank, weight: torch.Tensor, bias: torch.Tensor, batch_size: int) -> float:
    windows = canonical_windows(bank, "dev")
    total = 0.0
    for batch in iterate_batches(bank, windows, batch_size, "cpu"):
        predictions = torch.addmm(bias, batch.contexts().flatten(1), weight)
        cosines = torch.nn.functional.cosine_similarity(predictions, batch.at_offset(1))
        total += float(cosines.sum(dtype=torch.float64))
    return total / len(windows)
