"""Real processes to interrupt."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

from lvm_core.runtime.interrupts import MESSAGE
from tests.paths import ROOT

SOON = 10.0
"""Seconds in which an interrupted stage ends: two on a quiet machine, and tests run on busy ones too."""

_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(["torch", "pandas", "pyarrow.parquet", "safetensors.torch", "sentence_transformers"])


class Forked:
    """A process of its own that has the libraries already: to import them takes seconds. Used like a `Popen[str]`."""

    def __init__(self, code: str, folder: Path, environment: Mapping[str, str]) -> None:
        pipes = [_FORKING.Pipe(duplex=False) for _ in range(2)]
        arguments = (code, str(folder), dict(environment), [writer for _, writer in pipes])
        self._process = _FORKING.Process(target=_run, args=arguments, daemon=True)
        self._process.start()
        for _, writer in pipes:
            writer.close()
        self.stdout, self.stderr = (os.fdopen(os.dup(reader.fileno()), encoding="utf-8") for reader, _ in pipes)

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        assert self.returncode is not None, f"still there after {timeout} seconds"
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        with self.stdout, self.stderr, ThreadPoolExecutor(2) as pool:
            reading = [pool.submit(stream.read) for stream in (self.stdout, self.stderr)]
            try:
                self.wait(timeout)
            finally:
                self.kill()
            return reading[0].result(), reading[1].result()


Process = subprocess.Popen[str] | Forked


def _run(code: str, folder: str, environment: Mapping[str, str], streams: Sequence[Connection]) -> None:
    for number, stream in enumerate(streams, 1):
        os.dup2(stream.fileno(), number)
        stream.close()
    os.chdir(folder)
    os.environ.update(environment)
    sys.argv = ["-c"]
    exec(code, {"__name__": "__main__"})


def fork(code: str, folder: Path, **environment: str) -> Forked:
    """Run Python code in a forked process in a folder, with these variables beside those of this process."""
    return Forked(code, folder, environment)


def fork_stage(arguments: Sequence[str], folder: Path, **environment: str) -> Forked:
    """`python -m <arguments>` in a forked process."""
    return fork(stage_code(arguments), folder, **environment)


def stage_code(arguments: Sequence[str]) -> str:
    """Python code that runs a stage as `python -m <arguments>` does."""
    argv, module = ["-m", *arguments[1:]], arguments[0]
    return f"import runpy, sys; sys.argv = {argv}; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"


def start(command: list[str], folder: Path) -> subprocess.Popen[str]:
    """Start a command in a folder, with this repository's code."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def start_working(code: str) -> Forked:
    """Start Python code that prints `go` when it is at the point that matters; returns then."""
    process = fork(code, ROOT)
    assert process.stdout.readline() == "go\n"
    return process


def interrupt(process: Process, number: int) -> str:
    """Send a signal; the process must end within two seconds, with our line as its last one. Returns its stderr."""
    signalled = time.monotonic()
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - signalled < SOON
    assert process.returncode == 128 + number
    assert errors.splitlines()[-1] == MESSAGE
    assert "Traceback" not in errors
    return errors


def finish(process: Process) -> str:
    """Wait for a process that must succeed; its output."""
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    return output


def wait_for(condition, process, seconds=60.0):
    """Wait until a condition holds while the process lives."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"ended too early: {process.communicate()}"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def catches(process: Process, number: int) -> bool:
    """Whether a process has a handler of its own for a signal (Python has none for SIGTERM until we set one)."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)
