"""SIGKILL to a whole run, at chosen points and at random moments, several times in one run."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.faults.project import Undisturbed, differences, finish_repro, leftovers, results, start_repro


@dataclass(frozen=True)
class Point:
    """A point of a run.

    Attributes:
        match: pattern of the event, see `inject/sitecustomize.py`.
        last: the last of its occurrences that is hit.
        delay: the longest time from the occurrence to the kill, in seconds.
        empties: whether the file that is opened to be written is emptied before the kill.
    """

    match: str
    last: int
    delay: float = 0.0
    empties: bool = False


POINTS = {
    "with dvc.lock just emptied": Point(r"^write .*dvc\.lock$", 6, empties=True),
    "while DVC writes dvc.lock": Point(r"^write .*dvc\.lock$", 6, 0.15),
    "with DVC's list of what is running just emptied": Point(r"^write .*rwlock$", 60, empties=True),
    "while DVC fills its cache": Point(r"^(os\.rename|os\.link|shutil\.\w+) .*(\.dvc/cache|data/|metrics/)", 80, 0.05),
    "while an output is written": Point(r"^write .*\.part", 25, 0.02),
    "before an output is renamed into place": Point(r"^os\.rename .*\.part$", 25),
    "while a folder takes the place of the old one": Point(r"^os\.(rename|rmdir|remove) .*(data|metrics|plots)/", 60),
    "while embedding": Point(r"^open data/bank/chunks\.parquet$", 1, 10.0),
    "while a part of the embedding is saved": Point(r"^(write|os\.rename) .*\.resume/embed-", 8, 0.005),
    "between epochs and in them": Point(r"^open data/curriculum/p1/[abc]\.npy$", 1, 3.0),
    "while saved work is removed": Point(r"^os\.(remove|rmdir) .*\.resume", 8),
}
"""What is done when the group is killed."""


@dataclass
class Tally:
    """What became of the faults.

    Attributes:
        faults: that happened.
        recovered: after which the run was finished, with the results of an undisturbed one.
        mended: that needed `tools/mend.py`.
        missed: points that the run did not come to any more.
        by_kind: number of kills by what was done then.
        problems: what went wrong, in words.
    """

    faults: int
    recovered: int
    mended: int
    missed: int
    by_kind: dict[str, int]
    problems: list[str]

    @classmethod
    def empty(cls) -> Tally:
        """Nothing happened yet."""
        return cls(0, 0, 0, 0, {}, [])

    @classmethod
    def failed(cls, problem: str) -> Tally:
        """A fault after which something is wrong."""
        return cls(1, 0, 0, 0, {}, [problem])

    def add(self, other: Tally) -> None:
        """Add up."""
        self.faults += other.faults
        self.recovered += other.recovered
        self.mended += other.mended
        self.missed += other.missed
        self.problems += other.problems
        for kind, count in other.by_kind.items():
            self.by_kind[kind] = self.by_kind.get(kind, 0) + count


def kill_at(folder: Path, point: Point, nth: int, delay: float, *targets: str) -> bool:
    """Run `dvc repro` and kill its group at a point; whether it came to it.

    Args:
        folder: of the project.
        point: to hit.
        nth: occurrence over all processes of the run.
        delay: seconds after it.
        targets: of `dvc repro`.
    """
    count = folder.with_name(f"{folder.name}.count")
    count.unlink(missing_ok=True)
    fault = {"match": point.match, "nth": nth, "delay": delay, "empties": point.empties, "count": str(count)}
    return _killed(start_repro(folder, *targets, fault=fault))


def kill_after(folder: Path, seconds: float, *targets: str) -> bool:
    """Run `dvc repro` and kill its group after some time; whether it was still running."""
    process = start_repro(folder, *targets)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    return _killed(process)


def _killed(process: subprocess.Popen[str]) -> bool:
    code = process.wait()
    time.sleep(0.2)  # the rest of the group is ending
    return code == -signal.SIGKILL


def kills_in_one_run(folder: Path, number: int, rng: random.Random, undisturbed: Undisturbed) -> Tally:
    """Kill a run again and again, then let it finish.

    Args:
        folder: of a project in which nothing has run.
        number: of kills, at most.
        rng: chooses points, occurrences and moments.
        undisturbed: the run as it should be.

    Raises:
        AssertionError: it cannot be finished.
    """
    tally = Tally.empty()
    kinds = [*POINTS, "at a random moment", "at a random moment"]
    for kind in rng.sample(kinds, len(kinds))[:number]:
        if kind in POINTS:
            point = POINTS[kind]
            nth = rng.randint(1, point.last)
            hit = kill_at(folder, point, nth, rng.uniform(0.0, point.delay), *undisturbed.targets)
        else:
            hit = kill_after(folder, rng.uniform(1.0, undisturbed.seconds / 2), *undisturbed.targets)
        if not hit:
            tally.missed += 1
            break  # it ran to its end: nothing is left to be killed
        tally.faults += 1
        tally.by_kind[kind] = tally.by_kind.get(kind, 0) + 1
        if _needs_mending(folder):
            tally.mended += 1
    finish_repro(folder, *undisturbed.targets)
    return tally


def _needs_mending(folder: Path) -> bool:
    """Mend what DVC cannot read, as `make repro` does before anything else; whether there was something."""
    process = subprocess.run(
        [sys.executable, "tools/mend.py", "--quiet"], cwd=folder, check=True, stdout=subprocess.PIPE, text=True
    )
    return bool(process.stdout)


def run_with_kills(project: Path, number: int, seed: int, undisturbed: Undisturbed) -> Tally:
    """`kills_in_one_run` in a copy of a project; all count as recovered if the results are those of `undisturbed`.

    Raises:
        AssertionError: it cannot be finished, has other results or leaves something behind.
    """
    folder = project.with_name(f"kills-{seed}")
    shutil.copytree(project, folder, symlinks=True)
    tally = kills_in_one_run(folder, number, random.Random(seed), undisturbed)
    different = differences(results(folder), undisturbed.results)
    assert not different, f"run {seed}: other results: {different}"
    assert not leftovers(folder), f"run {seed}: left behind: {leftovers(folder)}"
    tally.recovered = tally.faults
    shutil.rmtree(folder)
    return tally
