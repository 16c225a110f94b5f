"""Losses: pure functions of a batch, in units of cosine, looked up by name from a recipe. One file a kind."""

from __future__ import annotations

from lvm_core.losses.batch import Batch, Candidates
from lvm_core.losses.registry import FUNCTIONS, LOSSES, Loss, LossTerm, Terms, in_force, total_loss

__all__ = ["FUNCTIONS", "LOSSES", "Batch", "Candidates", "Loss", "LossTerm", "Terms", "in_force", "total_loss"]
