"""Run all benchmarks: `python -m benchmarks [--quick]`; writes metrics/bench.json and metrics/bench.md."""

from __future__ import annotations

import argparse

from benchmarks import bench_fivecat
from benchmarks.report import write_report

MODULES = (bench_fivecat,)
"""Each has `measure(quick)`, which yields its lines."""


def main() -> None:
    """Measure, print each line as it comes, write both files."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the windows, one run each: to try the code")
    parser.add_argument("--output", default="metrics", help="folder of bench.json and bench.md (default: metrics)")
    options = parser.parse_args()
    lines = []
    for module in MODULES:
        for line in module.measure(options.quick):
            print(line.sentence(), flush=True)
            lines.append(line)
    write_report(options.output, lines)


if __name__ == "__main__":
    main()
