"""One exception for everything the user can put right, and the wrapper that shows it as one line."""

from __future__ import annotations

import sys
from collections.abc import Callable


class LvmError(Exception):
    """Bad input: the message names the file, the field and the remedy. Shown without a traceback, exit code 1."""


def run_stage(main: Callable[..., None], *arguments: str) -> None:
    """Run a stage's `main`: an `LvmError` becomes one line on stderr and exit code 1, Ctrl-C one line and 130.

    Anything else is a defect of ours and keeps its traceback.

    Args:
        main: called with the command line's arguments.
        arguments: their names; another number of them is an error.
    """
    try:
        given = sys.argv[1:]
        if len(given) != len(arguments):
            raise LvmError(f"usage: python {' '.join([sys.argv[0], *arguments])}; got {' '.join(given) or 'nothing'}")
        main(*given)
    except LvmError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("interrupted: run `dvc repro` again to go on", file=sys.stderr)
        raise SystemExit(130) from None
