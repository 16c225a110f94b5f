"""The gates of an attempt of the ladder as they are asked on `dev`, and what is written of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from lvm_core.bank import Bank
from lvm_core.config.gates import CERTIFIED, Condition, Gate, GatesParams, counted_sets, frames_of, rivals_of_sets
from lvm_core.config.groups import EvaluateParams
from lvm_core.config.ladder import CRITERIA
from lvm_core.fivecat.evaluate import REPORTED_SPLITS, Evaluation, evaluate_splits, judgement_of
from lvm_core.fivecat.measures import Predictor, from_model
from lvm_core.fivecat.references import fit_references
from lvm_core.fivecat.statistics import RESAMPLES, Judgement, judge, read_judgements
from lvm_core.models.checkpoint import load_model
from lvm_core.runtime.files import evaluation_directory
from lvm_core.selection import ConditionResult, GateResult, RowResult
from lvm_core.selection.gates_text import limit_text, number_text
from lvm_core.selection.judge import holds, judge_gates, judge_row, status_of

Gates = Mapping[str, Gate]


def dev_form(params: GatesParams, name: str) -> GatesParams:
    """A set, and those whose gates it counts, as they are asked on `dev`.

    Conditions on `ood` and on the distance of two splits are left out, and so are gates without any other condition,
    and conditions on the number of another set's gates that no number of its remaining gates could meet.
    """
    wanted = [name, *counted_sets(params.sets[name])]
    return params.model_copy(update={"sets": {one: _left(params.sets[one], params.sets) for one in wanted}})


def asked_on_dev(condition: Condition, sets: Mapping[str, Gates]) -> bool:
    """Whether a condition can be asked on `dev`."""
    if condition.set is None:
        return condition.split == "val" and condition.distance_to is None
    left = len(_left(sets[condition.set], sets))
    return left > 0 and any(holds(condition, number) for number in range(left + 1))


def _left(gates: Gates, sets: Mapping[str, Gates]) -> dict[str, Gate]:
    kept = {name: [one for one in gate.all_of if asked_on_dev(one, sets)] for name, gate in gates.items()}
    return {name: gate.model_copy(update={"all_of": kept[name]}) for name, gate in gates.items() if kept[name]}


def not_asked(params: GatesParams, name: str) -> list[str]:
    """Names of the gates of a set that are not asked on `dev` at all; those of a set it counts as `<set>.<gate>`."""
    asked = dev_form(params, name).sets
    return [
        gate if one == name else f"{one}.{gate}"
        for one, gates in asked.items()
        for gate in params.sets[one]
        if gate not in gates
    ]


def counted_on_dev(params: GatesParams, name: str) -> dict[str, dict[str, int]]:
    """How much of the sets that a set counts is left on `dev`: `of` how many gates `asked`, and of these `in_part`.

    A gate asked in part has lost a condition (one on `ood`), so it is easier there; the number wanted stays.
    """
    found = {}
    for other in counted_sets(params.sets[name]):
        gates = params.sets[other]
        left = _left(gates, params.sets)
        in_part = sum(len(gate.all_of) < len(gates[key].all_of) for key, gate in left.items())
        found[other] = {"of": len(gates), "asked": len(left), "in_part": in_part}
    return found


DEV = "dev"

STATUS_NEEDS = ("context_mean",)
"""References that a status word is made with, beside the rivals in the sets."""


@dataclass(frozen=True)
class Judge:
    """Judges models on `dev`, and on `val` and `ood`."""

    bank: Bank
    """With all splits."""
    evaluate: EvaluateParams
    """How they are evaluated."""
    gates: GatesParams
    """All sets."""
    seed: int
    """Of the evaluation and of the draws of articles."""
    device: torch.device
    """To predict on."""
    _dev_rivals: dict[str, Judgement] = field(default_factory=dict, repr=False)

    def on_dev(self, predictor: Predictor) -> Judgement:
        """Its figures on `dev`, under the keys of `val`: what a `dev_form` of gates is judged by."""
        done = self._evaluate(predictor, (DEV,))[DEV]
        judged = judge({"val": done.windows}, RESAMPLES, self.seed, self.evaluate.coherence_cuts)
        return replace(judged, sees=done.sees)

    def reported(self, directory: Path, name: str) -> Judgement:
        """The figures of a model on `val` and `ood`, measured now."""
        return judgement_of(self._evaluate(self.predictor(directory, name), REPORTED_SPLITS))

    def reported_by(self, kind: str, name: str) -> Judgement:
        """The same of a row that a stage has evaluated, from data/evaluation/<kind>."""
        return read_judgements(evaluation_directory(kind), [name])[name]

    def dev_rivals(self, names: list[str]) -> dict[str, Judgement]:
        """Reference predictors on `dev`, each fitted and evaluated once."""
        missing = [name for name in names if name not in self._dev_rivals]
        for reference in fit_references(self.bank, self.evaluate, self.seed, missing):
            self._dev_rivals[reference.name] = self.on_dev(reference)
        return {name: self._dev_rivals[name] for name in names}

    def reported_rivals(self, names: list[str]) -> dict[str, Judgement]:
        """Reference predictors on `val` and `ood`, from data/evaluation/references."""
        return {name: self.reported_by("references", name) for name in names}

    def predictor(self, directory: Path, name: str) -> Predictor:
        """The model of a directory; `name` is for messages."""
        return from_model(load_model(directory).to(self.device), name)

    def _evaluate(self, predictor: Predictor, splits: tuple[str, ...]) -> dict[str, Evaluation]:
        bank, params = self.bank, self.evaluate
        return evaluate_splits(bank, predictor, params, seed=self.seed, device=self.device, splits=splits)


ROW = "attempt"


def dev_answers(judge_: Judge, name: str, own: Judgement) -> RowResult:
    """What a model answers to the gates of a set that are asked on `dev`."""
    form = dev_form(judge_.gates, name)
    return judge_row(form, name, ROW, {ROW: own, **judge_.dev_rivals(rivals_of_sets(form, name, sees=own.sees))})


def reported_answers(judge_: Judge, name: str, own: Judgement) -> dict[str, RowResult]:
    """What it answers to the whole set on `val` and `ood`, in each frame that the set has."""
    gates = judge_.gates
    judgements = {ROW: own, **judge_.reported_rivals(rivals_of_sets(gates, name, sees=own.sees))}
    return {frame: judge_row(gates, name, ROW, judgements, frame) for frame in frames_of(gates, name)}


def final_standing(judge_: Judge, own: Judgement, row: str = ROW) -> dict[str, Any]:
    """Status word and certified gates of a final model on `val` and `ood`, for the report alone; json values.

    `row`: its name if it is a reference, which is no rival of itself.
    """
    names = list(dict.fromkeys([*STATUS_NEEDS, *rivals_of_sets(judge_.gates, *judge_.gates.sets, sees=own.sees)]))
    judgements = {**judge_.reported_rivals(names), row: own}
    results = judge_gates(judge_.gates, judgements)
    return {"status": status_of(row, judgements, results), CERTIFIED: counts(results[CERTIFIED].corrected[row])}


def attempt_json(
    gates: GatesParams,
    name: str,
    dev: Judgement | None = None,
    on_dev: RowResult | None = None,
    own: Judgement | None = None,
    reported: Mapping[str, RowResult] | None = None,
) -> dict[str, Any]:
    """An attempt's gates and figures as json values.

    One whose phase A came to no model (`name` alone is given) has answered nothing, and has no figures.
    """
    asked = [one.figure for gate in gates.sets[name].values() for one in gate.all_of if one.figure is not None]
    shown = list(dict.fromkeys([*CRITERIA, *asked]))  # those that decide the fallback, and those that the set asks for
    on_dev, reported = on_dev or RowResult(gates={}), reported or {}
    found = {DEV: (dev, "val"), **{split: (own, split) for split in REPORTED_SPLITS}}
    return {
        "set": name,
        "passed": on_dev.outcome.whole,
        "asked_on_dev": counts(on_dev),
        "not_asked_on_dev": not_asked(gates, name),
        "counted_on_dev": counted_on_dev(gates, name),
        "on_val_and_ood": {frame: counts(row) for frame, row in reported.items()},
        **{
            split: {figure: judged.value.get(f"{key}_{figure}") if judged else None for figure in shown}
            for split, (judged, key) in found.items()
        },
        "gates": {
            key: _gate_json(gate, on_dev.gates.get(key), reported["corrected"].gates[key], gates)
            for key, gate in gates.sets[name].items()
            if reported
        },
    }


def counts(row: RowResult) -> dict[str, Any]:
    """A row's `passed`, `of`, `undefined` (gates without an answer) and `whole` as json values."""
    found = row.outcome
    return {"passed": found.passed, "of": found.of, "undefined": len(found.undefined), "whole": found.whole}


def _gate_json(gate: Gate, on_dev: GateResult | None, reported: GateResult, gates: GatesParams) -> dict[str, Any]:
    """A gate: what it asks, what came out on `dev` (nothing where it is not asked there) and on `val` or `ood`."""
    answers = iter(on_dev.conditions if on_dev else ())
    conditions = []
    for condition, found in zip(gate.all_of, reported.conditions, strict=True):
        asked = asked_on_dev(condition, gates.sets)
        conditions.append(
            {
                "asked_on_dev": _on_dev_text(condition) if asked else None,
                "dev": _answer(next(answers)) if asked else None,
                "asked": f"{number_text(condition, 'corrected')} {limit_text(condition)}",
                "reported": _answer(found),
            }
        )
    return {
        "passed": on_dev.passed if on_dev else None,
        "passed_as_reported": reported.passed,
        "conditions": conditions,
    }


def _on_dev_text(condition: Condition) -> str:
    """A condition in words, as it is asked on `dev`."""
    renamed = condition if condition.set is not None else condition.model_copy(update={"split": DEV})
    return f"{number_text(renamed, 'corrected')} {limit_text(condition)}"


def _answer(result: ConditionResult) -> dict[str, Any]:
    return {"value": result.value, "passed": result.passed}
