"""The whole ladder: the check, the attempts in their order, the choice, and the copy of the chosen model.

Only `dev` is looked at before the choice is made. Retries, and phases B and C of one that passes, are trained in the
folder of progress, where finished phases survive an interruption.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lvm_core.bank import Bank
from lvm_core.checkpoint import load_model
from lvm_core.curriculum import read_rules
from lvm_core.files import read_csv, read_json, read_npy, read_parquet
from lvm_core.ladder.attempts import Judge, attempt_json, dev_answers, final_standing, reported_answers
from lvm_core.ladder.check import after_phase_a, check_metric
from lvm_core.ladder.choose import best_on_dev, figures_at, figures_in, kept_epoch
from lvm_core.ladder.params import CRITERIA, LadderParams
from lvm_core.ladder.plan import Attempt, attempt_name, plan_attempts, skipped_rungs
from lvm_core.layout import phase_directory
from lvm_core.recipe import Recipe, read_recipe
from lvm_core.resume import ROOT, fingerprint, progress_folder
from lvm_core.variants import PHASES, copy_model, train_phases, training_key

SELECTED = Path("data/models/selected")
Windows = Mapping[str, Mapping[str, np.ndarray]]
"""[W] int64 target rows by recipe and phase."""


def climb(settings: LadderParams, sets: Mapping[str, str], judge: Judge, root: Path = ROOT) -> dict[str, Any]:
    """Go up the ladder, copy the selected model to `SELECTED`, and say what happened.

    Args:
        settings: the ladder.
        sets: name of the set of gates that each recipe in `names` is held against, in the order of `names`.
        judge: of the bank in data/bank.
        root: where unfinished work lies.

    Returns:
        What metrics/ladder.json holds: `selected`, `candidates` (figures on `dev` of the epoch kept, by recipe),
        `attempts` by name, `not_tried`, `skipped` (rungs whose recipe is not in `names`), `check`.

    Raises:
        LvmError: a file of an earlier stage is missing or does not fit, or as `phases.run_phase`.
        KeyboardInterrupt: after unfinished work was saved.
    """
    recipes = {name: read_recipe(f"data/recipes/{name}.yaml") for name in sets}
    candidates = {name: pipeline_figures(name, "c") for name in sets}
    check = option_1(settings, recipes, judge)
    plan = plan_attempts(settings, recipes)
    windows = {
        attempt.recipe.name: {phase: read_npy(f"data/curriculum/{attempt.recipe.name}/{phase}.npy") for phase in PHASES}
        for attempt in plan
        if attempt.retry
    }
    tried: dict[str, Any] = {}
    passed = None
    with progress_folder("ladder", ladder_key(plan, judge.bank, windows), root) as folder:
        for attempt in plan:
            tried[attempt.name] = _try(attempt, sets[attempt.recipe.name], judge, windows, folder)
            if tried[attempt.name]["passed"]:
                passed = attempt
                break
        selected = _select(settings, candidates, passed, judge, windows, folder)
    return {
        "selected": selected,
        "candidates": candidates,
        "attempts": tried,
        "not_tried": {attempt.name: attempt.step for attempt in plan if attempt.name not in tried},
        "skipped": skipped_rungs(settings, recipes),
        "check": check,
    }


def ladder_key(plan: list[Attempt], bank: Bank, windows: Windows) -> str:
    """Everything that shapes what the retries train; gates and the rest of the ladder do not."""
    retries = [attempt for attempt in plan if attempt.retry]
    return fingerprint(*(training_key(one.recipe, bank, windows[one.recipe.name]) for one in retries))


def pipeline_figures(name: str, phase: str) -> dict[str, Any]:
    """`epoch`, `phase`, and the figures on `dev` of the epoch that a recipe of the pipeline kept of a phase."""
    epoch, reached = kept_epoch(phase_directory(name, phase))
    path = f"plots/training/{name}.csv"
    return {"epoch": epoch, "phase": reached, **figures_at(read_csv(path, "epoch"), epoch, path)}


def option_1(settings: LadderParams, recipes: Mapping[str, Recipe], judge: Judge) -> dict[str, Any]:
    """The check of the curriculum that comes first: that of the first rung, or of the first recipe that has one."""
    rules = read_rules("data/curricula.yaml")
    scores = read_parquet("data/scores.parquet")
    first = [rung.recipe for rung in settings.rungs[:1]]
    selecting = [name for name in (*first, *recipes) if name in recipes and rules[name].rule != "all"]
    recipe = selecting[0] if selecting else None
    rows, cut = scores["row"].to_numpy(), {}
    if recipe is not None:
        rows = read_npy(f"data/curriculum/{recipe}/a.npy")
        cut = read_json(f"data/curriculum/{recipe}/in_force.json")["a"]
    after_a = {name: pipeline_figures(name, "a") for name in recipes}
    figures = {name: {str(key): found[key] for key in CRITERIA} for name, found in after_a.items()}
    found = check_metric(scores, judge.bank, recipe, rows, cut, settings.sample, judge.seed)
    return {**found, "after_phase_a": after_phase_a(recipes, rules, figures)}


def _try(attempt: Attempt, set_name: str, judge: Judge, windows: Windows, folder: Path) -> dict[str, Any]:
    """Train phase A if it is a retry, judge it; json values."""
    name = attempt.recipe.name
    directory = _trained(attempt, judge.bank, windows, folder, "a") if attempt.retry else phase_directory(name, "a")
    dev = judge.on_dev(judge.predictor(directory, attempt.name))
    answers = dev_answers(judge, set_name, dev)
    print(
        f"ladder {attempt.name}: {answers.passed} of {answers.of} gates of {set_name} on dev: "
        f"{'passed' if answers.whole else 'not passed'}",
        flush=True,
    )
    own = judge.reported(directory, attempt.name) if attempt.retry else judge.reported_by("a", name)
    found = attempt_json(judge.gates, set_name, dev, answers, own, reported_answers(judge, set_name, own))
    about = {"step": attempt.step, "recipe": name, "retry": attempt.retry, "parameters": attempt.parameters}
    return {**about, **found}


def _trained(attempt: Attempt, bank: Bank, windows: Windows, folder: Path, last: str) -> Path:
    work = f"ladder-{attempt.name}"
    return train_phases(work, attempt.recipe, bank, windows[attempt.recipe.name], folder / attempt.name, last)


def _select(
    settings: LadderParams,
    candidates: Mapping[str, Mapping[str, Any]],
    passed: Attempt | None,
    judge: Judge,
    windows: Windows,
    folder: Path,
) -> dict[str, Any]:
    """The model that is selected, copied; json values."""
    if passed is not None:
        recipe, decides, retry = passed.recipe.name, None, passed.retry
    else:
        recipe, decides = best_on_dev(candidates, settings.criterion)
        retry = 0
    if passed is not None and passed.retry:
        directory = _trained(passed, judge.bank, windows, folder, PHASES[-1])
        info = load_model(directory).info
        figures = {"epoch": info.epoch, "phase": info.phase, **figures_in(info.history, info.epoch)}
        own = judge.reported(directory, passed.name)
    else:
        directory, figures = phase_directory(recipe, "c"), dict(candidates[recipe])
        load_model(directory)  # whole, or one line that says what is wrong with it
        own = judge.reported_by("c", recipe)
    copy_model(directory, SELECTED)
    return {
        "recipe": recipe,
        "model": attempt_name(recipe, retry),
        "by": "fallback" if passed is None else "gates",
        "criterion": decides,
        "epoch": figures["epoch"],
        "phase": figures["phase"],
        "dev": {key: figures[key] for key in CRITERIA},
        **{split: {key: own.value.get(f"{split}_{key}") for key in CRITERIA} for split in ("val", "ood")},
        **final_standing(judge, own),
    }
