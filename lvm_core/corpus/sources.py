"""The corpora by name, and the user's folders."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from lvm_core.corpus.article import Source
from lvm_core.corpus.folder import read_folder
from lvm_core.corpus.sotu import read_sotu
from lvm_core.corpus.wikipedia import read_wikipedia
from lvm_core.errors import LvmError
from lvm_core.params import PARAMS_FILE

READERS: dict[str, Callable[[], Source]] = {"sotu": read_sotu, "wikipedia": read_wikipedia}
"""Corpora that `data.train` and `data.ood` may name. A new one is a function that returns a `Source`."""


def open_source(value: str, key: str) -> Source:
    """Read the source that a parameter names: one of `READERS`, or else a folder.

    Args:
        value: of the parameter.
        key: dotted name of the parameter, for the message.

    Raises:
        LvmError: it is neither, or reading fails (names the file).
    """
    if value in READERS:
        return READERS[value]()
    if not os.path.isdir(value):  # unlike Path.is_dir, False for any impossible path
        raise LvmError(
            f"{PARAMS_FILE}: {key} = {value!r}: neither a corpus ({', '.join(READERS)}) nor an existing folder"
        )
    return read_folder(Path(value))


def check_distinct(train: Source, ood: Source) -> None:
    """Make sure that no article is in both sources.

    Raises:
        LvmError: they are the same source or folder, one folder lies in the other, or article ids are shared.
    """
    where = f"{PARAMS_FILE}: data.train and data.ood"
    if train.folder and ood.folder:
        if train.folder.is_relative_to(ood.folder) or ood.folder.is_relative_to(train.folder):
            raise LvmError(f"{where} are the same folder, or one lies in the other; ood must be another source")
    elif train.name == ood.name and train.folder is ood.folder is None:
        raise LvmError(f"{where} are both {train.name!r}; ood must be another source")
    shared = {document.id for document in train.documents} & {document.id for document in ood.documents}
    if shared:
        raise LvmError(f"{where} share article ids, as {min(shared)!r}; rename one of the two folders")
