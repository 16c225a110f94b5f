"""The report: everything measured on one page that can be sent to a colleague, plots/report.html."""

from __future__ import annotations

from lvm_core.report.page import report_html
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.files import write_text
from lvm_core.runtime.readers import read_csv, read_json


def main() -> None:
    """Read what the other stages measured, write the page."""
    comparison = read_json("metrics/comparison.json")
    page = report_html(
        comparison,
        read_json("metrics/frontier.json"),
        read_json("metrics/diagnosis.json"),
        read_csv("plots/training.csv", "name").reset_index(),
        read_csv("plots/lag_similarity.csv", "name").reset_index(),
        read_json("metrics/ladder.json"),
        read_json("metrics/calibration/selected.json"),
        read_csv("plots/reliability/selected.csv", "name"),
    )
    write_text("plots/report.html", page)
    print(f"report: {len(comparison['rows'])} rows, {len(page.encode()) / 1024:,.0f} KiB in plots/report.html")


if __name__ == "__main__":
    run_stage(main)
