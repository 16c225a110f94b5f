"""Evaluate the reference predictors on val and ood: data/evaluation/references/ and metrics/<name>.json.

Some of them on articles read backwards too, for the time direction: data/evaluation/references-reversed/. And near
relatives of them, as far as the certified gates read their figures: data/evaluation/relatives/.
"""

from __future__ import annotations

from lvm_core.bank import load_bank
from lvm_core.config.figures import COSTLY_TESTS, row_figures
from lvm_core.config.gates import CERTIFIED, GatesParams, unread_tests
from lvm_core.config.groups import EvaluateParams
from lvm_core.config.params import load_common, load_group, read_params
from lvm_core.config.references import DIRECTION_REFERENCES, REFERENCES, rivals_of
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.files import evaluation_directory, write_json


def main() -> None:
    """Fit the references on the bank, evaluate and write each, then the metrics of each beside the others."""
    params = read_params()
    evaluate_params, common = load_group(params, "evaluate", EvaluateParams), load_common(params)
    left_out = unread_tests(load_group(params, "gates", GatesParams), [CERTIFIED])

    # Heavy imports come after the parameters are known to be good.
    from lvm_core.bank import reversed_bank
    from lvm_core.fivecat.candidates import dev_figures
    from lvm_core.fivecat.evaluate import evaluate_splits, write_evaluations
    from lvm_core.fivecat.references import fit_references
    from lvm_core.fivecat.relatives import relatives_of
    from lvm_core.runtime.hardware import resolve_device, use_threads

    use_threads(common.threads)
    device = resolve_device(common.device)
    bank = load_bank("data/bank")
    summaries = {}
    for reference in fit_references(bank, evaluate_params, common.seed):
        evaluations = evaluate_splits(bank, reference, evaluate_params, seed=common.seed, device=device)
        dev = dev_figures(bank, reference, evaluate_params, common.seed, device)
        write_evaluations(evaluation_directory("references") / reference.name, evaluations, reference.fit, dev=dev)
        summaries[reference.name] = {split: done.summary for split, done in evaluations.items()}
    for name, summary in summaries.items():
        rivals = {other: summaries[other] for other in rivals_of(name, REFERENCES[name])}
        write_json(f"metrics/{name}.json", row_figures(summary, rivals))
    for relative in relatives_of(bank, common.seed):
        evaluations = evaluate_splits(
            bank, relative, evaluate_params, seed=common.seed, device=device, leave_out=left_out
        )  # fmt: skip
        write_evaluations(evaluation_directory("relatives") / relative.name, evaluations)
    backwards = reversed_bank(bank)
    for reference in fit_references(backwards, evaluate_params, common.seed, DIRECTION_REFERENCES):
        evaluations = evaluate_splits(
            backwards, reference, evaluate_params, seed=common.seed, device=device, leave_out=COSTLY_TESTS
        )  # fmt: skip
        write_evaluations(evaluation_directory("references-reversed") / reference.name, evaluations)


if __name__ == "__main__":
    run_stage(main)
