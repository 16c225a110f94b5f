"""Unfinished work: where long stages keep what a later run goes on from, under a name made of all that shapes it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from lvm_core.errors import LvmError
from lvm_core.files import read_npy, write_npy

ROOT = Path(".resume")
"""Folder of unfinished work, beside params.yaml; no DVC output, ignored by Git."""


def fingerprint(*parts: object) -> str:
    """Hex sha256 of the parts (bytes, or anything by its text), in order; joining or splitting parts changes it."""
    digest = hashlib.sha256()
    for part in parts:
        content = part if isinstance(part, bytes) else str(part).encode()
        digest.update(f"{len(content)}:".encode() + content)
    return digest.hexdigest()


def source_sha256() -> str:
    """Hex sha256 of the sources of all modules of this package that are loaded: code shapes results too."""
    package = __name__.split(".")[0]
    files = {
        str(module.__file__)
        for name, module in list(sys.modules.items())
        if name.split(".")[0] == package and getattr(module, "__file__", None)
    }
    return fingerprint(*(Path(file).read_bytes() for file in sorted(files)))


@contextmanager
def progress_folder(name: str, key: str, root: Path = ROOT, *, keep_after_error: bool = True) -> Iterator[Path]:
    """Yield the folder `<root>/<name>-<key>` for saved progress: kept when the work is interrupted, removed at success.

    At success the folders of the same name with other keys go too: what they held was overtaken.

    Args:
        name: of the work; one process at a time works under it.
        key: from `fingerprint`: everything that shapes the result, so that nothing stale is ever gone on from.
        root: where unfinished work lies.
        keep_after_error: False where an `LvmError` says that nothing can come of this work.

    Raises:
        LvmError: another process is at the same work, or the folder cannot be written to.
    """
    folder = root / f"{name}-{key[:16]}"
    lock = root / f"{name}.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        holder = open(lock, "a+", encoding="utf-8")  # noqa: SIM115 - held open until the work is done
    except OSError as error:
        raise LvmError(f"{folder}: cannot be written ({error.strerror}); make {root} writable") from error
    with holder:
        _take(holder.fileno(), lock)
        try:
            yield folder
            for done in root.glob(f"{name}-{'[0-9a-f]' * 16}"):
                shutil.rmtree(done, ignore_errors=True)
        except LvmError:
            if not keep_after_error:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            lock.unlink(missing_ok=True)
            with suppress(OSError):
                root.rmdir()  # only if nothing else is unfinished


def saved_array(path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The array saved at `path` by an earlier run, or else what `make` gives, saved there."""
    if not path.exists():
        write_npy(path, make())
    return read_npy(path)


def _take(descriptor: int, lock: Path) -> None:
    """Lock the file, and note in it who holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = lock.read_text(encoding="utf-8").strip()
        raise LvmError(f"{lock}: process {pid} is still at this work; wait for it, or run `kill {pid}`") from None
    os.truncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
