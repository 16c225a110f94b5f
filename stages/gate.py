"""Evaluate a recipe after phase A and judge it by its set of gates: `python -m stages.gate RECIPE`."""

from __future__ import annotations

from lvm_core.config.gates import rivals_of_sets, sets_of
from lvm_core.config.settings import GateSettings, read_settings
from lvm_core.fivecat.statistics import read_judgements
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.files import evaluation_directory, phase_directory
from lvm_core.selection.gates_text import decide, missed_names
from lvm_core.selection.judge import judge_row
from lvm_core.train import Decision, decision_file, write_decision


def main(recipe: str) -> None:
    """Evaluate what the gates read, judge as the comparison does, write whether the recipe goes on.

    Under the policy `report` it always does, and no gate is read here: the comparison shows what was passed.
    """
    params = read_settings(GateSettings, recipe)
    gates, seed = params.gates, params.seed

    # Heavy imports come after the parameters are known to be good.
    from lvm_core.fivecat.evaluate import write_evaluations
    from lvm_core.fivecat.model_judge import ModelJudge
    from lvm_core.runtime.hardware import use_threads

    use_threads(params.threads)
    judge = ModelJudge.of_bank("data/bank", "a", params.evaluate, seed, params.device)
    evaluations = judge.evaluate(phase_directory(recipe, "a"), recipe, params.left_out_after_phases)
    write_evaluations(evaluation_directory("a") / recipe, evaluations)
    if gates is None:
        write_decision(decision_file("a", recipe), Decision(goes_on=True, why=None))
        print(f"gate {recipe}: evaluated after phase A; goes on (policy report)")
        return
    name = sets_of([recipe], params.recipes, gates)[recipe]
    judgements = read_judgements(evaluation_directory("a"), [recipe])
    judgements |= read_judgements(
        evaluation_directory("references"), rivals_of_sets(gates, name, sees=judgements[recipe].sees)
    )
    row = judge_row(gates, name, recipe, judgements)
    decision = decide(gates, name, row)
    write_decision(decision_file("a", recipe), decision)
    reached = row.outcome
    missed = f"; not passed: {', '.join(missed_names(reached))}" if reached.missed else ""
    then = "goes on" if decision.goes_on else "goes no further"
    passed = f"passed {reached.passed} of {reached.of} of {name} after phase A{missed}"
    print(f"gate {recipe}: {passed}; {then} (policy {gates.policy})")


if __name__ == "__main__":
    run_stage(main, "RECIPE")
