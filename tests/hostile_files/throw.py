"""Throw hostile files at readers, in their own process: `python -m tests.hostile_files.throw READER,... FIRST COUNT`.

Prints one line of json, by reader: how many were read, how many refused, and what went wrong. Wrong is anything but a
result or one `LvmError`: another exception, more than `SECONDS` or `WAITING`, more memory than `MEGABYTES` (the process
has little more to take), a program started, a pickle's class looked up, a connection, or a file written outside the
folder.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Any

from lvm_core.runtime.errors import LvmError
from tests.hostile_files.cases import harm
from tests.hostile_files.samples import READERS

SECONDS = 20
"""Of processor time, of which a busy machine takes no more."""
WAITING = 300
"""Seconds altogether, after which a reader waits for something that never comes."""
MEGABYTES = 700
ADDRESS_SPACE = 4 * 2**30
"""Bytes that the process may take beyond what its libraries have: an array of 2^31 rows does not fit."""

FORBIDDEN = (
    *("pickle.find_class", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn"),
    *("subprocess.Popen", "socket.connect", "socket.bind", "shutil.unpack_archive"),
)


class Watch:
    """An audit hook that notes what no reader may do while it reads."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self.seen: list[str] = []
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        if event in FORBIDDEN and not _restricted(event):
            self.seen.append(f"{event} {str(arguments)[:100]}")
        if event == "open" and isinstance(arguments[0], (str, bytes)) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            if not path.startswith((self.folder, "/dev/null")):
                self.seen.append(f"{path} opened to be written")


def _restricted(event: str) -> bool:
    """Whether this is the one restricted reader of pickle streams, whose classes are stand-ins."""
    if event != "pickle.find_class":
        return False
    frame: FrameType | None = sys._getframe()
    while frame and not frame.f_code.co_filename.endswith("lvm_core/importers/pickle_reader.py"):
        frame = frame.f_back
    return frame is not None


class TooLong(BaseException):
    """A reader took longer than `SECONDS`, or `WAITING`."""


def _limit(seconds: float, waiting: int) -> None:
    """Raise `TooLong` after so much time; 0 for no limit."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.alarm(waiting)


def _too_long(number: int, _: object) -> None:
    _limit(0, 0)  # the other must not come while this one is being told
    raise TooLong(f"{SECONDS} s of processor time" if number == signal.SIGPROF else f"{WAITING} s")


def throw(name: str, first: int, count: int) -> dict[str, Any]:
    """The cases `first` to `first + count - 1` of a reader."""
    reader, watch = READERS[name], Watch()
    for signalled in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(signalled, _too_long)
    told: dict[str, Any] = {"reader": name, "read": 0, "refused": 0, "wrong": [], "kinds": {}, "slowest": [0.0, ""]}
    before_all = Path.cwd()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)  # where a planted command would leave its mark
        good, folder = Path(place, "good"), Path(place, "hostile")
        good.mkdir()
        reader.write(good)
        reader.read(good)  # imports what it needs, and good files are read
        for leftover in (*good.glob("data"), *good.glob(".resume")):
            shutil.rmtree(leftover)
        limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + ADDRESS_SPACE
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        for number in range(first, first + count):
            rng = random.Random(f"{name} {number}")
            shutil.copytree(good, folder, copy_function=os.link)
            kind = harm(folder / rng.choice(reader.files), rng)
            told["kinds"][kind] = told["kinds"].get(kind, 0) + 1
            before, start = _reset_peak(), time.process_time()
            watch.folder = str(folder)
            _limit(SECONDS, WAITING)
            try:
                reader.read(folder)
                told["read"] += 1
            except LvmError as error:
                told["refused"] += 1
                if len(line := " ".join(str(error).split())) > 1500 or not line.isprintable():
                    watch.seen.append(f"a message of {len(line)} characters, or that cannot be printed: {line[:100]!r}")
            except BaseException as error:
                watch.seen.append(f"{type(error).__name__}: {str(error)[:300]}")
            _limit(0, 0)
            watch.folder = None
            if (grown := _megabytes("VmHWM") - before) > MEGABYTES:
                watch.seen.append(f"{grown} MB")
            if list(folder.rglob("executed")) or Path("executed").exists():
                watch.seen.append("code in the file was executed")
                Path("executed").unlink(missing_ok=True)
            told["wrong"] += [f"{name} {number} ({kind}): {seen}" for seen in watch.seen]
            told["slowest"] = max(told["slowest"], [round(time.process_time() - start, 1), f"{number} {kind}"])
            watch.seen.clear()
            shutil.rmtree(folder)
        os.chdir(before_all)
    return told


def _reset_peak() -> int:
    """Resident megabytes now; the peak is counted from here."""
    Path("/proc/self/clear_refs").write_text("5")
    return _megabytes("VmRSS")


def _megabytes(field: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith(field))


if __name__ == "__main__":
    names, first, count = sys.argv[1].split(","), int(sys.argv[2]), int(sys.argv[3])
    print(json.dumps({name: throw(name, first, count) for name in names}))
