"""Evaluate a recipe's model on val and ood: `python -m stages.evaluate RECIPE KIND`.

KIND is `c`, the final model and the one after phase B, or a variant (reversed, seed-<number>).
"""

from __future__ import annotations

from lvm_core.config.figures import row_figures
from lvm_core.config.settings import EvaluateSettings, read_settings
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import AFTER_B, RIVALS, evaluation_directory, model_directory, write_json
from lvm_core.runtime.readers import read_json


def main(recipe: str, kind: str) -> None:
    """Load the model, check that it fits the bank, evaluate it, write the tables and the metrics of the final one."""
    params = read_settings(EvaluateSettings)
    directory = model_directory(recipe, kind)
    if kind in ("a", "b"):
        raise LvmError(
            f"KIND = {kind!r}: after phase A stages.gate evaluates, and kind c has the model after phase B too"
        )

    # Heavy imports come after the parameters are known to be good.
    from lvm_core.fivecat.evaluate import ModelJudge, write_evaluations
    from lvm_core.runtime.hardware import use_threads

    use_threads(params.threads)
    judge = ModelJudge.of_bank("data/bank", kind, params.evaluate, params.seed, params.device)
    evaluations = judge.evaluate(directory, recipe)
    within = (
        {AFTER_B: judge.evaluate(model_directory(recipe, "b"), recipe, params.left_out_after_phases)}
        if kind == "c"
        else {}
    )
    summary = {split: done.summary for split, done in evaluations.items()}
    if kind == "c":
        rivals = {name: read_json(evaluation_directory("references") / name / "summary.json") for name in RIVALS}
        write_json(f"metrics/{recipe}.json", row_figures(summary, rivals))
    write_evaluations(evaluation_directory(kind) / recipe, evaluations, within=within)


if __name__ == "__main__":
    run_stage(main, "RECIPE", "KIND")
