"""Vector files as people have them, read without the stage around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lvm_core.config.data import DataParams
from lvm_core.importers.bank_rows import SourceRows
from lvm_core.importers.sources import open_sources, read_rows
from lvm_core.runtime.errors import LvmError
from tests.forms import sample

DATA = sample([10] * 6)
ROWS = len(DATA.vectors)
NAMES = [f"a{article}" for article in DATA.article]


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path, monkeypatch):
    """The test runs in a fresh folder with `in`, for files, and `work`."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("work").mkdir()


def read(value: str = "in", **columns: str) -> SourceRows:
    """The rows of a source, in the bank's order."""
    data = DataParams(kind="vectors", train=value, ood=None, encoder=None, **columns)
    return read_rows(open_sources({"train": value}, data, Path("work"))["train"], "in", "train", Path("work"))


def refusal(value: str = "in", **columns: str) -> str:
    """The one line with which a source is refused."""
    with pytest.raises(LvmError) as caught:
        read(value, **columns)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def vectors_of(rows: SourceRows) -> np.ndarray:
    """[R, D] in the bank's order."""
    return np.stack([rows.arrays[a].rows(r, r + 1)[0] for a, r in zip(rows.array, rows.row, strict=True)])


def has_all(rows: SourceRows) -> bool:
    """Are all rows of the data there, in their order?"""
    return np.array_equal(vectors_of(rows), DATA.vectors)


def shard(path: str, part: slice = slice(None), *, chunk: bool = True, article: Any = None) -> None:
    """Write some rows of the data as a table."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    table = {"article_id": list(DATA.article[part] if article is None else article)}
    table |= {"chunk_index": DATA.chunk[part].tolist()} if chunk else {}
    pd.DataFrame(table | {"vector": list(DATA.vectors[part])}).to_parquet(path)
