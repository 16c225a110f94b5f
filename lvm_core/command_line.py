"""What our commands share: a wrong argument is one line, and so is everything else that the user can put right."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from lvm_core.errors import LvmError


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
