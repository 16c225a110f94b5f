"""Speed of training: against the model's bare arithmetic, a plain PyTorch program, and Lightning around the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.bench_fivecat import SIZES, synthetic_bank
from benchmarks.plain_training import (
    PlainModel,
    dev_cosine,
    laid_out,
    loader_of,
    train_lightning,
    train_plain,
)
from benchmarks.report import Line, at_least, at_most, for_information
from benchmarks.timing import in_turn
from lvm_core.bank import Bank
from lvm_core.config.params import read_params
from lvm_core.config.recipe import Recipe
from lvm_core.config.resolve import resolve_recipes
from lvm_core.models.layers import draw_masks
from lvm_core.runtime.distributed import ALONE
from lvm_core.runtime.hardware import resolve_precision, use_threads
from lvm_core.train.batch import TrainingWindows, step_function
from lvm_core.train.trainer import Trainer

CPU = torch.device("cpu")
DIMENSIONS = {"default": 384, "paper": 768}
GOALS = {"default": 2.5, "paper": 2.0}
STEPS = {"default": 100, "paper": 15}
"""Steps timed in one go."""


def measure(quick: bool) -> Iterator[Line]:
    """All lines; `quick` for a few steps and one round."""
    rounds = 1 if quick else 5
    for size, threads in (("default", 1), ("paper", 2)):
        use_threads(threads)
        bank = synthetic_bank({"train": 120, "dev": 16}, DIMENSIONS[size])
        steps = 3 if quick else STEPS[size]
        yield _against_bare(bank, size, threads, steps, rounds)
        yield _against_plain(bank, size, threads, steps, rounds)
        yield _against_lightning(bank, size, threads, steps, min(rounds, 3))
        yield _in_float32(bank, size, threads, steps, min(rounds, 3))
        yield from _same_losses(bank, size, steps)
    use_threads(1)
    if not quick:  # half a minute to compile
        yield _compiled(synthetic_bank({"train": 120, "dev": 16}, DIMENSIONS["default"]), STEPS["default"])
    yield _to_a_dev_cosine(synthetic_bank({"train": 120, "dev": 16}, DIMENSIONS["default"]), 1 if quick else 8)


def recipe_of(size: str, dropout: float | None = None, precision: str = "auto", epochs: int = 1) -> Recipe:
    """Recipe p1 at a size, with a constant learning rate."""
    params = read_params()
    params |= {"names": ["p1"], "time_direction": [], "service": params["service"] | {"models": []}}
    params["train"] |= {"repeat": []}
    recipe = resolve_recipes(params)[0][0]
    width, layers, heads, ffn = SIZES[size]
    changes: dict[str, Any] = {"d_model": width, "layers": layers, "heads": heads, "ffn": ffn}
    if dropout is not None:
        changes["dropout"] = dropout
    train = {"schedule": {"name": "constant"}, "epochs": {"a": epochs, "b": 1, "c": 1}, "best_by": "cosine"}
    said = recipe.model_dump() | {"device": "cpu", "precision": resolve_precision(precision, CPU)}
    return Recipe.model_validate(said | {"model": said["model"] | changes, "train": said["train"] | train})


def _trained(bank: Bank, recipe: Recipe, steps: int) -> Callable[[], None]:
    """Our own loop over so many steps, as the pipeline runs it, without an evaluation."""
    trainer, targets = Trainer(recipe, bank), bank.targets("train")[: steps * recipe.train.batch_size]
    trainer.measure = lambda model: {"dev_cosine": 0.0}
    state = trainer.start()

    def run() -> None:
        state.epoch = 0
        trainer.train(state, "a", targets)

    return run


def _against_bare(bank: Bank, size: str, threads: int, steps: int, rounds: int) -> Line:
    recipe = recipe_of(size)
    state = Trainer(recipe, bank).start()
    model, optimizer, parameters = state.model.train(), state.optimizer, list(state.model.parameters())
    batches = torch.randn(steps, recipe.train.batch_size, 6, bank.info.dimension)

    def bare() -> None:
        draw_masks(model, 0)
        for batch in batches:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=recipe.precision == "bf16"):
                raw = model(batch[:, :5])
            loss = 0.5 * (raw.float() - batch[:, 5]).square().sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, recipe.train.clip)
            optimizer.step()

    timed = in_turn(bare, _trained(bank, recipe, steps), rounds)
    return at_least(
        f"training, `{size}` size, {_on(threads)}: share of the bare loop's speed",
        timed.ratio,
        0.95,
        "our training loop over a bare loop with the same model on random tensors at hand",
        f"{_rate(recipe, steps, timed.second)} against {_rate(recipe, steps, timed.first)}",
    )


def _against_plain(bank: Bank, size: str, threads: int, steps: int, rounds: int) -> Line:
    recipe = recipe_of(size)
    model = PlainModel(recipe.model, bank.info.dimension)  # type: ignore[arg-type]
    dataset = laid_out(bank.vectors, bank.targets("train")[: steps * recipe.train.batch_size])
    loader = loader_of(dataset, recipe.train.batch_size)
    timed = in_turn(lambda: list(train_plain(model, loader, recipe.train.lr)), _trained(bank, recipe, steps), rounds)
    return at_least(
        f"training, `{size}` size, {_on(threads)}: against plain PyTorch",
        timed.ratio,
        GOALS[size],
        "windows/s over those of `nn.TransformerDecoderLayer`s in float32 with a DataLoader over laid-out windows",
        f"{_rate(recipe, steps, timed.second)} ({recipe.precision}) against {_rate(recipe, steps, timed.first)}",
    )


def _against_lightning(bank: Bank, size: str, threads: int, steps: int, rounds: int) -> Line:
    recipe = recipe_of(size)
    model = PlainModel(recipe.model, bank.info.dimension)  # type: ignore[arg-type]
    dataset = laid_out(bank.vectors, bank.targets("train")[: steps * recipe.train.batch_size])
    loader = loader_of(dataset, recipe.train.batch_size)
    timed = in_turn(
        lambda: train_lightning(model, loader, recipe.train.lr, steps), _trained(bank, recipe, steps), rounds
    )
    return at_least(
        f"training, `{size}` size, {_on(threads)}: against Lightning",
        timed.ratio,
        GOALS[size],
        "windows/s over those of Lightning's Trainer around the plain program",
        f"{_rate(recipe, steps, timed.second)} against {_rate(recipe, steps, timed.first)}",
    )


def _in_float32(bank: Bank, size: str, threads: int, steps: int, rounds: int) -> Line:
    recipe = recipe_of(size, precision="fp32")
    model = PlainModel(recipe.model, bank.info.dimension)  # type: ignore[arg-type]
    dataset = laid_out(bank.vectors, bank.targets("train")[: steps * recipe.train.batch_size])
    loader = loader_of(dataset, recipe.train.batch_size)
    timed = in_turn(lambda: list(train_plain(model, loader, recipe.train.lr)), _trained(bank, recipe, steps), rounds)
    return for_information(
        f"training, `{size}` size, {_on(threads)}: exact savings alone",
        timed.ratio,
        "our loop in float32 over the same plain program",
        f"{_rate(recipe, steps, timed.second)} against {_rate(recipe, steps, timed.first)}",
    )


def _same_losses(bank: Bank, size: str, steps: int) -> Iterator[Line]:
    """Losses from the same weights over the same batches, without dropout: ours and the plain program's."""
    targets = bank.targets("train")
    dataset = laid_out(bank.vectors, targets)
    order = np.random.default_rng(0).permutation(len(targets))[: steps * recipe_of(size).train.batch_size]
    batches = np.split(order, steps)
    rows = [torch.from_numpy(targets[batch]) for batch in batches]

    def plain(autocast: bool = False) -> np.ndarray:
        recipe = recipe_of(size, dropout=0.0)
        model = PlainModel(recipe.model, bank.info.dimension)  # type: ignore[arg-type]
        model.take_weights(Trainer(recipe, bank).start().model)  # type: ignore[arg-type]
        return np.array(list(train_plain(model, loader_of(dataset, 1, batches), recipe.train.lr, autocast)))

    def ours(precision: str) -> np.ndarray:
        recipe = recipe_of(size, dropout=0.0, precision=precision)
        return np.array(list(_losses(Trainer(recipe, bank), rows)))

    expected = plain()
    exact = np.abs(ours("fp32") / expected - 1).max()
    yield at_most(
        f"training, `{size}` size: difference of the losses in float32, in units of 1e-3",
        exact / 1e-3,
        1.0,
        f"largest relative difference of our loss from the plain program's in {steps} steps, same weights and batches",
        f"{exact:.1e}",
    )
    own, theirs = (
        float(np.sqrt(np.square(losses / expected - 1).mean())) for losses in (ours("bf16"), plain(autocast=True))
    )
    yield at_most(
        f"training, `{size}` size: difference of the losses in bf16",
        own / theirs,
        1.5,
        "relative distance of our losses in bf16 from the plain program's in float32, root mean square over the steps, "
        "over that of the plain program's own losses under torch.autocast",
        f"{own:.1e} against {theirs:.1e}",
    )


