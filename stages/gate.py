"""Hold a recipe against its set of gates after phase A: `python -m stages.gate RECIPE`."""

from __future__ import annotations

from typing import Any

from lvm_core.comparison.read import read_judgements
from lvm_core.decision import decision_file, write_decision
from lvm_core.errors import run_stage
from lvm_core.fivecat.params import EvaluateParams
from lvm_core.gates.after_phases import decide, missed_names, outcome_text
from lvm_core.gates.judge import judge_row
from lvm_core.gates.params import GatesParams, rivals_of, sets_of
from lvm_core.layout import evaluation_directory
from lvm_core.params import Seed, Threads, load_group, set_threads
from lvm_core.settings import read_settings


def main(recipe: str) -> None:
    """Judge the recipe as the comparison does, write whether it goes on (always, under the policy `report`)."""
    params = read_settings("gate", recipe)
    set_threads(load_group(params, "threads", Threads))
    gates: GatesParams = load_group(params, "gates", GatesParams)
    seed: int = load_group(params, "seed", Seed)
    cuts = load_group(params, "evaluate", EvaluateParams).coherence_cuts
    name = sets_of([recipe], load_group(params, "recipes", dict[str, dict[str, Any]]), gates)[recipe]
    judgements = read_judgements(evaluation_directory("a"), [recipe], seed, cuts)
    judgements |= read_judgements(evaluation_directory("references"), rivals_of(gates, name), seed, cuts)
    row = judge_row(gates, name, recipe, judgements)
    decision = decide(gates, name, row)
    write_decision(decision_file("a", recipe), decision)
    missed = f"; not passed: {', '.join(missed_names(row))}" if row.missed else ""
    then = "goes on" if decision.goes_on else "goes no further"
    print(f"gate {recipe}: passed {outcome_text(row)} of {name} after phase A{missed}; {then} (policy {gates.policy})")


if __name__ == "__main__":
    run_stage(main, "RECIPE")
