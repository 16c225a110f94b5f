"""Evaluate a recipe's model on val and ood: `python -m stages.evaluate RECIPE KIND`.

KIND is `c`, the final model and the one after phase B, or a variant (reversed, seed-<number>).
"""

from __future__ import annotations

from lvm_core.config.figures import COSTLY_TESTS, row_figures
from lvm_core.config.references import rivals_of
from lvm_core.config.settings import EvaluateSettings, read_settings
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import AFTER_B, evaluation_directory, model_directory, phase_directory, write_json


def main(recipe: str, kind: str) -> None:
    """Load the model, check that it fits the bank, evaluate it, write the tables; of the final one metrics and README.

    The folder of the final model is made here, because its README says what it reaches.
    """
    params = read_settings(EvaluateSettings)
    directory = phase_directory(recipe, "c") if kind == "c" else model_directory(recipe, kind)
    if kind in ("a", "b"):
        raise LvmError(
            f"KIND = {kind!r}: after phase A stages.gate evaluates, and kind c has the model after phase B too"
        )

    # Heavy imports come after the parameters are known to be good.
    from lvm_core.fivecat.candidates import dev_figures
    from lvm_core.fivecat.evaluate import judgement_of, write_evaluations
    from lvm_core.fivecat.measures import from_model
    from lvm_core.fivecat.model_judge import ModelJudge
    from lvm_core.fivecat.readme import model_readme
    from lvm_core.fivecat.statistics import read_judgements
    from lvm_core.models.checkpoint import copy_model, load_model
    from lvm_core.runtime.hardware import use_threads

    use_threads(params.threads)
    judge = ModelJudge.of_bank("data/bank", kind, params.evaluate, params.seed, params.device)
    # Of a variant only what tells directions and seeds apart is read.
    evaluations = judge.evaluate(directory, recipe, () if kind == "c" else COSTLY_TESTS)
    within = (
        {AFTER_B: judge.evaluate(model_directory(recipe, "b"), recipe, params.left_out_after_phases)}
        if kind == "c"
        else {}
    )
    model = load_model(directory).to(judge.device)
    dev = None
    if kind == "c":
        dev = dev_figures(judge.bank, from_model(model, recipe), params.evaluate, params.seed, judge.device)
    write_evaluations(evaluation_directory(kind) / recipe, evaluations, within=within, dev=dev)
    if kind != "c":
        return
    summary = {split: done.summary for split, done in evaluations.items()}
    rivals = read_judgements(evaluation_directory("references"), rivals_of(recipe, model.sees))
    write_json(f"metrics/{recipe}.json", row_figures(summary, {name: one.summary for name, one in rivals.items()}))
    judged = {recipe: judgement_of(evaluations), **rivals}
    readme = model_readme(recipe, model.info, judge.bank, judged)
    copy_model(directory, model_directory(recipe, "c"), readme)


if __name__ == "__main__":
    run_stage(main, "RECIPE", "KIND")
