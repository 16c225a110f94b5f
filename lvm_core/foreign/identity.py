"""What a vector file is, told from its bytes: keys the progress of an import, so that a changed file starts it anew."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

from lvm_core.damage import READ_ERRORS
from lvm_core.errors import LvmError
from lvm_core.foreign.sources import vector_paths
from lvm_core.progress import Progress
from lvm_core.resume import fingerprint

BLOCK = 16 * 2**20


def file_identities(value: str, key: str) -> list[str]:
    """One text for each file that a parameter names, ids beside an .npy file included.

    Args:
        value: of the parameter.
        key: its dotted name.

    Raises:
        LvmError: there is no such file, or it cannot be read.
    """
    identities = []
    for path in vector_paths(value, key):
        beside = [path.with_suffix(suffix) for suffix in (".csv", ".parquet")] if path.suffix == ".npy" else []
        identities += [f"{file}={_identity(file)}" for file in (path, *beside) if file.is_file()]
    return identities


def _identity(path: Path) -> str:
    """Of a zip archive its table of contents, whose checksums are verified when members are read; else a hash."""
    try:
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                members = [
                    (i.filename, i.CRC, i.file_size, i.compress_size, i.header_offset) for i in archive.infolist()
                ]
            return fingerprint(path.stat().st_size, members)
        return _sha256(path)
    except OSError as error:
        raise LvmError(f"{path}: cannot be read ({error.strerror or error})") from error
    except READ_ERRORS:
        return ""  # opening it says what is wrong with it


def _sha256(path: Path) -> str:
    digest, progress = hashlib.sha256(), Progress(f"import: hash {path}", path.stat().st_size // 2**20, "MB")
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            progress.update(file.tell() // 2**20 - progress.done)
    progress.close()
    return digest.hexdigest()
