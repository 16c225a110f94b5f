"""Real processes to interrupt."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from lvm_core.interrupts import MESSAGE
from tests.paths import ROOT

SOON = 10.0
"""Seconds in which an interrupted stage ends: two on a quiet machine, and tests run on busy ones too."""


def start(command: list[str], folder: Path) -> subprocess.Popen[str]:
    """Start a command in a folder, with this repository's code."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def start_working(code: str) -> subprocess.Popen[str]:
    """Start Python code that prints `go` when it is at the point that matters; returns then."""
    process = start([sys.executable, "-c", code], ROOT)
    assert process.stdout
    assert process.stdout.readline() == "go\n"
    return process


def interrupt(process: subprocess.Popen[str], number: int) -> str:
    """Send a signal; the process must end within two seconds, with our line as its last one. Returns its stderr."""
    signalled = time.monotonic()
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - signalled < SOON
    assert process.returncode == 128 + number
    assert errors.splitlines()[-1] == MESSAGE
    assert "Traceback" not in errors
    return errors


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for a process that must succeed; its output."""
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output


def wait_for(condition, process, seconds=60.0):
    """Wait until a condition holds while the process lives."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"ended too early: {process.communicate()}"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def catches(process: subprocess.Popen[str], number: int) -> bool:
    """Whether a process has a handler of its own for a signal (Python has none for SIGTERM until we set one)."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)
