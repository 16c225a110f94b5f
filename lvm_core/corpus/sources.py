"""The source that `data.train` or `data.ood` names."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from lvm_core.config.params import PARAMS_FILE
from lvm_core.corpus import Source
from lvm_core.corpus.folder import read_folder
from lvm_core.corpus.sotu import SOTU, read_sotu
from lvm_core.corpus.wikipedia import WIKIPEDIA, read_wikipedia
from lvm_core.runtime.errors import LvmError

READERS: dict[str, Callable[[], Source]] = {SOTU: read_sotu, WIKIPEDIA: read_wikipedia}
"""Corpora that `data.train` and `data.ood` may name. A new one is a function that returns a `Source`."""


def open_source(value: str, key: str) -> Source:
    """Read the source that a parameter names: one of `READERS`, or else a folder."""
    if value in READERS:
        return READERS[value]()
    if not os.path.isdir(value):  # unlike Path.is_dir, False for any impossible path
        raise LvmError(
            f"{PARAMS_FILE}: {key} = {value!r}: neither a corpus ({', '.join(READERS)}) nor an existing folder"
        )
    return read_folder(Path(value))


def check_distinct(train: Source, ood: Source) -> None:
    """Make sure that no article is in both sources."""
    where = f"{PARAMS_FILE}: data.train and data.ood"
    if train.place and ood.place:
        if train.place.is_relative_to(ood.place) or ood.place.is_relative_to(train.place):
            raise LvmError(f"{where} are the same folder, or one lies in the other; ood must be another source")
    elif train.name == ood.name and train.place is ood.place is None:
        raise LvmError(f"{where} are both {train.name!r}; ood must be another source")
    shared = {document.id for document in train.documents()} & {document.id for document in ood.documents()}
    if shared:
        raise LvmError(f"{where} share article ids, as {min(shared)!r}; rename one of the two folders")
