"""After a crash, or on a doubtful disk: `python tools/mend.py [--cache]` takes away what DVC cannot read or trust.

DVC writes dvc.lock and its list of running commands in place: a kill in the midst of that leaves half of one, and DVC
then refuses to work. What dvc.lock listed comes back from DVC's cache at the next `dvc repro`, without computing.
With `--cache` every object of the cache is read and compared with the hash it is named by (DVC trusts them unread); a
damaged one is removed, and what depends on it is made again by `dvc repro`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOCK, CONFLICT = Path("dvc.lock"), "<<<<<<<"
TMP = Path(".dvc/tmp")
BLOCK = 2**22


def main(arguments: Sequence[str]) -> int:
    """Mend the project in the working directory; the exit code."""
    if list(arguments) not in ([], ["--cache"], ["--quiet"]):
        print("error: usage: python tools/mend.py [--cache]", file=sys.stderr)
        return 1
    quiet = "--quiet" in arguments  # before every `make repro`: another one may be running
    if not Path(".dvc").is_dir():
        print("error: .dvc: is not there; run this in the project's folder", file=sys.stderr)
        return 1
    try:
        with alone() as nobody_else:
            if not nobody_else and not quiet:
                print("error: .dvc/tmp/lock: DVC is running here; wait for it or end it", file=sys.stderr)
            if not nobody_else:
                return 1
            done = [*mend_lock(LOCK), *mend_running(TMP / "rwlock")]
            done += mend_cache(cache_folder()) if "--cache" in arguments else []
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if done or not quiet:
        print("\n".join(done) or "nothing to mend")
    return 0


@contextmanager
def alone() -> Iterator[bool]:
    """Hold DVC's own lock, under which it writes these files; False if DVC has it."""
    TMP.mkdir(parents=True, exist_ok=True)
    with open(TMP / "lock", "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def mend_lock(path: Path) -> list[str]:
    """Move a dvc.lock that DVC cannot read aside; what was done, in words.

    Raises:
        ValueError: it has the marks of a Git merge, which only a person can resolve.
    """
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    if is_whole_lock(text):
        return []
    if CONFLICT in text:
        raise ValueError(f"{path}: has the conflicts of a Git merge; resolve them (git checkout --ours {path} will do)")
    aside = path.with_name(f"{path.name}.damaged")
    path.replace(aside)
    return [f"{path}: was written by half; moved to {aside}. `dvc repro` makes it anew from DVC's cache"]


def is_whole_lock(text: str) -> bool:
    """Whether DVC can read this text as dvc.lock; the empty one it cannot."""
    import yaml
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (yaml.YAMLError, Invalid, TypeError, AttributeError, ValueError):
        return False
    return True


def mend_running(path: Path) -> list[str]:
    """Remove a list of running commands that is no json; what was done, in words."""
    try:
        if path.exists() and not isinstance(json.loads(path.read_bytes()), dict):
            raise ValueError("no object")
    except ValueError:
        path.unlink()
        return [f"{path}: was written by half; removed"]
    return []


def cache_folder() -> Path:
    """Where this project's cache lies."""
    from dvc.repo import Repo

    with Repo() as repo:
        return Path(str(repo.cache.local.path))


def mend_cache(folder: Path) -> list[str]:
    """Remove the objects whose content is not that of their names; what was done, in words."""
    objects = [path for path in sorted(folder.glob("[0-9a-f][0-9a-f]/*")) if _named(path)]
    bad = [path for path in objects if md5_of(path) != path.parent.name + path.name.removesuffix(".dir")]
    for path in bad:
        path.unlink()
    removed = [f"{path}: is damaged; removed, `dvc repro` makes it again" for path in bad]
    return [*removed, f"{len(objects):,} objects of the cache read, {len(bad)} damaged"]


def _named(path: Path) -> Any:
    return re.fullmatch(r"[0-9a-f]{30}(\.dir)?", path.name)


def md5_of(path: Path) -> str:
    """Hex md5 of a file, DVC's name for its content."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
