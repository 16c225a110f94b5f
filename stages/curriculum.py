"""Select the windows of phases A, B and C of every recipe: data/curriculum/<recipe>/{a,b,c}.npy.

And those of the recipes in `time_direction` on articles read backwards: data/curriculum_reversed/.
"""

from __future__ import annotations

from lvm_core.bank import load_bank
from lvm_core.config.groups import CurriculumParams
from lvm_core.config.params import load_common, load_group, read_params
from lvm_core.curriculum.phases import (
    add_measures,
    curriculum_check,
    read_rules,
    reversed_windows,
    select_phases,
    without_near_duplicates,
)
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.files import atomic_directory, write_json, write_npy, write_text
from lvm_core.runtime.readers import read_parquet


def main() -> None:
    """Apply each recipe's rule to the scores; write index arrays, bounds in force and the check."""
    params = read_params()
    settings = load_group(params, "curriculum", CurriculumParams)
    seed = load_common(params).seed
    rules = read_rules("data/curricula.yaml")
    bank = load_bank("data/bank")
    scored = read_parquet("data/scores.parquet")
    scores = add_measures(without_near_duplicates(scored, settings.near_duplicate), bank.vectors)
    recipes = {name: (rule, select_phases(scores, rule, settings)) for name, rule in rules.items()}
    with atomic_directory("data/curriculum") as directory:
        for name, (_, phases) in recipes.items():
            for phase, selection in phases.items():
                write_npy(directory / name / f"{phase}.npy", selection.rows)
            write_json(directory / name / "in_force.json", {phase: s.in_force for phase, s in phases.items()})
    chosen = load_group(params, "time_direction", list[str])
    with atomic_directory("data/curriculum_reversed") as directory:
        for name, windows in reversed_windows(bank, {name: rules[name] for name in chosen}, settings).items():
            for phase, rows in windows.items():
                write_npy(directory / name / f"{phase}.npy", rows)
    write_text(
        "metrics/curriculum_check.md",
        curriculum_check(scores, recipes, settings, bank.texts(), seed, len(scored) - len(scores)),
    )
    for name, (_, phases) in recipes.items():
        print(f"curriculum {name}: " + ", ".join(f"{p.upper()} {len(s.rows):,}" for p, s in phases.items()))


if __name__ == "__main__":
    run_stage(main)
