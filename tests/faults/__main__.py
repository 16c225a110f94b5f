"""Every fault many times: `python -m tests.faults [KILLS [EACH]]`; the last line is "N faults, N recovered"."""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.kills import Tally, run_with_kills
from tests.faults.others import FAULTS, disk_full, harm_and_recover, may_mount
from tests.faults.project import finish_repro, leftovers, make_project, results


def main(kills: int = 50, each: int = 8) -> int:
    """Run all of them and print what came of it; the exit code.

    Args:
        kills: altogether, at least.
        each: of them in one run from nothing to the report, at most.
    """
    tally, problems = Tally.empty(), []
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        project, finished = place / "project", place / "finished"
        make_project(project)
        make_project(finished)
        start = time.monotonic()
        finish_repro(finished)
        seconds = time.monotonic() - start
        expected = results(finished)
        print(f"undisturbed: {seconds:.0f} s, {len(expected)} outputs; left behind: {leftovers(finished) or 'nothing'}")
        for seed in itertools.count():
            if tally.faults >= kills:
                break
            try:
                tally.add(run_with_kills(project, place, each, seed, expected, seconds))
                print(f"kills: {tally.faults} of {kills} after {seed + 1} runs", flush=True)
            except AssertionError as error:
                problems.append(str(error))
                tally.faults += 1
        for fault in FAULTS:
            if fault is disk_full and not may_mount():
                print(f"{fault.__name__}: no file system can be mounted here, left out")
                continue
            for seed in range(2):
                tally.faults += 1
                try:
                    tally.mended += harm_and_recover(fault, finished, place, seed, expected)
                    tally.recovered += 1
                    print(f"{fault.__name__}: recovered", flush=True)
                except AssertionError as error:
                    problems.append(f"{fault.__name__}: {error}")
    for kind, count in sorted(tally.by_kind.items()):
        print(f"  {count:3} kills {kind}")
    print("\n".join(problems))
    print(f"{tally.mended} of them left a file that DVC cannot read, which `make repro` mends")
    print(f"{tally.faults} faults, {tally.recovered} recovered")
    return 0 if tally.recovered == tally.faults else 1


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
