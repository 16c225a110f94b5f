"""Files that somebody brings: those of a folder in the order of their numbers, and a count of what is passed over."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from lvm_core.runtime.errors import LvmError, printable

HIDDEN, OTHER = "hidden files and folders", "files of other kinds"

WATCHED = Path("corpora")
"""The folder in which DVC sees changes."""


@dataclass
class LeftOut:
    """What a reader passed over."""

    left_out: Counter[str] = field(default_factory=Counter)
    """Files, rows or pages, by kind, in words that the user understands (`redirects`)."""
    examples: dict[str, str] = field(default_factory=dict)
    """The first one of each kind, by name."""

    def leave_out(self, kind: str, name: str) -> None:
        """Count one."""
        self.left_out[kind] += 1
        self.examples.setdefault(kind, printable(name))

    def leave_out_others(self, names: Collection[str]) -> None:
        """Count files that nothing reads, and say how many there are of the most frequent endings."""
        kinds = Counter(Path(name).suffix.lower() or "no ending" for name in names)
        for name in names:
            self.leave_out(OTHER, name)
        if kinds:
            self.examples[OTHER] += f"; {', '.join(f'{ending} {count}' for ending, count in kinds.most_common(5))}"

    def counts(self) -> dict[str, Any]:
        """For a metrics file."""
        return {"left_out": dict(sorted(self.left_out.items())), "examples": dict(sorted(self.examples.items()))}

    def said(self) -> str:
        """Each kind with its number and the first example; empty if nothing was passed over."""
        return ", ".join(f"{kind} {n:,} (first: {self.examples[kind]})" for kind, n in sorted(self.left_out.items()))


def visible_files(folder: Path, key: str, left_out: LeftOut) -> list[Path]:
    """All files of a folder and the folders in it, by path, with numbers by value (part-2 before part-10).

    Hidden ones are counted. Links to files are followed. `key` is the parameter that names the folder.

    Raises:
        LvmError: a folder cannot be read, or is a link.
    """

    def fail(error: OSError) -> NoReturn:
        raise LvmError(f"{error.filename}: cannot be read ({error.strerror}); make the folder readable")

    found: list[Path] = []
    for directory, folders, names in os.walk(folder, onerror=fail):
        here = Path(directory)
        for name in sorted([*folders, *names]):
            if name.startswith("."):
                left_out.leave_out(HIDDEN, (here / name).relative_to(folder).as_posix())
        folders[:] = [name for name in folders if not name.startswith(".")]
        if linked := next((here / name for name in sorted(folders) if (here / name).is_symlink()), None):
            raise LvmError(f"{linked}: {_behind_a_link(key)}")
        found += [here / name for name in names if not name.startswith(".")]
    return sorted(found, key=lambda path: _by_number(path.relative_to(folder).parts))


def _by_number(parts: tuple[str, ...]) -> tuple[Any, ...]:
    """Sort key: texts and numbers by turns, folder by folder; then the names, for 1 and 01."""
    pieces = [re.split(r"([0-9]+)", part) for part in parts]
    return [[int(piece) if turn % 2 else piece for turn, piece in enumerate(part)] for part in pieces], parts


def require_watched(value: str, key: str) -> None:
    """Refuse a path in `WATCHED` that leads through a link to a folder."""
    watched, place = Path(os.path.abspath(WATCHED)), Path(os.path.abspath(value))
    if place.is_relative_to(watched):
        for part in (place, *place.parents)[: len(place.parts) - len(watched.parts)]:
            if part.is_symlink() and part.is_dir():
                raise LvmError(f"{part.relative_to(watched.parent)}: {_behind_a_link(key)}")


def refuse_pointer(head: bytes, path: Path) -> None:
    """Refuse what Git LFS leaves in place of a file that was not fetched."""
    if head.startswith(b"version https://git-lfs.github.com/spec/"):
        raise LvmError(f"{path}: is a pointer of Git LFS and not the file itself; run `git lfs pull`")


def _behind_a_link(key: str) -> str:
    return (
        f"is a link to a folder, and DVC does not see changes behind it; copy the folder there, or name it itself as "
        f"{key}"
    )
