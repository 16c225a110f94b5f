"""Training that goes on where it was interrupted: the whole state of a phase in one file, saved now and then."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from lvm_core.bank import BankInfo
from lvm_core.config.recipe import Recipe
from lvm_core.models.checkpoint import load_notes, load_tensors, save_tensors
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import sha256_of
from lvm_core.runtime.hardware import processor_features
from lvm_core.runtime.resume import find_hashed, fingerprint, save_hashed, source_sha256
from lvm_core.train.trainer import TrainState

SAVE_SECONDS = 5.0
"""Shortest time between two saved points."""

SAVE_SHARE = 0.05
"""Largest share of the time spent on saving: a large model is saved less often."""


def phase_key(
    recipe: Recipe,
    phase: str,
    info: BankInfo,
    targets: np.ndarray,
    articles: Path,
    start: Path | None,
    precision: str,
    device: torch.device,
    processes: int = 1,
) -> str:
    """Fingerprint of everything that shapes the result of a phase.

    Args:
        targets: [W] int64 target rows of the phase's windows.
    """
    files = [articles, *(sorted(start.iterdir()) if start else [])]
    read = [sha256_of(file) for file in files]
    machine = processor_features() if device.type == "cpu" else torch.cuda.get_device_name(device)
    return fingerprint(
        *(recipe.model_dump_json(), phase, info.content_sha256, targets.tobytes(), read, precision),
        *(device.type, machine, torch.get_num_threads(), torch.__version__, np.__version__, source_sha256()),
        *([processes] if processes > 1 else []),
    )


class StateFile:
    """Keeps a `TrainState` in one sealed .safetensors file (a `Saver`).

    Attributes:
        path: of the file, without its seal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._due = time.monotonic() + SAVE_SECONDS

    def now_and_then(self, state: TrainState) -> None:
        """Save if the last time is `SAVE_SECONDS` ago, or longer where saving takes long."""
        if time.monotonic() < self._due:
            return
        try:
            self.save(state)
        except LvmError as error:  # a full disk, say: training goes on, and from an earlier point if it is interrupted
            print(f"train: the state was not saved: {error}", file=sys.stderr, flush=True)
            self._due = time.monotonic() + 60.0

    def save(self, state: TrainState) -> None:
        """Write weights, best weights, moments, sums, random state, position and history."""
        start = time.monotonic()
        device = state.loss_sum.device
        tensors = {f"model.{name}": tensor for name, tensor in state.model.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in state.best.items()}
        tensors |= {f"optimizer.{name}": tensor for name, tensor in state.optimizer.tensors().items()}
        tensors |= {"loss_sum": state.loss_sum, "random": torch.get_rng_state()}
        if device.type == "cuda":
            tensors["random_cuda"] = torch.cuda.get_rng_state(device)
        position = {
            **{"epoch": state.epoch, "step": state.step, "history": state.history},
            **{"best_epoch": state.best_epoch, "best_value": state.best_value},
        }
        notes = {"position": json.dumps(position), "lr": json.dumps(state.optimizer.lr)}
        save_hashed(self.path, lambda path: save_tensors(path, tensors, notes))
        end = time.monotonic()
        self._due = end + max(SAVE_SECONDS, (end - start) / SAVE_SHARE)

    def restore(self, state: TrainState, device: torch.device) -> bool:
        """Put `state` and torch's random state where `save` found them; False if nothing whole was saved."""
        saved = find_hashed(self.path)
        if saved is None:
            return False
        tensors = load_tensors(saved)
        notes = {name: json.loads(note) for name, note in load_notes(saved).items()}

        def part(prefix: str) -> dict[str, torch.Tensor]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        state.model.load_state_dict(part("model."))
        state.optimizer.restore(part("optimizer."))
        state.best = {name: tensor.to(device) for name, tensor in part("best.").items()}
        state.loss_sum = tensors["loss_sum"].to(device)
        for name, value in notes["position"].items():
            setattr(state, name, value)
        state.optimizer.lr = notes["lr"]  # for the history, if no step of the epoch is left
        torch.set_rng_state(tensors["random"])
        if "random_cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random_cuda"], device)
        return True
