"""What one GPU does at the published scale: a complete training, an evaluation, and what compiling and residence bring.

`python -m benchmarks gpu` on a machine with a GPU (it is not part of a full run); `--quick` runs it small, on whatever
there is, to try the code.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.bench_fivecat import FIVE_TESTS
from benchmarks.bench_growth import write_bank
from benchmarks.bench_training import recipe_of
from benchmarks.report import Line, at_most, for_information
from benchmarks.timing import in_turn
from lvm_core.bank import Bank, load_bank
from lvm_core.config.recipe import Recipe
from lvm_core.fivecat.evaluate import evaluate
from lvm_core.fivecat.measures import from_callable
from lvm_core.runtime.hardware import resolve_device, resolve_precision
from lvm_core.train.trainer import Trainer

WINDOWS, DIMENSION, STEPS = 438_568, 768, 400
PHASES = {"a": 0.3, "b": 0.7, "c": 1.0}
"""Share of the windows of each phase."""
TRAINING_SECONDS, EVALUATION_SECONDS = 180.0, 10.0


def measure(quick: bool) -> Iterator[Line]:
    """All lines; `quick` for few windows and the default size."""
    windows, size, dimension = (2_000, "default", 64) if quick else (WINDOWS, "paper", DIMENSION)
    device = resolve_device("auto")
    with tempfile.TemporaryDirectory() as folder:
        write_bank(Path(folder), windows, dimension)
        bank = load_bank(folder)
        recipe = recipe_of(size)
        precision = resolve_precision("auto", device)
        recipe = recipe.model_copy(update={"device": str(device), "precision": precision})
        steps = 3 if quick else STEPS
        for mode in () if quick else ("default", "reduce-overhead", "max-autotune"):  # half a minute each to compile
            yield _alternative(bank, recipe, device, steps, "compile", mode, "null")
        yield _alternative(bank, recipe, device, steps, "bank", "mapped", "resident")
        yield _complete(bank, recipe, device, quick)
        yield _evaluation(bank, recipe, device)


def _with(recipe: Recipe, **changes: object) -> Recipe:
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=changes)})


def _alternative(
    bank: Bank, recipe: Recipe, device: torch.device, steps: int, key: str, value: str, usual: str
) -> Line:
    """Windows/s with `train.<key>: <value>` against the usual value."""

    def trained(changed: Recipe) -> object:
        trainer = Trainer(changed, bank)
        trainer.measure = lambda model: {"dev_cosine": 0.0}
        state = trainer.start()
        targets = bank.targets("train")[: steps * changed.train.batch_size]

        def run() -> None:
            state.epoch = 0
            trainer.train(state, "a", targets)

        return run

    one, other = (trained(_with(recipe, **{key: value})), trained(_with(recipe, bank="resident")))
    timed = in_turn(other, one, 3)  # type: ignore[arg-type]
    rates = [steps * recipe.train.batch_size / seconds for seconds in (timed.second, timed.first)]
    return for_information(
        f"training on {device}: train.{key} = {value}",
        timed.ratio,
        f"windows/s over those with {key} = {usual}, `paper` size",
        f"{rates[0]:,.0f} windows/s against {rates[1]:,.0f}",
    )


def _complete(bank: Bank, recipe: Recipe, device: torch.device, quick: bool) -> Line:
    """Phases A, B and C as params.yaml has them, with the figures on dev after each epoch."""
    epochs = {"a": 1, "b": 1, "c": 1} if quick else {"a": 4, "b": 6, "c": 10}
    recipe = _with(recipe, epochs=type(recipe.train.epochs).model_validate(epochs))
    targets = np.random.default_rng(0).permutation(bank.targets("train"))
    start = time.perf_counter()
    trainer = Trainer(recipe, bank)
    state = trainer.start()
    for phase, share in PHASES.items():
        chosen = np.sort(targets[: int(share * len(targets))])
        trainer.train(state, phase, chosen)
    seconds = time.perf_counter() - start
    return at_most(
        f"a complete training (phases A, B, C) of {len(targets):,} windows on {device}, in units of 3 minutes",
        seconds / TRAINING_SECONDS,
        1.0,
        f"recipe p1, batch size {recipe.train.batch_size}, {recipe.precision}",
        f"{seconds:.0f} s, {sum(epochs.values())} epochs",
    )


def _evaluation(bank: Bank, recipe: Recipe, device: torch.device) -> Line:
    model = Trainer(recipe, bank).start().model.eval()
    val = bank.articles.assign(split="train")
    val.loc[val.index[: len(val) // 5], "split"] = "val"
    judged = dataclasses.replace(bank, articles=val)
    start = time.perf_counter()
    evaluate(judged, "val", from_callable(model, "p1"), FIVE_TESTS, device=device)
    seconds = time.perf_counter() - start
    return at_most(
        f"five tests of {len(judged.targets('val')):,} windows on {device}, in units of 10 seconds",
        seconds / EVALUATION_SECONDS,
        1.0,
        "a fifth of the windows, as the pipeline's split.val",
        f"{seconds:.1f} s",
    )
