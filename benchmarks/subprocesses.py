"""Measuring a fresh process: its wall time and its peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PEAK = """
import atexit, sys
def _say_peak():
    status = open("/proc/self/status").read()
    print("peak kB", status.split("VmHWM:")[1].split()[0], file=sys.stderr)
atexit.register(_say_peak)
"""
"""In front of a program: says at its end what it had in memory at most, mapped pages of files included."""


@dataclass(frozen=True)
class Ran:
    """A process that has ended well.

    Attributes:
        seconds: of wall time, from its start to its end.
        peak_mb: largest resident memory, in MiB; pages of mapped files count as long as they are mapped.
        output: what it printed.
    """

    seconds: float
    peak_mb: float
    output: str


def run_fresh(program: str, folder: Path = ROOT, threads: int = 2) -> Ran:
    """Run a Python program in a process of its own, in `folder`, with this repository's code.

    Raises:
        RuntimeError: it failed (with its last lines).
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads)}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PEAK + program], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError("\n".join(done.stderr.splitlines()[-5:]))
    peak = done.stderr.rsplit("peak kB", 1)[1].split()[0]
    return Ran(seconds, int(peak) / 1024, done.stdout)
