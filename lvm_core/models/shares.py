"""Modules that draw random numbers for a batch, of which this process may have a part (`lvm_core.ranks`)."""

from __future__ import annotations

from torch import nn

from lvm_core.ranks import Share


class Drawing(nn.Module):
    """A module that draws for the whole batch and takes the part of its own windows: the draws of one process.

    Attributes:
        share: which part of a batch it sees next; None: all of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.share: Share | None = None


def set_share(model: nn.Module, share: Share | None) -> None:
    """Tell every `Drawing` of a model which part of a batch it will see next."""
    for module in model.modules():
        if isinstance(module, Drawing):
            module.share = share