def _losses(trainer: Trainer, batches: list[Tensor]) -> Iterator[float]:
    state, bank, recipe = trainer.start(), trainer.bank, trainer.recipe
    model, targets = state.model.train(), bank.targets("train")
    windows = TrainingWindows(recipe, trainer.vectors, targets, bank.article_of_row, recipe.precision)
    loss_of = step_function(model, windows, ALONE)
    for step, rows in enumerate(batches):
        loss = loss_of(rows, 0.0, step)
        state.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(list(model.parameters()), recipe.train.clip)
        state.optimizer.step()
        yield loss.item()


def _compiled(bank: Bank, steps: int) -> Line:
    recipe = recipe_of("default")
    changed = recipe.model_copy(update={"train": recipe.train.model_copy(update={"compile": "default"})})
    timed = in_turn(_trained(bank, recipe, steps), _trained(bank, changed, steps), 3)
    return for_information(
        "training, `default` size, 1 thread: a compiled step",
        timed.ratio,
        "windows/s with train.compile = default over those without",
        f"{_rate(recipe, steps, timed.second)} against {_rate(recipe, steps, timed.first)}",
    )


class _Reached(Exception):
    """The dev cosine asked for is reached."""


def _to_a_dev_cosine(bank: Bank, epochs: int) -> Line:
    """The plain program's dev cosine after some epochs: how long it took, and how long we take to reach it."""
    recipe = recipe_of("default", epochs=10 * epochs)
    trainer = Trainer(recipe, bank)
    state = trainer.start()
    plain = PlainModel(recipe.model, bank.info.dimension)  # type: ignore[arg-type]
    plain.take_weights(state.model)  # type: ignore[arg-type]
    targets, dev = bank.targets("train")[:4096], laid_out(bank.vectors, bank.targets("dev"))
    loader, theirs = loader_of(laid_out(bank.vectors, targets), recipe.train.batch_size), 0.0
    for _ in range(epochs):
        start = time.perf_counter()
        list(train_plain(plain, loader, recipe.train.lr))
        theirs += time.perf_counter() - start
    goal, ours, count = dev_cosine(plain, dev), 0.0, 0
    start = time.perf_counter()

    def measured(model: nn.Module) -> dict[str, float]:
        nonlocal ours, start, count
        ours, count = ours + time.perf_counter() - start, count + 1
        reached = dev_cosine(model, dev)
        if reached >= goal:
            raise _Reached
        start = time.perf_counter()
        return {"dev_cosine": reached}

    trainer.measure = measured
    with suppress(_Reached):
        trainer.train(state, "a", targets)
    return at_least(
        "training, `default` size, 1 thread: time to a dev cosine",
        theirs / ours,
        GOALS["default"],
        f"plain program over ours, to the dev cosine that the plain program has after {epochs} epochs, same weights",
        f"dev cosine {goal:.4f}: {theirs:.1f} s and {epochs} epochs against {ours:.1f} s and {count} epochs",
    )


def _on(threads: int) -> str:
    return f"{threads} thread{'s' if threads > 1 else ''}"


def _rate(recipe: Recipe, steps: int, seconds: float) -> str:
    return f"{steps * recipe.train.batch_size / seconds:,.0f} windows/s"
