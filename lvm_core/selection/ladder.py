"""The ladder: the summary's decision procedure, in its order, until a recipe passes its gates after phase A.

`training` has the order of the attempts and what the ladder trains itself, `attempts` what became of each, `check` the
summary's Option 1 and the fallback. `dev` decides here; under `gates.policy: enforce` the gates on `val` and `ood`
have decided before who is trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lvm_core.config.ladder import CRITERIA, LadderParams
from lvm_core.config.recipe import Recipe, read_recipe
from lvm_core.curriculum import read_rules
from lvm_core.fivecat.evaluate import REPORTED_SPLITS
from lvm_core.fivecat.statistics import Judgement
from lvm_core.models.checkpoint import load_model
from lvm_core.runtime.files import phase_directory
from lvm_core.runtime.readers import read_csv, read_json, read_npy, read_parquet
from lvm_core.runtime.resume import ROOT, progress_folder
from lvm_core.selection.attempts import (
    Judge,
    attempt_json,
    dev_answers,
    diverged_json,
    final_standing,
    reported_answers,
)
from lvm_core.selection.check import after_phase_a, best_on_dev, check_metric, figures_at, figures_in, kept_epoch
from lvm_core.selection.training import (
    Attempt,
    AttemptTrainer,
    Diverged,
    ladder_key,
    plan_attempts,
    skipped_rungs,
    trained_here,
)
from lvm_core.train.variants import PHASES, copy_model

SELECTED = Path("data/models/selected")

Found = dict[str, Any]
"""Json values."""


def run_ladder(
    settings: LadderParams, sets: Mapping[str, str], judge: Judge, write: Callable[[Found], None], root: Path = ROOT
) -> Found:
    """Go up the ladder, copy the selected model to `SELECTED`, and say what happened.

    Args:
        settings: the ladder.
        sets: name of the set of gates that each recipe in `names` is judged by, in the order of `names`.
        judge: of the bank in data/bank.
        write: given what is returned; only when it is done are the models trained here removed, so that a failure in
            it costs none of them.
        root: where unfinished work lies.

    Returns:
        What metrics/ladder.json holds: `policy` (of the gates), `selected`, `candidates` (figures on `dev` of the epoch
        kept, by recipe), `attempts` by name, `not_tried`, `skipped` (rungs whose recipe is not in `names`), `check`.

    Raises:
        LvmError: a file of an earlier stage is missing or does not fit, or as `phases.run_phase` (but an attempt
            whose training diverges has failed, and the ladder goes on).
        KeyboardInterrupt: after unfinished work was saved.
    """
    recipes = {name: read_recipe(f"data/recipes/{name}.yaml") for name in sets}
    candidates = {name: pipeline_figures(name, "c") for name in sets}
    stopped = frozenset(name for name, figures in candidates.items() if figures["phase"] != PHASES[-1])
    check = option_1(settings, recipes, judge)
    plan = plan_attempts(settings, recipes)
    windows = {
        attempt.recipe.name: {phase: read_npy(f"data/curriculum/{attempt.recipe.name}/{phase}.npy") for phase in PHASES}
        for attempt in plan
        if trained_here(attempt, stopped)
    }
    with progress_folder("ladder", ladder_key(plan, judge.bank, windows, stopped), root) as folder:
        trainer = AttemptTrainer(judge.bank, windows, stopped, folder)
        tried: Found = {}
        selected = None
        for attempt in plan:
            tried[attempt.name], final = _try(attempt, sets[attempt.recipe.name], judge, trainer)
            if final is not None:
                selected = _select_attempt(attempt, final, candidates, judge, stopped)
                break
        found = {
            "policy": judge.gates.policy,
            "selected": selected or _select_fallback(settings, candidates, judge),
            "candidates": candidates,
            "attempts": tried,
            "not_tried": {attempt.name: attempt.step for attempt in plan if attempt.name not in tried},
            "skipped": skipped_rungs(settings, recipes),
            "check": check,
        }
        write(found)
    return found


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


def _try(attempt: Attempt, set_name: str, judge: Judge, trainer: AttemptTrainer) -> tuple[Found, Path | None]:
    """Judge phase A of an attempt, and train one that passes to its end; json values, and the final model if passed."""
    name = attempt.recipe.name
    about = {"step": attempt.step, "recipe": name, "retry": attempt.retry, "parameters": attempt.parameters}
    directory = trainer.phase_a(attempt)
    if isinstance(directory, Diverged):
        print(f"ladder {attempt.name}: failed, the training diverged: {directory.why}", flush=True)
        return {**about, **diverged_json(judge.gates, set_name), "diverged": directory.why}, None
    dev = judge.on_dev(judge.predictor(directory, attempt.name))
    answers = dev_answers(judge, set_name, dev)
    reached = answers.outcome
    print(
        f"ladder {attempt.name}: {reached.passed} of {reached.of} gates of {set_name} on dev: "
        f"{'passed' if reached.whole else 'not passed'}",
        flush=True,
    )
    own = judge.reported(directory, attempt.name) if attempt.retry else judge.reported_by("a", name)
    found = {**about, **attempt_json(judge.gates, set_name, dev, answers, own, reported_answers(judge, set_name, own))}
    final = trainer.final(attempt) if reached.whole else None
    if isinstance(final, Diverged):
        print(f"ladder {attempt.name}: passed, but the training diverged after phase A: {final.why}", flush=True)
        return {**found, "diverged": final.why}, None
    return {**found, "diverged": None}, final


def _select_attempt(
    attempt: Attempt, directory: Path, candidates: Mapping[str, Found], judge: Judge, stopped: frozenset[str]
) -> Found:
    """The final model of an attempt that passed, copied; json values."""
    recipe = attempt.recipe.name
    chosen = {"recipe": recipe, "attempt": attempt.name, "by": "gates", "criterion": None}
    if not trained_here(attempt, stopped):
        return {**chosen, "model": recipe, "completed_here": False, **_copied_from_pipeline(recipe, candidates, judge)}
    info = load_model(directory).info
    figures = {"epoch": info.epoch, "phase": info.phase, **figures_in(info.history, info.epoch)}
    # The pipeline has another final model of a recipe that was stopped: its name must not stand for both.
    model = attempt.name if attempt.retry else f"{recipe}-completed"
    own = judge.reported(directory, model)
    copy_model(directory, SELECTED)
    return {**chosen, "model": model, "completed_here": True, **_selected_json(figures, own, judge)}


def _select_fallback(settings: LadderParams, candidates: Mapping[str, Found], judge: Judge) -> Found:
    """The best final model of the pipeline on `dev`, copied; json values."""
    recipe, decides = best_on_dev(candidates, settings.criterion)
    chosen = {"recipe": recipe, "model": recipe, "attempt": None, "by": "fallback", "criterion": decides}
    return {**chosen, "completed_here": False, **_copied_from_pipeline(recipe, candidates, judge)}


def _copied_from_pipeline(recipe: str, candidates: Mapping[str, Found], judge: Judge) -> Found:
    directory = phase_directory(recipe, PHASES[-1])
    load_model(directory)  # whole, or one line that says what is wrong with it
    own = judge.reported_by(PHASES[-1], recipe)
    copy_model(directory, SELECTED)
    return _selected_json(candidates[recipe], own, judge)


def _selected_json(figures: Mapping[str, Any], own: Judgement, judge: Judge) -> Found:
    return {
        "epoch": figures["epoch"],
        "phase": figures["phase"],
        "dev": {key: figures[key] for key in CRITERIA},
        **{split: {key: own.value.get(f"{split}_{key}") for key in CRITERIA} for split in REPORTED_SPLITS},
        **final_standing(judge, own),
    }
