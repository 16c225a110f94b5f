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
from typing import TextIO

import numpy as np

from lvm_core.runtime.distributed import Ranks
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import sha256_of, write_npy
from lvm_core.runtime.readers import read_npy

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
    modules = [module for name, module in sys.modules.copy().items() if name.split(".")[0] == package]
    files = {file for module in modules if (file := getattr(module, "__file__", None))}
    return fingerprint(*(Path(file).read_bytes() for file in sorted(files)))


@contextmanager
def progress_folder(name: str, key: str, root: Path = ROOT, *, keep_after_error: bool = True) -> Iterator[Path]:
    """Yield the folder `<root>/<name>-<key>` for saved progress: kept when the work is interrupted, removed at success.

    At success the folders of the same name with other keys go too: what they held was overtaken.

    Args:
        name: of the work; one process at a time works under it.
        key: from `fingerprint`: everything that shapes the result, so that nothing stale is ever gone on from.
        root: where unfinished work lies.
        keep_after_error: False where an `LvmError`, other than a full disk and the like, says that the work is in vain.
    """
    folder = root / f"{name}-{key[:16]}"
    lock = root / f"{name}.lock"
    try:
        root.mkdir(parents=True, exist_ok=True)
        holder = _take(lock)
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise LvmError(f"{folder}: cannot be written ({error.strerror}); make {root} writable") from error
    with holder:
        try:
            yield folder
            for done in root.glob(f"{name}-{'[0-9a-f]' * 16}"):
                shutil.rmtree(done, ignore_errors=True)
        except LvmError as error:
            if not keep_after_error and not isinstance(error.__cause__, OSError):
                shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            lock.unlink(missing_ok=True)
            with suppress(OSError):
                root.rmdir()  # only if nothing else is unfinished


@contextmanager
def shared_folder(ranks: Ranks, name: str, key: str, root: Path = ROOT) -> Iterator[Path]:
    """`progress_folder` for several processes at one work: the first one holds it until all have left the block."""
    if ranks.first:
        with progress_folder(name, key, root) as folder:
            ranks.broadcast(str(folder))
            yield folder
            ranks.wait()
    else:
        yield Path(ranks.broadcast(None))
        ranks.wait()


def save_hashed(path: Path, write: Callable[[Path], None]) -> None:
    """Keep a file whose name holds a hash of its content, in the place of earlier ones for the same `path`.

    `state.safetensors` becomes `state.<16 hex digits>.safetensors`; `write` writes to the path that it is given.
    """
    temporary = path.with_name(f"{path.name}.temporary")
    write(temporary)
    hashed = path.with_name(f"{path.stem}.{sha256_of(temporary)[:16]}{path.suffix}")
    earlier = [file for file in _hashed(path) if file != hashed]
    try:
        os.replace(temporary, hashed)
    except OSError as error:
        raise LvmError(f"{hashed}: cannot be written ({error.strerror or error})") from error
    for file in earlier:
        file.unlink(missing_ok=True)


def find_hashed(path: Path) -> Path | None:
    """The newest whole file that `save_hashed` left for `path`; damaged ones are removed, which is said."""
    for file in sorted(_hashed(path), key=lambda file: file.stat().st_mtime_ns, reverse=True):
        if sha256_of(file)[:16] == file.suffixes[-2][1:]:
            return file
        print(f"{file}: saved work is damaged and will be done again", file=sys.stderr, flush=True)
        file.unlink()
    return None


def _hashed(path: Path) -> list[Path]:
    return list(path.parent.glob(f"{path.stem}.{'[0-9a-f]' * 16}{path.suffix}"))


def saved_array(path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The array that an earlier run kept for `path`, or else what `make` gives, kept there."""
    found = find_hashed(path)
    if found is not None:
        return read_npy(found)
    array = make()
    save_hashed(path, lambda temporary: write_npy(temporary, array))
    return array


def _take(lock: Path) -> TextIO:
    """Open and lock the file, and note in it who holds it."""
    while True:
        holder = open(lock, "a+", encoding="utf-8")  # noqa: SIM115 - held open until the work is done
        try:
            fcntl.flock(holder.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder.close()
            pid = lock.read_text(encoding="utf-8").strip() or "another one"
            raise LvmError(
                f"{lock}: process {pid} is still at this work; end it (kill {pid}), then run `dvc repro` again, which "
                "goes on from its last saved point"
            ) from None
        with suppress(FileNotFoundError):
            if os.fstat(holder.fileno()).st_ino == lock.stat().st_ino:
                break
        holder.close()  # the one who held it has removed it: what we locked is no longer the file of that name
    holder.truncate(0)
    holder.write(f"{os.getpid()}\n")
    holder.flush()
    return holder
