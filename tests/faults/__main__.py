"""Every fault many times, two at a time: `python -m tests.faults [KILLS]`; the last line is "N faults, N recovered"."""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults.kills import Tally, run_with_kills
from tests.faults.others import FAULTS, disk_full, harm_and_recover, may_mount
from tests.faults.project import FAULT_PROFILE, Undisturbed, hear_ctrl_c, make_project, run_undisturbed

AT_A_TIME = 2
"""Runs beside each other: a training takes one thread."""
IN_ONE_RUN = 8
"""Kills in one run from nothing to its end, at most."""
WHOLE = 2
"""Runs of the whole pipeline with kills; the others are of `FAULT_PROFILE`."""
TOO_MANY = 10
"""Problems after which no more kills are tried."""

Job = Callable[[], Tally]


def main(kills: int = 50) -> int:
    """Run all of them and print what came of it; the exit code.

    Args:
        kills: altogether, at least.
    """
    hear_ctrl_c()
    tally = Tally.empty()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        project, finished, whole = place / "project", place / "finished", place / "whole"
        make_project(project)
        for folder in (finished, whole):
            shutil.copytree(project, folder, symlinks=True)
        short = run_undisturbed(finished, *FAULT_PROFILE)
        print(f"undisturbed: {short.seconds:.0f} s, {len(short.results)} outputs", flush=True)
        full = run_undisturbed(whole)
        print(f"undisturbed, the whole pipeline: {full.seconds:.0f} s, {len(full.results)} outputs", flush=True)
        jobs = [kills_job(project, seed, full) for seed in range(WHOLE)]
        jobs += [fault_job(fault, finished, seed, short) for fault in FAULTS for seed in range(2)]
        _work(tally, jobs)
        seeds = itertools.count(WHOLE)
        while sum(tally.by_kind.values()) < kills and len(tally.problems) < TOO_MANY:
            _work(tally, [kills_job(project, seed, short) for seed in itertools.islice(seeds, AT_A_TIME)])
    for kind, count in sorted(tally.by_kind.items()):
        print(f"  {count:3} kills {kind}")
    print("\n".join(tally.problems))
    print(f"{tally.mended} of them left a file that DVC cannot read, which `make repro` mends")
    print(
        f"{sum(tally.by_kind.values())} kills in {next(seeds)} runs, {tally.faults} faults, {tally.recovered} recovered"
    )
    return 0 if tally.recovered == tally.faults else 1


def _work(tally: Tally, jobs: Iterable[Job]) -> None:
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        for done in pool.map(lambda job: job(), jobs):
            tally.add(done)
            print(f"faults: {tally.faults}, recovered: {tally.recovered}", flush=True)


def kills_job(project: Path, seed: int, undisturbed: Undisturbed) -> Job:
    """A run with kills, which goes wrong without an exception."""

    def job() -> Tally:
        try:
            return run_with_kills(project, IN_ONE_RUN, seed, undisturbed)
        except AssertionError as error:
            return Tally.failed(f"run {seed}: {error}")

    return job


def fault_job(fault: Callable[..., None], finished: Path, seed: int, undisturbed: Undisturbed) -> Job:
    """Another fault, likewise."""

    def job() -> Tally:
        if fault is disk_full and not may_mount():
            print(f"{fault.__name__}: no file system can be mounted here, left out", flush=True)
            return Tally.empty()
        try:
            mended = harm_and_recover(fault, finished, seed, undisturbed)
        except AssertionError as error:
            return Tally.failed(f"{fault.__name__} {seed}: {error}")
        return Tally(faults=1, recovered=1, mended=int(mended), missed=0, by_kind={}, problems=[])

    return job


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
