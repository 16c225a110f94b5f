"""One exception for everything the user can put right, and the wrapper that shows it as one line."""

from __future__ import annotations

import sys
from collections.abc import Callable


class LvmError(Exception):
    """Bad input: the message names the file, the field and the remedy. Shown without a traceback, exit code 1."""


def run_stage(main: Callable[[], None]) -> None:
    """Run a stage's `main`: an `LvmError` becomes one line on stderr and exit code 1, Ctrl-C one line and 130.

    Anything else is a defect of ours and keeps its traceback.
    """
    try:
        main()
    except LvmError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        print("interrupted: run `dvc repro` again to go on", file=sys.stderr)
        raise SystemExit(130) from None
