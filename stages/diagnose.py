"""Diagnose the bank: metrics/diagnosis.json and .md, the lag-similarity curve as a table and a picture."""

from __future__ import annotations

from lvm_core.bank import load_bank
from lvm_core.config.groups import DiagnosisParams, EvaluateParams
from lvm_core.config.params import load_common, load_group, read_params
from lvm_core.fivecat.diagnosis import diagnose, diagnosis_text
from lvm_core.report.drawing import write_svg
from lvm_core.report.pictures import lag_picture
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import write_csv, write_json, write_text
from lvm_core.runtime.hardware import set_threads


def main() -> None:
    """Measure, then write the figures, the explanation and the picture."""
    params = read_params()
    settings = load_group(params, "diagnosis", DiagnosisParams)
    evaluation = load_group(params, "evaluate", EvaluateParams)
    common = load_common(params)
    set_threads(common.threads)
    bank = load_bank("data/bank")
    if not len(bank.targets(["train", "val", "ood"])):
        raise LvmError("data/bank: no article has 6 chunks, so there is no window to diagnose; lower corpus.min_chars")
    report, curve = diagnose(bank, settings, evaluation, common.seed)
    write_json("metrics/diagnosis.json", report)
    write_text("metrics/diagnosis.md", diagnosis_text(report, settings.near_duplicate, evaluation, bank.info))
    write_csv("plots/lag_similarity.csv", curve)
    between = {split: found["between_articles"] for split, found in report.items()}
    write_svg("plots/lag_similarity.svg", lag_picture(curve, between).svg)
    for split, figures in report.items():
        print(
            f"diagnose {split}: {figures['windows']:,} windows, temporal signal {figures['temporal_signal']:+.4f} "
            f"(reversed {figures['temporal_signal_reversed']:+.4f}), coherence {figures['coherence']:.4f}"
        )


if __name__ == "__main__":
    run_stage(main)
