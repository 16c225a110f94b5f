"""The report: everything measured on one page that can be sent to a colleague, plots/report.html."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from lvm_core.config.params import read_params
from lvm_core.report.page import report_html, what_was_run
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.files import write_text
from lvm_core.runtime.readers import read_csv, read_json, read_yaml

LOCK = Path("dvc.lock")


def main() -> None:
    """Read what the other stages measured, write the page."""
    write_report("plots/report.html")


def write_report(path: str, beside: Sequence[tuple[str, str]] = ()) -> None:
    """Write the page; `beside`: further facts on what was run, which are no part of DVC's output."""
    comparison = read_json("metrics/comparison.json")
    defaults = json.loads(files("lvm_core.report").joinpath("default_params.json").read_text(encoding="utf-8"))
    lock = read_yaml(LOCK, "run `make repro`, which mends it") if LOCK.is_file() else {}
    run = what_was_run(read_params(), defaults, lock if isinstance(lock, dict) else {}, comparison["seeds"])
    page = report_html(
        comparison,
        read_json("metrics/frontier.json"),
        read_json("metrics/diagnosis.json"),
        read_csv("plots/training.csv", "name").reset_index(),
        read_csv("plots/lag_similarity.csv", "name").reset_index(),
        read_json("metrics/ladder.json"),
        read_json("metrics/calibration/selected.json"),
        read_csv("plots/reliability/selected.csv", "name"),
        run=replace(run, facts=[*run.facts, *beside]),
    )
    write_text(path, page)
    print(f"report: {len(comparison['rows'])} rows, {len(page.encode()) / 1024:,.0f} KiB in {path}")


if __name__ == "__main__":
    run_stage(main)
