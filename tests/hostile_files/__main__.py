"""Thousands of hostile files for every reader: `python -m tests.hostile_files [CASES]` (10,000), on two cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.hostile_files.samples import READERS
from tests.paths import ROOT

PART = 250
"""Cases a process."""


def thrown(names: Sequence[str], first: int, count: int) -> dict[str, dict[str, Any]]:
    """What `throw` told of these cases, by reader; of a process that did not end well, what went wrong with it."""
    command = [sys.executable, "-m", "tests.hostile_files.throw", ",".join(names), str(first), str(count)]
    variables = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    limit = (120 + 4 * count) * len(names)
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False, timeout=limit
        )
        told: dict[str, dict[str, Any]] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return {names[0]: _wrong(f"{names} {first}..: hangs")}
    except ValueError:
        return {names[0]: _wrong(f"{names} {first}..: ended with {done.returncode}: {done.stderr[-2000:]}")}
    return told


def _wrong(what: str) -> dict[str, Any]:
    return {"read": 0, "refused": 0, "wrong": [what], "slowest": [0.0, ""]}


def _told(job: tuple[str, int, int]) -> dict[str, Any]:
    name, first, count = job
    return thrown([name], first, count)[name]


def parts(cases: int) -> Iterator[tuple[str, int, int]]:
    """Reader, first case and number of cases of each process; at least `cases` altogether."""
    for name, reader in READERS.items():
        count = int(cases * reader.share) + 1
        for first in range(0, count, PART):
            yield name, first, min(PART, count - first)


def main(cases: int = 10_000) -> int:
    """Throw them all and print what came of it; the exit code."""
    jobs = list(parts(cases))
    read = refused = 0
    wrong: list[str] = []
    slowest: list[Any] = [0, ""]
    with ThreadPoolExecutor(2) as pool:
        for (name, first, count), told in zip(jobs, pool.map(_told, jobs), strict=True):
            read, refused = read + told["read"], refused + told["refused"]
            wrong += told["wrong"]
            slowest = max(slowest, [told["slowest"][0], f"{name} {told['slowest'][1]}"])
            print(f"hostile files: {name} {first} to {first + count - 1}: {len(told['wrong'])} wrong", flush=True)
    print("\n".join(wrong))
    print(f"slowest: {slowest[0]} s ({slowest[1]})")
    print(f"{read + refused:,} hostile inputs: {refused:,} refused in one line, {read:,} read, {len(wrong)} wrong")
    return 1 if wrong or read + refused < cases else 0


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
