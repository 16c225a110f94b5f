"""What is in an .npz file: a bank or windows, told apart by the names of its members."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from lvm_core.config.data import DataParams
from lvm_core.importers.arrays import NpzFile, Values
from lvm_core.importers.ids import LONGEST, article_ids, indices, shown_value
from lvm_core.importers.tables import Column, named_column
from lvm_core.importers.vector_file import Ids, VectorFile, check_length, check_vectors, make_bank
from lvm_core.runtime.errors import LvmError, printable
from lvm_core.windows import CONTEXT

# Names that the files and loaders of the earlier work use for the same thing (prior results, sections 1.2 and 1.3).
CONTEXTS = ("context_sequences", "contexts", "context", "X", "train_context_sequences")
TARGETS = ("target_vectors", "targets", "target", "y", "train_target_vectors")
TARGET_INDICES = ("target_indices", "target_chunk_indices")
VECTORS = ("vectors", "embeddings", "X")
ARTICLES = ("article_indices", "article_ids")
CHUNK_INDICES = ("chunk_indices", "seq_idx")
TEXTS = ("concept_texts", "texts", "text")
TITLES = ("titles", "title")
ARTICLE_KEYS = ("article_index", "article_id")
TARGET_KEYS = ("target_chunk_index", "target_idx")

WANTED = (
    f"windows ({'|'.join(CONTEXTS)} and {'|'.join(TARGETS)}, with article_ids and target_indices or metadata) or a "
    f"bank ({'|'.join(VECTORS)} and {'|'.join(ARTICLES)})"
)


def read_npz(file: NpzFile, name: str, data: DataParams) -> VectorFile:
    """`name`: of the file in its folder; `data` names members."""
    named = {role: named_column(role, data, file.names, file.path) for role in ("vector", "article", "text", "title")}
    # X means contexts if it has three axes, a bank's vectors otherwise.
    names = [name for name in file.names if name != "X" or len(file.header("X").shape) == 3]
    contexts, targets = (_find(names, usual) if not named["vector"] else None for usual in (CONTEXTS, TARGETS))
    vectors = named["vector"] or _find([name for name in file.names if name != contexts], VECTORS)
    if contexts and targets:
        for role in ("text", "title"):
            if named[role]:
                raise LvmError(f"{file.path}: texts and titles of windows are not read; set data.{role}_column to null")
        return _read_windows(file, name, contexts, targets, named["article"])
    there = printable(", ".join(file.names) or "no members")
    if contexts or targets or not vectors:
        missing = "targets" if contexts else "contexts" if targets else "vectors"
        raise LvmError(f"{file.path}: has no {missing}; wanted: {WANTED}; there are: {there}")
    usual = {"article": ARTICLES, "chunk": CHUNK_INDICES, "text": TEXTS, "title": TITLES}
    found = {role: named.get(role) or _find(names, members) for role, members in usual.items()}
    if not found["article"]:
        raise LvmError(f"{file.path}: has no ids of articles; wanted: {' or '.join(ARTICLES)}; there are: {there}")
    columns = {role: Column(member, _values(file, member, vectors)) for role, member in found.items() if member}
    return make_bank(name, file.path, check_vectors(file.array(vectors), 2, "[N, D]"), columns, file.path)


def _read_windows(file: NpzFile, name: str, contexts_name: str, targets_name: str, key: str | None) -> VectorFile:
    ids = _window_ids(file, targets_name, key)  # first: a mistake in them should not wait for gigabytes
    contexts = check_vectors(file.array(contexts_name), 3, f"[W, {CONTEXT}, D]")
    targets = check_vectors(file.array(targets_name), 2, "[W, D]")
    if contexts.shape[1] != CONTEXT:
        raise LvmError(f"{contexts.where}: has {contexts.shape[1]} context chunks a window, need {CONTEXT}")
    if (contexts.shape[0], contexts.shape[2]) != targets.shape:
        raise LvmError(f"{contexts.where} is {contexts.shape}, {targets.where} is {targets.shape}: they do not fit")
    if contexts.dtype != targets.dtype:
        raise LvmError(
            f"{contexts.where} is {contexts.dtype}, {targets.where} is {targets.dtype}: the same chunk would not have "
            "the same vector in both; save both with one type"
        )
    return VectorFile(name, file.path, "windows" if ids else "windows without ids", [contexts, targets], ids)


def _window_ids(file: NpzFile, targets: str, key: str | None) -> Ids | None:
    article, target = key or _find(file.names, ARTICLES), _find(file.names, TARGET_INDICES)
    if article and target:
        ids = article_ids(_values(file, article, targets), f"{file.path}: {article}")
        positions = indices(_values(file, target, targets), f"{file.path}: {target}")
        return Ids(ids, positions, np.zeros(len(ids), dtype=bool))
    if "metadata" in file.names and key is None:
        return _read_metadata(list(_values(file, "metadata", targets)), f"{file.path}: metadata")
    if article or target:
        there, lacking = (article, "target_indices") if article else (target, "article_ids")
        raise LvmError(
            f"{file.path}: has {there} but no {lacking}; give both, or neither to import each window by itself"
        )
    return None


def _read_metadata(items: Sequence[Any], where: str) -> Ids | None:
    """Ids out of one dict a window: `article_index|article_id`, `target_chunk_index|target_idx`, and, if it is there,
    `last_context_article` or `crosses_article`.
    """
    for row, item in enumerate(items):
        if not isinstance(item, dict):
            raise LvmError(f"{where}: row {row}: holds {type(item).__name__}, need a dict")
    columns = [
        [next((item[key] for key in keys if key in item), None) for item in items]
        for keys in (ARTICLE_KEYS, TARGET_KEYS)
    ]
    if all(value is None for column in columns for value in column):
        return None
    for keys, column in zip((ARTICLE_KEYS, TARGET_KEYS), columns, strict=True):
        lacking = next((number for number, value in enumerate(column) if value is None), None)
        if lacking is not None:
            there = printable(", ".join(map(str, items[lacking])) or "nothing")
            raise LvmError(f"{where}: row {lacking}: lacks {' or '.join(keys)}; there are: {there}")
    article = article_ids(columns[0], f"{where}: article")
    foreign = [
        _starts_foreign(item, own, where, row) for row, (item, own) in enumerate(zip(items, article, strict=True))
    ]
    return Ids(article, indices(columns[1], f"{where}: target position"), np.array(foreign, dtype=bool))


def _starts_foreign(item: dict[Any, Any], article: str, where: str, row: int) -> bool:
    """Does a window's metadata say that its last context chunk is of another article?"""
    last: Any = item.get("last_context_article")
    if isinstance(last, (float, np.floating)):  # what a table makes of a number that may be missing
        last = int(last) if float(last).is_integer() else None
    if last is not None:
        return bool(article_ids([last], f"{where}: row {row}: last_context_article")[0] != article)
    crosses = item.get("crosses_article", False)
    if not isinstance(crosses, (bool, np.bool_, int, np.integer, type(None))):
        raise LvmError(f"{where}: row {row}: crosses_article: {shown_value(crosses)} is neither true nor false")
    return bool(crosses)


def _values(file: NpzFile, name: str, vectors: str) -> Values:
    """A member with one value for each row of the member `vectors`, looked at before it is read."""
    shape, dtype, *_ = file.header(name)
    if len(shape) != 1:
        raise LvmError(f"{file.path}: {name}: has shape {shape}, need one value a row")
    check_length(f"{file.path}: {vectors}", (*file.header(vectors).shape, 0)[0], name, shape[0])
    if dtype.kind in "US" and name not in TEXTS and dtype.itemsize > 4 * LONGEST:
        raise LvmError(
            f"{file.path}: {name}: has ids longer than {LONGEST} characters; give articles short names or numbers"
        )
    return file.values(name)


def _find(there: Container[str], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in there), None)
