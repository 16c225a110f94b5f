"""One exception for everything the user can put right, and the wrapper that shows it as one line."""

from __future__ import annotations

import sys
from collections.abc import Callable

from lvm_core.interrupts import exit_code, ignore_further_signals, interruptible, say_how_to_go_on
from lvm_core.record import leave_record


class LvmError(Exception):
    """Bad input: the message names the file, the field and the remedy. Shown without a traceback, exit code 1.

    Args:
        message: may quote what a file holds: characters that do not print, or that steer a terminal, are escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in message))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


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
