"""Where texts come from, by the name that a parameter gives."""

from __future__ import annotations

import os
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from lvm_core.config.data import DataParams
from lvm_core.config.params import PARAMS_FILE, shown
from lvm_core.corpus import Source
from lvm_core.corpus.decode import OPENERS
from lvm_core.corpus.fields import Fields
from lvm_core.corpus.folder import SUFFIXES, kind_of, read_folder
from lvm_core.corpus.sotu import SOTU, read_sotu
from lvm_core.corpus.wikipedia import DUMPS, WIKIPEDIA, is_dump, read_dump, read_wikipedia
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.folders import WATCHED, require_watched

READERS: dict[str, Callable[[], Source]] = {SOTU: read_sotu, WIKIPEDIA: read_wikipedia}
"""Corpora that `data.train` and `data.ood` may name. A new one is a function that returns a `Source`."""


def open_source(value: str, key: str, fields: Fields | None = None) -> Source:
    """The source that a parameter names: one of `READERS`, or else a folder or file, whose columns are `fields`."""
    if value in READERS:
        return READERS[value]()
    where, path = f"{PARAMS_FILE}: {key} = {value!r}", Path(value)
    is_file = os.path.isfile(value)  # unlike Path.is_file, False for any impossible path
    if not (is_file or os.path.isdir(value)):
        raise LvmError(f"{where}: neither a corpus ({', '.join(READERS)}) nor an existing folder or file of texts")
    require_watched(value, key)
    if is_file and is_dump(path):
        return read_dump(path)
    if is_file and not kind_of(path):
        kinds = f"{', '.join(SUFFIXES)} (those of text also with {', '.join(OPENERS)})"
        raise LvmError(f"{where}: is not a file of texts by its ending; these are read: {kinds}, and dumps ({DUMPS})")
    return read_folder(path, key, fields)


def check_distinct(train: Source, ood: Source) -> None:
    """Make sure that the sources are two; that they share no article is seen while they are read."""
    where = f"{PARAMS_FILE}: data.train and data.ood"
    if train.place and ood.place:
        if train.place.is_relative_to(ood.place) or ood.place.is_relative_to(train.place):
            raise LvmError(f"{where} are the same folder or file, or one lies in the other; ood must be another source")
    elif train.name == ood.name and train.place is ood.place is None:
        raise LvmError(f"{where} are both {train.name!r}; ood must be another source")


def check_named(data: DataParams) -> None:
    """Refuse a source that is not there, with the name that may be meant; nothing is opened."""
    corpora = list(READERS) if data.kind == "text" else []
    for key, value in (("train", data.train), ("ood", data.ood)):
        if value is None or value in corpora or os.path.exists(value):
            continue
        known = {name: name for name in corpora}
        for path in (*WATCHED.glob("*"), *(Path(value).parent.glob("*") if os.sep in value else ())):
            known |= {path.name: str(path), str(path): str(path)}
        found = get_close_matches(value, known, 1) or get_close_matches(Path(value).name, known, 1)
        meant = f"; did you mean {known[found[0]]}?" if found else ""
        among = f"neither a corpus ({', '.join(corpora)}) nor" if corpora else "not"
        raise LvmError(f"{PARAMS_FILE}: data.{key} = {shown(value)}: {among} an existing file or folder{meant}")


def check_watched() -> None:
    """Refuse what DVC cannot read in `WATCHED`: it waits at a pipe for ever, and dies at a link to nothing."""
    for folder, inner, names in os.walk(WATCHED):
        inner[:] = [name for name in inner if name not in (".git", ".hg", ".dvc")]  # as DVC
        for path in (os.path.join(folder, name) for name in names):
            if not os.path.isfile(path):
                raise LvmError(f"{path}: is no file, or a link to nothing, which DVC cannot read; take it away")
