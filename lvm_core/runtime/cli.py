"""Entry points of stages and commands: one line for each error, and a record of what the process cost."""

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

from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.interrupts import exit_code, ignore_further_signals, interruptible, say_how_to_go_on


def run_stage(main: Callable[..., None], *arguments: str) -> None:
    """Run a stage's `main`: an `LvmError` becomes one line on stderr and exit code 1.

    Ctrl-C and SIGTERM become one line that says how to go on, and exit code 130 or 143, within two seconds. Anything
    else is a defect of ours and keeps its traceback. What the process cost is left in the record of the run, if any.

    Args:
        main: called with the command line's arguments.
        arguments: their names; another number of them is an error.
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
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None
    finally:
        leave_record()


VARIABLE = "LVM_RECORD"
"""Names the file."""

_BEGAN = time.monotonic()


def leave_record() -> None:
    """Append the line of this process, with the CPU seconds of the processes that it started and waited for."""
    own, started = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = own.ru_utime + own.ru_stime + started.ru_utime + started.ru_stime
    write_record(sys.orig_argv[1:], cpu, time.monotonic() - _BEGAN, max(own.ru_maxrss, started.ru_maxrss))


def write_record(argv: Sequence[str], cpu: float, wall: float, rss: int, processes: int = 1) -> None:
    """Append a line. It does nothing where no file is named, or that cannot be written: a run must not fail by this.

    Args:
        argv: the command, without the interpreter.
        cpu: seconds, user and system.
        wall: seconds.
        rss: most memory, in the unit of `getrusage` (KiB on Linux).
        processes: that the line stands for.
    """
    path = os.environ.get(VARIABLE)
    if path:
        said = {"argv": list(argv), "cpu": round(cpu, 2), "wall": round(wall, 2), "rss": rss, "processes": processes}
        with suppress(OSError), open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(said) + "\n")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are `LvmError`: one line, with how the command is used.

    Args:
        command: as it is typed, `python -m lvm_core.gates`.
        usage: the arguments that matter.
        description: for --help.
    """

    def __init__(self, command: str, usage: str, description: str) -> None:
        super().__init__(prog=command, description=description)
        self._how = f"usage: {command} {usage} (more with --help)"

    def error(self, message: str) -> NoReturn:
        """Refuse the command line.

        Raises:
            LvmError: always.
        """
        raise LvmError(f"{message}; {self._how}")


def run_command(main: Callable[[Sequence[str]], int | None], interrupted: str = "") -> NoReturn:
    """Run a command's `main` on the command line and end the process.

    Args:
        main: given the arguments; returns the exit code, None for 0. An `LvmError` is one line and exit code 1.
        interrupted: said at Ctrl-C, which is exit code 130.
    """
    try:
        code = main(sys.argv[1:]) or 0
    except LvmError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        code = 1
    except KeyboardInterrupt:
        if interrupted:
            print(interrupted, file=sys.stderr, flush=True)
        code = 130
    raise SystemExit(code)
