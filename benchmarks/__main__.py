"""Run the benchmarks: `python -m benchmarks [--quick] [NAME...]`; a full run writes metrics/bench.json and bench.md.

`python -m benchmarks pipeline [RECORD...]` prints what runs of `make repro` cost, by kind of stage.
"""

from __future__ import annotations

import argparse
import importlib
import sys

from benchmarks import pipeline
from benchmarks.report import write_report

NAMES = ("training", "fivecat", "scoring", "retrieval", "encoding", "import", "startup", "growth")
"""Modules `benchmarks.bench_<name>` of a full run; each has `measure(quick)`, which yields its lines."""
ON_REQUEST = ("gpu",)
"""Further ones, for machines that have what they measure."""


def main() -> None:
    """Measure, print each line as it comes; write both files if all were asked for, or where `--output` says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)} (default: these), {', '.join(ON_REQUEST)}"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, one run each: to try the code")
    parser.add_argument(
        "--output", help="folder of bench.json and bench.md (default: metrics, for all without --quick)"
    )
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in (*NAMES, *ON_REQUEST)]
    if unknown:
        parser.error(f"{unknown[0]!r} is no benchmark; there are {', '.join((*NAMES, *ON_REQUEST))}")
    lines = []
    for name in options.names or NAMES:
        module = importlib.import_module(f"benchmarks.bench_{name}")
        try:
            for line in module.measure(options.quick):
                print(line.sentence(), flush=True)
                lines.append(line)
        except ModuleNotFoundError as error:
            parser.exit(
                1,
                f"error: {error.name} is not installed; run `make bench`, or pip install --no-deps "
                "-r benchmarks/requirements.txt\n",
            )
    whole = not options.quick and not options.names
    if options.output or whole:
        write_report(options.output or "metrics", lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["pipeline"]:
        raise SystemExit(pipeline.main(sys.argv[2:]))
    main()
