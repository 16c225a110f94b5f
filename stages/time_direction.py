"""Train a recipe on articles read backwards and evaluate it there: `python -m stages.time_direction RECIPE`."""

from __future__ import annotations

from lvm_core.bank import load_bank
from lvm_core.curriculum import CurriculumParams, Rule, select_phases
from lvm_core.distinctness import score_windows
from lvm_core.errors import run_stage
from lvm_core.files import read_json
from lvm_core.fivecat.params import EvaluateParams
from lvm_core.hardware import use_threads
from lvm_core.layout import REVERSED
from lvm_core.params import Seed, load_group, read_params, validate
from lvm_core.recipe import read_recipe
from lvm_core.reversal import reversed_bank
from lvm_core.variants import make_variant


def main(name: str) -> None:
    """Reverse the bank, score and select its windows by the recipe's rule, train all phases, evaluate."""
    params = read_params()
    evaluate_params = load_group(params, "evaluate", EvaluateParams)
    curriculum = load_group(params, "curriculum", CurriculumParams)
    seed: int = load_group(params, "seed", Seed)
    recipe = read_recipe(f"data/recipes/{name}.yaml")
    rule = validate(read_json(path := f"data/curriculum/{name}/rule.json"), Rule, "rule", path)
    use_threads(recipe.threads)
    bank = reversed_bank(load_bank("data/bank"))
    scores = score_windows(bank.vectors, bank.targets("train"), bank.article_of_row)
    phases = select_phases(scores, rule, curriculum)
    windows = {phase: selection.rows for phase, selection in phases.items()}
    make_variant(REVERSED, recipe, bank, windows, evaluate_params, seed)


if __name__ == "__main__":
    run_stage(main, "RECIPE")
