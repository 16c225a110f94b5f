"""The vectors that training gathers from: on the device where they fit, else read from the file batch by batch."""

from __future__ import annotations

import mmap
import os
from typing import Literal

import numpy as np
import torch

from lvm_core.bank import Bank

Where = Literal["auto", "resident", "mapped"]
FITS = 0.5
"""Share of the free memory of a device that the bank may take; the model, its moments and a batch need room too."""


class MappedVectors:
    """The bank's vectors in their file: indexed as a tensor [N, D] is, and only the rows asked for are read.

    Attributes:
        device: where the rows asked for are put.
    """

    def __init__(self, vectors: np.ndarray, device: torch.device) -> None:
        self._vectors, self.device = vectors, device
        base = vectors.base if isinstance(vectors.base, mmap.mmap) else None
        if base is not None:
            base.madvise(mmap.MADV_RANDOM)  # rows of a shuffled batch: reading ahead would read what nobody asks for

    def __getitem__(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows [...] int64 on any device -> [..., D] on `device`, as stored (float32 or float16)."""
        found = torch.from_numpy(self._vectors[rows.cpu().numpy()])
        if self.device.type == "cuda":
            return found.pin_memory().to(self.device, non_blocking=True)
        return found


Vectors = torch.Tensor | MappedVectors
"""What training gathers from, by rows."""


def rows_of(vectors: Vectors, rows: torch.Tensor) -> torch.Tensor:
    """Rows [...] int64 on the vectors' device -> [..., D] float32."""
    if isinstance(vectors, MappedVectors):
        return vectors[rows].float()
    return vectors.index_select(0, rows.flatten()).view(*rows.shape, -1).float()


def training_vectors(bank: Bank, device: torch.device, where: Where) -> Vectors:
    """The bank's vectors for training on `device`; the choice changes the speed and no result.

    Args:
        bank: on disk, or in memory.
        device: to train on.
        where: `resident`: all on the device; `mapped`: read from the file as needed; `auto`: resident if that takes at
            most half of the memory that is free.
    """
    fits = bank.vectors.nbytes <= FITS * free_memory(device)
    if where == "mapped" or (where == "auto" and not fits):
        return MappedVectors(bank.vectors, device)
    return torch.from_numpy(bank.read_vectors()).to(device)


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a GPU, or on this machine (caches count as free)."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            fields = dict(line.split(":", 1) for line in lines)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):  # not Linux: what is installed, as all systems tell
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
