"""What the processes of a run cost, one json line each: CPU seconds, wall time and memory at its peak.

Written to the file that the environment variable names, and nowhere without it: `make repro` sets it to a file in
build/runs, which is no output of the pipeline. `python -m benchmarks pipeline` makes a table of it.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

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
