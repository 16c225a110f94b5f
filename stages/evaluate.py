"""Evaluate a recipe's model on val and ood: `python -m stages.evaluate RECIPE KIND`.

KIND is the phase after which (a, b, c), or a variant (reversed, seed-<number>).
"""

from __future__ import annotations

from lvm_core.bank import load_bank
from lvm_core.errors import LvmError, run_stage
from lvm_core.files import write_json
from lvm_core.fivecat.headline import headlines
from lvm_core.fivecat.params import EvaluateParams
from lvm_core.layout import REVERSED, evaluation_directory, model_directory
from lvm_core.params import Device, Seed, Threads, load_group
from lvm_core.settings import read_settings

METRICS = {"a": "metrics/stage_a", "b": "metrics/stage_b", "c": "metrics"}


def main(recipe: str, kind: str) -> None:
    """Load the model, check that it fits the bank, evaluate it, write the tables (of phases, the figures too)."""
    params = read_settings("evaluate")
    directory = model_directory(recipe, kind)
    evaluate_params = load_group(params, "evaluate", EvaluateParams)
    seed: int = load_group(params, "seed", Seed)
    threads: int = load_group(params, "threads", Threads)
    wanted_device: str = load_group(params, "device", Device)

    # Heavy imports come after the parameters are known to be good.
    from lvm_core.checkpoint import load_model
    from lvm_core.fivecat.evaluate import evaluate_splits
    from lvm_core.fivecat.predictor import from_callable
    from lvm_core.fivecat.store import write_evaluations
    from lvm_core.hardware import resolve_device, use_threads
    from lvm_core.reversal import reversed_bank

    use_threads(threads)
    device = resolve_device(wanted_device)
    bank, model = load_bank("data/bank"), load_model(directory).to(device)
    bank = reversed_bank(bank) if kind == REVERSED else bank
    if model.info.dimension != bank.info.dimension:
        reads, holds = (f"{info.dimension}-d vectors of {info.encoder}" for info in (model.info, bank.info))
        raise LvmError(f"{directory}: reads {reads}, data/bank holds {holds}; train the recipe on this bank")
    predictor = from_callable(model.predict_raw, recipe)
    evaluations = evaluate_splits(bank, predictor, evaluate_params, seed=seed, device=device)
    write_evaluations(evaluation_directory(kind) / recipe, evaluations)
    summaries = {split: done.summary for split, done in evaluations.items()}
    if kind in METRICS:
        write_json(f"{METRICS[kind]}/{recipe}.json", headlines(summaries))


if __name__ == "__main__":
    run_stage(main, "RECIPE", "KIND")
