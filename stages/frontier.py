"""Trace the margin-constrained linear predictors of the bank: metrics/frontier.json."""

from __future__ import annotations

from lvm_core.bank import load_bank
from lvm_core.config.groups import EvaluateParams
from lvm_core.config.params import load_common, load_group, read_params
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.files import write_json


def main() -> None:
    """Trace both families, measure their points and print a line about each."""
    params = read_params()
    evaluate_params, common = load_group(params, "evaluate", EvaluateParams), load_common(params)

    # Heavy imports come after the parameters are known to be good.
    from lvm_core.frontier.measure import describe, trace_frontier
    from lvm_core.runtime.hardware import resolve_device, use_threads

    use_threads(common.threads)
    frontier = trace_frontier(load_bank("data/bank"), evaluate_params, resolve_device(common.device))
    write_json("metrics/frontier.json", frontier)
    print("\n".join(describe(frontier)))


if __name__ == "__main__":
    run_stage(main)
