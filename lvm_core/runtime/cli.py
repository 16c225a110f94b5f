"""What a stage or command says: one line for each error, plain progress lines, a record of what it cost."""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

from lvm_core.runtime.distributed import speaks
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.interrupts import exit_code, ignore_further_signals, interruptible, say_how_to_go_on


def run_stage(main: Callable[..., None], *arguments: str) -> None:
    """Run a stage's `main` on the command line, whose arguments must be as many as are named here.

    An `LvmError` becomes one line on stderr and exit code 1. Ctrl-C and SIGTERM become one line that says how to go on,
    and exit code 130 or 143, within two seconds. Anything else is a defect of ours and keeps its traceback. What the
    process cost is left in the record of the run, if any.
    """
    try:
        with interruptible():
            try:
                given = sys.argv[1:]
                if len(given) != len(arguments):
                    wanted = " ".join([sys.argv[0], *arguments])
                    raise LvmError(f"usage: python {wanted}; got {' '.join(given) or 'nothing'}")
                main(*given)
            except KeyboardInterrupt as interrupt:
                ignore_further_signals()
                say_how_to_go_on()
                raise SystemExit(exit_code(interrupt)) from None
    except LvmError as error:
        _print_error(error)
        raise SystemExit(1) from None
    finally:
        leave_record()


def run_command(main: Callable[[Sequence[str]], int | None], interrupted: str = "") -> NoReturn:
    """Run a command's `main` on the command line's arguments and end the process with its exit code (None is 0).

    An `LvmError` is one line and exit code 1; Ctrl-C prints `interrupted` and is exit code 130.
    """
    try:
        code = main(sys.argv[1:]) or 0
    except LvmError as error:
        _print_error(error)
        code = 1
    except KeyboardInterrupt:
        if interrupted:
            print(interrupted, file=sys.stderr, flush=True)
        code = 130
    raise SystemExit(code)


def _print_error(error: LvmError) -> None:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are `LvmError`: one line, with `command` as it is typed and the arguments that matter."""

    def __init__(self, command: str, usage: str, description: str) -> None:
        super().__init__(prog=command, description=description)
        self._how = f"usage: {command} {usage} (more with --help)"

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise LvmError(f"{message}; {self._how}")


VARIABLE = "LVM_RECORD"
"""Names the file that keeps the record of a run, if there is to be one."""

_BEGAN = time.monotonic()


def leave_record() -> None:
    """Append the line of this process, with the CPU seconds of the processes that it started and waited for."""
    own, started = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = own.ru_utime + own.ru_stime + started.ru_utime + started.ru_stime
    write_record(sys.orig_argv[1:], cpu, time.monotonic() - _BEGAN, max(own.ru_maxrss, started.ru_maxrss))


def write_record(argv: Sequence[str], cpu: float, wall: float, rss: int, processes: int = 1) -> None:
    """Append a line. It does nothing where no file is named, or that cannot be written: a run must not fail by this.

    `argv` is the command without the interpreter, `cpu` (user and system) and `wall` are seconds, `rss` is the most
    memory in the unit of `getrusage` (KiB on Linux), `processes` how many the line stands for.
    """
    path = os.environ.get(VARIABLE)
    if path:
        said = {"argv": list(argv), "cpu": round(cpu, 2), "wall": round(wall, 2), "rss": rss, "processes": processes}
        with suppress(OSError), open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(said) + "\n")


PROGRESS = "LVM_PROGRESS"
"""Names the seconds between two lines of progress, for a program that shows them in its own way."""


def progress_interval() -> float:
    """Seconds between two lines of progress: few on a terminal, many in a log file, which has to stay readable."""
    with suppress(ValueError):
        return float(os.environ.get(PROGRESS, ""))
    return 5.0 if sys.stderr.isatty() else 30.0


class Progress:
    """Counts units of work and prints `label: done/total (percent), rate unit/s, time left` to stderr.

    A line at most every `every` seconds; by default `progress_interval`. Units `done` before this run do not enter the
    rate. Of several processes of one run only the first one prints.
    """

    def __init__(self, label: str, total: int, unit: str, done: int = 0, every: float | None = None) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.every = progress_interval() if every is None else every
        self.done = self.start_done = done
        self.start = self.last = time.monotonic()

    def update(self, units: int) -> None:
        """Count `units` more; print a line if the last one is old enough."""
        self.done += units
        now = time.monotonic()
        if now - self.last >= self.every and self.done < self.total:
            self.last = now
            self._print(now)

    def close(self) -> None:
        """Print the last line, unless everything took less than a second."""
        now = time.monotonic()
        if now - self.start >= 1.0:
            self._print(now)

    def _print(self, now: float) -> None:
        if not speaks():
            return
        elapsed = max(now - self.start, 1e-9)
        rate = (self.done - self.start_done) / elapsed
        if self.done < self.total and rate > 0:
            tail = f"{_human((self.total - self.done) / rate)} left"
        else:
            tail = f"{_human(elapsed)} in all"
        share = 100 * self.done / max(self.total, 1)
        count = f"{self.done:,}/{self.total:,} {self.unit} ({share:.0f} %)"
        with suppress(OSError):  # the terminal may be gone, which is no reason to stop
            print(f"{self.label}: {count}, {rate:,.0f} {self.unit}/s, {tail}", file=sys.stderr, flush=True)


def _human(seconds: float) -> str:
    """`75` -> `1m15s`."""
    whole = round(seconds)
    return f"{whole // 60}m{whole % 60:02d}s" if whole >= 60 else f"{whole}s"
