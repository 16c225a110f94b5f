"""The ladder: the summary's decision procedure, in its order, until a recipe passes its gates after phase A.

`dev_gates` judges each attempt, `choice` makes the model directory, `score_check` has the summary's Option 1. `dev`
decides here; under `gates.policy: enforce` the gates on `val` and `ood` have decided before who is trained on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from lvm_core.bank import Bank
from lvm_core.config.ladder import OF_EPOCHS, LadderParams, number_at, raised_recipe
from lvm_core.config.recipe import Recipe, read_recipe
from lvm_core.curriculum.phases import read_rules
from lvm_core.fivecat.candidates import SERVABLE
from lvm_core.models.checkpoint import copy_model
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import model_directory, sha256_of
from lvm_core.runtime.hardware import use_threads
from lvm_core.runtime.readers import read_csv, read_json, read_npy, read_parquet
from lvm_core.runtime.resume import fingerprint, progress_folder
from lvm_core.selection.choice import best_on_dev, candidate, select
from lvm_core.selection.dev_gates import Judge, attempt_json, dev_answers, reported_answers
from lvm_core.selection.score_check import after_phase_a, check_metric
from lvm_core.train.phases import PHASES, train_phases, training_key
from lvm_core.train.trainer import Trainer

Found = dict[str, Any]
"""Json values."""

Windows = Mapping[str, Mapping[str, np.ndarray]]
"""[W] int64 target rows by recipe and phase."""


@dataclass(frozen=True)
class Attempt:
    """One phase A to be judged."""

    name: str
    """The recipe's, with `-retry-<n>` after it for a retry (no recipe can have such a name)."""
    recipe: Recipe
    """What is trained: the one of the pipeline, or the raised one."""
    retry: int
    """0 for the recipe of the pipeline."""
    step: str | None
    """What the summary calls it, None if it has no name for it."""
    parameters: dict[str, float]
    """Numbers of this recipe that some rung raises, by dotted key."""


def plan_attempts(params: LadderParams, recipes: Mapping[str, Recipe]) -> list[Attempt]:
    """All attempts there may be, in order; rungs whose recipe is not among `recipes` are left out."""
    keys = list(dict.fromkeys(key for rung in params.rungs for key in rung.raised))
    attempts = []
    for place, rung in enumerate(params.rungs):
        for retry in range(rung.retries + 1) if rung.recipe in recipes else ():
            name, recipe = rung.recipe, recipes[rung.recipe]
            if retry:
                name = f"{name}-retry-{retry}"
                recipe = raised_recipe(recipe, rung.raised, retry, f"ladder.rungs.{place}.raise")
            numbers = {key: number_at(recipe, key) for key in keys}
            known = {key: number for key, number in numbers.items() if number is not None}
            attempts.append(Attempt(name, recipe, retry, rung.step, known))
    return attempts


class Diverged(Exception):
    """A training that came to nothing; its text says why, such as `the loss of epoch 3 is nan`."""


