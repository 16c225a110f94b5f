"""Score every training window: data/scores.parquet, one row a window."""

from __future__ import annotations

from lvm_core.bank import load_bank
from lvm_core.config.groups import SCORES
from lvm_core.config.params import load_common, read_params
from lvm_core.curriculum.phases import score_windows
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import write_parquet
from lvm_core.runtime.hardware import set_threads


def main() -> None:
    """Score the windows of the train split and write them."""
    threads = load_common(read_params()).threads
    set_threads(threads)
    bank = load_bank("data/bank")
    targets = bank.targets("train")
    if not len(targets):
        raise LvmError("data/bank: the train split has no window; give data.train more or longer articles")
    scores = score_windows(bank.vectors, targets, bank.article_of_row, threads)
    write_parquet("data/scores.parquet", scores)
    means = ", ".join(f"{name} {scores[name].mean():.4f}" for name in SCORES)
    print(f"score: {len(scores):,} training windows; means: {means}")


if __name__ == "__main__":
    run_stage(main)
