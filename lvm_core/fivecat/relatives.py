"""Near relatives of the references: what lies beside a trivial predictor must be no better certified than it is.

A gate that only its own rivals fail would let through whatever was not thought of. So each change that may make a
trivial predictor better is tried at several strengths, on the bank at hand: a part of the mean taken off, rare
directions made to count for more, noise, two chunks in place of one, another share of what has been read.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lvm_core.bank import Bank
from lvm_core.bank.chunks import mean_chunk
from lvm_core.config.references import RELATIVES, Relative
from lvm_core.fivecat.formulas import formula_of, inverse_powers
from lvm_core.fivecat.measures import Predictor
from lvm_core.fivecat.references import random_directions


def relatives_of(bank: Bank, seed: int) -> list[Predictor]:
    """All of `RELATIVES` on a bank that has a train split; `seed` is that of the noise."""
    centre, noise = torch.from_numpy(mean_chunk(bank, "train")), random_directions(bank, seed)
    exponents = sorted({one.exponent for one in RELATIVES.values()})
    powers = dict(zip(exponents, inverse_powers(bank, centre, exponents), strict=True))

    def predictor(name: str, relative: Relative) -> Predictor:
        power = powers[relative.exponent] if relative.exponent else None
        formula = formula_of(torch.tensor(relative.weights), relative.less, power, len(centre))

        def predict(contexts: Tensor, rows: np.ndarray, memory: Tensor | None) -> Tensor:
            mean = centre.to(contexts.device) if memory is None else memory
            mixed: Tensor = formula.to(contexts.device)(contexts, mean)
            if relative.noise:
                mixed = mixed + relative.noise * torch.nn.functional.normalize(noise(contexts, rows), dim=1)
            return mixed

        return Predictor(name, predict, relative.sees)

    return [predictor(name, relative) for name, relative in RELATIVES.items()]