@dataclass(frozen=True)
class AttemptTrainer:
    """Where attempts are trained."""

    bank: Bank
    """To train on."""
    windows: Windows
    """Of every attempt that may be trained here."""
    stopped: frozenset[str]
    """Recipes that the gates stopped after phase A (`gates.policy: enforce`)."""
    folder: Path
    """Of progress."""

    def phase_a(self, attempt: Attempt) -> Path:
        """The model after phase A: the pipeline's, or that of a retry, trained here."""
        return self._train(attempt, "a") if attempt.retry else model_directory(attempt.recipe.name, "a")

    def final(self, attempt: Attempt) -> Path:
        """The model after phase C: the pipeline's, or where there is none, one trained here."""
        if not trained_here(attempt, self.stopped):
            return model_directory(attempt.recipe.name, PHASES[-1])
        start = self.folder / attempt.name / "a"
        if not attempt.retry and not start.exists():
            copy_model(model_directory(attempt.recipe.name, "a"), start)
        return self._train(attempt, PHASES[-1])

    def _train(self, attempt: Attempt, last: str) -> Path:
        windows, folder = self.windows[attempt.recipe.name], self.folder / attempt.name
        try:
            with threads(attempt.recipe.threads):
                return train_phases(Trainer(attempt.recipe, self.bank), f"ladder-{attempt.name}", windows, folder, last)
        except LvmError as error:
            # A missing file or a full disk is no finding about the recipe: only what arithmetic came to is one.
            if isinstance(error.__context__, FloatingPointError):
                raise Diverged(str(error.__context__)) from error
            raise


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Compute with so many threads, then with as many as before: a training has its own number, as in stages/train."""
    before = torch.get_num_threads()
    use_threads(number)
    try:
        yield
    finally:
        use_threads(before)


def trained_here(attempt: Attempt, stopped: frozenset[str]) -> bool:
    """Whether the final model of an attempt is one that the pipeline does not have."""
    return attempt.retry > 0 or attempt.recipe.name in stopped


def ladder_key(here: Sequence[Attempt], bank: Bank, windows: Windows) -> str:
    """Everything that shapes what is trained here; gates and the rest of the ladder do not."""
    starts = [model_directory(attempt.recipe.name, "a") for attempt in here if not attempt.retry]
    return fingerprint(
        *(training_key(Trainer(attempt.recipe, bank), windows[attempt.recipe.name]) for attempt in here),
        *(sha256_of(file) for start in starts for file in sorted(start.iterdir())),
    )


def run_ladder(settings: LadderParams, sets: Mapping[str, str], judge: Judge, write: Callable[[Found], None]) -> Found:
    """Go up the ladder, copy the selected model to `SELECTED`, and say what happened.

    Args:
        sets: name of the set of gates that each recipe in `names` is judged by, in the order of `names`.
        judge: of the bank in data/bank.
        write: given what is returned; only when it is done are the models trained here removed, so that a failure in
            it costs none of them.

    Returns:
        What metrics/ladder.json holds: `policy` (of the gates), `selected`, `candidates` (figures on `dev` of all final
        models and references that can be served; of a recipe's the epoch kept too), `attempts` by name, `not_tried`,
        `skipped` (rungs whose recipe is not in `names`), `check`.

    Raises:
        LvmError: a file of an earlier stage is missing or does not fit, or as `phases.run_phase` (but an attempt
            whose training diverges has failed, and the ladder goes on).
        KeyboardInterrupt: after unfinished work was saved.
    """
    recipes = {name: read_recipe(f"data/recipes/{name}.yaml") for name in sets}
    kept = {name: kept_epoch(model_directory(name, PHASES[-1])) for name in sets}
    stopped = frozenset(name for name, (_, phase) in kept.items() if phase != PHASES[-1])
    candidates = {
        **{name: candidate("c", name, *kept[name]) for name in sets},
        **{name: candidate("references", name) for name in SERVABLE},
    }
    candidates = {name: found for name, found in candidates.items() if found["sees"] in ("context", "memory")}
    check = option_1(settings, recipes, judge)
    plan = plan_attempts(settings, recipes)
    here = [attempt for attempt in plan if trained_here(attempt, stopped)]
    names = {attempt.recipe.name for attempt in here}
    windows = {name: {phase: read_npy(f"data/curriculum/{name}/{phase}.npy") for phase in PHASES} for name in names}
    with progress_folder("ladder", ladder_key(here, judge.bank, windows)) as folder:
        trainer = AttemptTrainer(judge.bank, windows, stopped, folder)
        tried: Found = {}
        for attempt in plan:
            name = attempt.recipe.name
            tried[attempt.name], final = _try(attempt, sets[name], judge, trainer)
            if final is not None:
                chosen = {"recipe": name, "attempt": attempt.name, "by": "gates", "criterion": None}
                trained = final if attempt in here else None
                # The pipeline has another final model of a recipe that was stopped: its name must not stand for both.
                model = f"{name}-completed" if trained and not attempt.retry else attempt.name
                selected = select(chosen, model, trained, candidates, judge)
                break
        else:
            name, decides = best_on_dev(candidates, settings.criterion)
            chosen = {"recipe": name, "attempt": None, "by": "fallback", "criterion": decides}
            selected = select(chosen, name, None, candidates, judge)
        found = {
            "policy": judge.gates.policy,
            "selected": selected,
            "candidates": candidates,
            "attempts": tried,
            "not_tried": {attempt.name: attempt.step for attempt in plan if attempt.name not in tried},
            "skipped": {rung.recipe: rung.step for rung in settings.rungs if rung.recipe not in recipes},
            "check": check,
        }
        write(found)
    return found


def figures_after_a(name: str) -> dict[str, float | None]:
    """The figures on `dev` of the epoch that a recipe of the pipeline kept of phase A."""
    epoch, _ = kept_epoch(model_directory(name, "a"))
    path = f"plots/training/{name}.csv"
    return figures_at(read_csv(path, "epoch"), epoch, path)


def option_1(settings: LadderParams, recipes: Mapping[str, Recipe], judge: Judge) -> dict[str, Any]:
    """The check of the curriculum that comes first: that of the first rung, or of the first recipe that has one."""
    rules = read_rules("data/curricula.yaml")
    scores = read_parquet("data/scores.parquet")
    first = [rung.recipe for rung in settings.rungs[:1]]
    recipe = next((name for name in (*first, *recipes) if name in recipes and rules[name].rule != "all"), None)
    rows, cut = scores["row"].to_numpy(), {}
    if recipe is not None:
        rows = read_npy(f"data/curriculum/{recipe}/a.npy")
        cut = read_json(f"data/curriculum/{recipe}/in_force.json")["a"]
    figures = {name: figures_after_a(name) for name in recipes}
    found = check_metric(scores, judge.bank, recipe, rows, cut, settings.sample, judge.seed)
    return {**found, "after_phase_a": after_phase_a(recipes, rules, figures)}


def _try(attempt: Attempt, set_name: str, judge: Judge, trainer: AttemptTrainer) -> tuple[Found, Path | None]:
    """Judge phase A of an attempt, and train one that passes to its end; json values, and the final model if passed."""
    name = attempt.recipe.name
    found = {"step": attempt.step, "recipe": name, "retry": attempt.retry, "parameters": attempt.parameters}
    try:
        directory = trainer.phase_a(attempt)
    except Diverged as error:
        print(f"ladder {attempt.name}: failed, the training diverged: {error}", flush=True)
        return {**found, **attempt_json(judge.gates, set_name), "diverged": str(error)}, None
    dev = judge.on_dev(judge.predictor(directory, attempt.name))
    answers = dev_answers(judge, set_name, dev)
    reached = answers.outcome
    passed = f"{reached.passed} of {reached.of} gates of {set_name} on dev"
    print(f"ladder {attempt.name}: {passed}: {'passed' if reached.whole else 'not passed'}", flush=True)
    own = judge.reported(directory, attempt.name) if attempt.retry else judge.reported_by("a", name)
    found |= attempt_json(judge.gates, set_name, dev, answers, own, reported_answers(judge, set_name, own))
    try:
        return {**found, "diverged": None}, trainer.final(attempt) if reached.whole else None
    except Diverged as error:
        print(f"ladder {attempt.name}: passed, but the training diverged after phase A: {error}", flush=True)
        return {**found, "diverged": str(error)}, None


def kept_epoch(directory: Path) -> tuple[int, str]:
    """Epoch whose weights a model directory holds, counted from 1, and the last phase it went through."""
    path = directory / "model.json"
    info = read_json(path)
    try:
        return int(info["epoch"]), str(info["phase"])
    except (KeyError, TypeError, ValueError) as error:
        raise LvmError(f"{path}: has no epoch and phase ({error}); delete the folder and run `dvc repro`") from error


def figures_at(curves: pd.DataFrame, epoch: int, path: str) -> dict[str, float | None]:
    """The figures of `OF_EPOCHS` on `dev` of an epoch, None where undefined."""
    columns = {name: f"dev_{name}" for name in OF_EPOCHS}
    if epoch not in curves.index or not set(columns.values()) <= set(curves.columns):
        raise LvmError(f"{path}: has no figures on dev of epoch {epoch}, which the model kept; run `dvc repro`")
    return {name: _defined(curves.at[epoch, column]) for name, column in columns.items()}


def _defined(value: Any) -> float | None:
    return None if value is None or math.isnan(float(value)) else float(value)
