"""The model that is served: the best row on `dev`, trained or a formula, as the folder data/models/selected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lvm_core.config.ladder import CRITERIA, Criterion
from lvm_core.config.references import rivals_of
from lvm_core.fivecat.candidates import dev_figures, read_dev_figures, save_reference
from lvm_core.fivecat.evaluate import REPORTED_SPLITS
from lvm_core.fivecat.readme import model_readme
from lvm_core.fivecat.statistics import Judgement
from lvm_core.models.checkpoint import README, copy_model, load_model
from lvm_core.runtime.files import atomic_directory, evaluation_directory, model_directory, write_text
from lvm_core.selection.dev_gates import ROW, Judge, final_standing
from lvm_core.train.phases import PHASES

SELECTED = Path("data/models/selected")

NOTE = "The ladder selected this model; why is said in metrics/ladder.md."

Found = dict[str, Any]
"""Json values."""


def candidate(kind: str, name: str, epoch: int | None = None, phase: str | None = None) -> Found:
    """`epoch` and `phase` of a final model (None of a reference), what the row sees, and its figures on `dev`."""
    figures, sees = read_dev_figures(evaluation_directory(kind) / name)
    return {"epoch": epoch, "phase": phase, "sees": sees, **figures}


def best_on_dev(figures: Mapping[str, Mapping[str, float | None]], criterion: Criterion) -> tuple[str, Criterion]:
    """Name of the row with the best figure on `dev`, the first of equals, and the figure that decided.

    That is the criterion, or, where it is undefined for all, the first of the others that is not.
    """
    wanted = (criterion, *(other for other in CRITERIA if other != criterion))
    decides = next((one for one in wanted if any(found[one] is not None for found in figures.values())), criterion)

    def value(name: str) -> float:
        found = figures[name][decides]
        return -math.inf if found is None else found

    return max(figures, key=value), decides


def select(chosen: Found, model: str, trained: Path | None, candidates: Mapping[str, Found], judge: Judge) -> Found:
    """Make `SELECTED` of what was chosen: the model `trained` here, the pipeline's, or a reference; json values."""
    name = chosen["recipe"]
    found = {} if trained else candidates[name]
    reference = bool(found) and found["epoch"] is None
    if trained:
        own, predictor = judge.reported(trained, model), judge.predictor(trained, model)
        found = dev_figures(judge.bank, predictor, judge.evaluate, judge.seed, judge.device)
    else:
        own = judge.reported_by("references" if reference else PHASES[-1], name)
    rows = {model: own, **judge.reported_rivals(rivals_of(model, own.sees))}
    if reference:
        with atomic_directory(SELECTED) as temporary:
            info = save_reference(judge.bank, name, temporary, judge.evaluate)
            write_text(temporary / README, model_readme(model, info, judge.bank, rows, NOTE))
    else:
        directory = trained or model_directory(name, PHASES[-1])
        info = load_model(directory).info  # whole, or one line that says what is wrong with it
        copy_model(directory, SELECTED, model_readme(model, info, judge.bank, rows, NOTE))
    return {
        **chosen,
        "model": model,
        "reference": reference,
        "best_trained": _best_trained(candidates, chosen["criterion"], judge) if reference else None,
        "completed_here": trained is not None,
        "sees": own.sees,
        "epoch": None if reference else info.epoch,
        "phase": None if reference else info.phase,
        "dev": {key: found[key] for key in CRITERIA},
        **_reported(own),
        **final_standing(judge, own, model if reference else ROW),
    }


def _best_trained(candidates: Mapping[str, Found], criterion: Criterion, judge: Judge) -> Found | None:
    """The recipe that is the best by the figure that a reference was chosen by; None if none could be served."""
    trained = {name: one for name, one in candidates.items() if one["epoch"] is not None}
    if not trained:
        return None
    name, _ = best_on_dev(trained, criterion)
    own = judge.reported_by(PHASES[-1], name)
    return {"model": name, "dev": {key: trained[name][key] for key in CRITERIA}, **_reported(own)}


def _reported(own: Judgement) -> dict[str, dict[str, float | None]]:
    """The figures of `CRITERIA` on `val` and `ood`."""
    return {split: {key: own.value.get(f"{split}_{key}") for key in CRITERIA} for split in REPORTED_SPLITS}
