"""From the files that `data.train` or `data.ood` names to the rows of the bank: read, checked, folded into articles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lvm_core.config.params import PARAMS_FILE
from lvm_core.importers.arrays import DiskArray
from lvm_core.importers.fold import SLOTS, FoldConflict, Folded, fold_windows
from lvm_core.importers.forms import BankFile, VectorFile, WindowsFile, open_vector_file, scan
from lvm_core.importers.separate import separate_windows
from lvm_core.runtime.errors import LvmError
from lvm_core.windows import CONTEXT

SUFFIXES = (".npz", ".npy", ".parquet")


@dataclass(frozen=True)
class SourceRows:
    """What a source gives to the bank, row by row in the bank's order."""

    name: str
    """Of the source: the file's or folder's name without its suffix."""
    form: str
    """`windows`, `windows without ids` or `bank`."""
    arrays: list[DiskArray]
    """Where vectors are."""
    array: np.ndarray
    """[R] int64, which of them holds the row."""
    row: np.ndarray
    """[R] int64, its number in that array (of the array's last axis)."""
    digest: np.ndarray
    """[R] uint64 of the row's bytes."""
    piece: np.ndarray
    """[R] int64, number of the article."""
    chunk_index: np.ndarray
    """[R] int64, position in the article (`fold.Folded`)."""
    article_id: np.ndarray
    """[P] str, unique."""
    group: np.ndarray
    """[P] str: articles of a group must come into one split."""
    texts: np.ndarray | None
    """[R] str, or None."""
    counts: dict[str, int]
    """What was read, dropped and changed."""

    def where(self, row: int) -> str:
        """The file's name for a row of the bank."""
        array, number = self.arrays[self.array[row]], int(self.row[row])
        if len(array.shape) == 2:
            return f"{array.where} row {number}"
        return f"{array.where} row {number // CONTEXT}, position {number % CONTEXT}"


def vector_paths(value: str, key: str) -> list[Path]:
    """The vector files that a parameter names: one, or all in a folder, by name."""
    path = Path(value)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise LvmError(f"{PARAMS_FILE}: {key} = {value!r}: no such file or folder of vectors")
    files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and not file.name.startswith("."))
    ids = {file.with_suffix(".parquet") for file in files if file.suffix == ".npy"}
    chosen = [file for file in files if file not in ids]
    if not chosen:
        raise LvmError(f"{PARAMS_FILE}: {key} = {value!r}: the folder holds no {', '.join(SUFFIXES)} file")
    return chosen


@dataclass(frozen=True)
class OpenedSource:
    """The opened files of a source, which fit together."""

    key: str
    """Dotted name of the parameter that names it."""
    value: str
    """Of the parameter."""
    paths: list[Path]
    """Of the files."""
    files: list[VectorFile]


def open_source(value: str, key: str, work: Path) -> OpenedSource:
    """Open the files that a parameter names and check their shapes and ids.

    Args:
        value: of the parameter.
        key: its dotted name.
        work: folder for unpacked arrays.

    Raises:
        LvmError: a file is damaged or lacks something, or the files do not fit together (names file and member).
    """
    paths = vector_paths(value, key)
    files = [open_vector_file(path, work) for path in paths]
    for path, file in zip(paths, files, strict=True):
        if _form(file) != _form(files[0]):
            here, there = _form(file), _form(files[0])
            raise LvmError(f"{path}: holds {here}, {paths[0]} {there}; the files of a folder must be of one form")
    return OpenedSource(key, value, paths, files)


def check_same_dimension(sources: Sequence[OpenedSource]) -> None:
    """Make sure that all files of all sources hold vectors of one dimension.

    Raises:
        LvmError: they do not (names two files).
    """
    first, wanted = sources[0].paths[0], sources[0].files[0].dimension
    for source in sources:
        for path, file in zip(source.paths, source.files, strict=True):
            if file.dimension != wanted:
                raise LvmError(
                    f"{path}: {source.key} has {file.dimension}-d vectors, {first} {wanted}-d; all must come from one "
                    "encoder"
                )


def read_rows(source: OpenedSource, work: Path) -> SourceRows:
    """Check every row of a source, and find each row's place in the bank.

    Args:
        source: from `open_source`.
        work: folder for finished parts.

    Raises:
        LvmError: a row is no direction, or ids contradict one another (names member and row).
    """
    name, tag, files = Path(source.value).stem, source.key.split(".")[-1], source.files
    scanned = np.concatenate([scan(file, work / f"scan-{tag}-{number}") for number, file in enumerate(files)])
    digests, not_unit = scanned[:, :, 0], scanned[:, :, 1]
    if isinstance(files[0], BankFile):
        return _bank_rows(name, [file for file in files if isinstance(file, BankFile)], digests, not_unit)
    windows = [file for file in files if isinstance(file, WindowsFile)]
    return _window_rows(name, source.paths, windows, digests, not_unit, divide=tag == "train")


def _form(file: VectorFile) -> str:
    if isinstance(file, BankFile):
        return "bank"
    return "windows" if file.ids else "windows without ids"


def _window_rows(
    name: str,
    paths: Sequence[Path],
    files: Sequence[WindowsFile],
    digests: np.ndarray,
    not_unit: np.ndarray,
    *,
    divide: bool,
) -> SourceRows:
    sizes = [len(file.targets) for file in files]
    first = np.cumsum([0, *sizes])
    of_file = np.repeat(np.arange(len(files)), sizes)
    if files[0].ids:
        ids = [file.ids for file in files if file.ids]
        names, codes = np.unique(np.concatenate([known.article for known in ids]), return_inverse=True)
        target_index = np.concatenate([known.target_index for known in ids])
        starts_foreign = np.concatenate([known.starts_foreign for known in ids])
        try:
            folded = fold_windows(digests, codes.astype(np.int64), target_index, starts_foreign, of_file)
        except FoldConflict as conflict:
            raise _conflict(conflict, files, first, names) from None
        article_id, group = _piece_names(folded, names), names[folded.piece_article]
    else:
        folded = separate_windows(digests, divide=divide)
        windows = folded.piece_article
        inside = windows - first[of_file[windows]]
        article_id = np.array([f"{paths[f].name}:{w}" for f, w in zip(of_file[windows], inside, strict=True)], object)
        group = folded.piece_group.astype(str).astype(object)
    inside = folded.window - first[of_file[folded.window]]
    is_target = folded.slot == CONTEXT
    return SourceRows(
        name=name,
        form=_form(files[0]),
        arrays=[array for file in files for array in (file.contexts, file.targets)],
        array=2 * of_file[folded.window] + is_target,
        row=np.where(is_target, inside, inside * CONTEXT + folded.slot),
        digest=digests[folded.window, folded.slot],
        piece=folded.piece,
        chunk_index=folded.chunk_index,
        article_id=article_id,
        group=group,
        texts=None,
        counts=folded.counts | {"rows_not_unit": int(not_unit[folded.window, folded.slot].sum())},
    )


def _piece_names(folded: Folded, names: np.ndarray) -> np.ndarray:
    """[P] the article's id for its first piece, `<id>#<first chunk index>` for others."""
    starts = np.flatnonzero(np.diff(folded.piece, prepend=-1))
    seen: set[str] = set(names.tolist())
    article_id, used = [], set[str]()
    for article, start in zip(names[folded.piece_article].tolist(), starts.tolist(), strict=True):
        piece = article if article not in used else f"{article}#{folded.chunk_index[start]}"
        while piece in seen and piece != article:
            piece += "+"  # the user has such an id
        used.add(article)
        article_id.append(piece)
    return np.array(article_id, dtype=object)


def _conflict(conflict: FoldConflict, files: Sequence[WindowsFile], first: np.ndarray, names: np.ndarray) -> LvmError:
    def where(window: int, slot: int) -> str:
        number = int(np.searchsorted(first, window, side="right")) - 1
        row, file = window - first[number], files[number]
        return (
            f"{file.targets.where} row {row}"
            if slot == SLOTS - 1
            else f"{file.contexts.where} row {row}, position {slot}"
        )

    return LvmError(
        f"{where(*conflict.first)} and {where(*conflict.second)} are both chunk {conflict.chunk_index} of article "
        f"{names[conflict.article]} but hold different vectors; one of them has a wrong id"
    )


def _bank_rows(name: str, files: Sequence[BankFile], digests: np.ndarray, not_unit: np.ndarray) -> SourceRows:
    sizes = [len(file.vectors) for file in files]
    of_file = np.repeat(np.arange(len(files)), sizes)
    inside = np.arange(len(of_file)) - np.cumsum([0, *sizes])[of_file]
    names, first_seen, codes = np.unique(
        np.concatenate([file.article for file in files]), return_index=True, return_inverse=True
    )
    rank = np.argsort(np.argsort(first_seen))[codes]  # articles in the order of their first row
    if all(file.chunk_index is not None for file in files):
        chunk_index = np.concatenate([file.chunk_index for file in files if file.chunk_index is not None])
        order = np.lexsort((chunk_index, rank))
    else:
        order = np.argsort(rank, kind="stable")
        starts = np.flatnonzero(np.diff(rank[order], prepend=-1))
        chunk_index = np.empty(len(rank), dtype=np.int64)
        chunk_index[order] = np.arange(len(rank)) - np.repeat(starts, np.diff(np.append(starts, len(rank))))
    piece, positions = rank[order], chunk_index[order]
    same_article = np.diff(piece) == 0
    repeated = np.flatnonzero(same_article & (np.diff(positions) == 0))
    if len(repeated):
        pair = order[repeated[0] : repeated[0] + 2]
        rows = " and ".join(f"{files[of_file[row]].vectors.where} row {inside[row]}" for row in pair)
        article, chunk = names[codes[pair[0]]], chunk_index[pair[0]]
        ids = files[of_file[pair[0]]].where_ids
        raise LvmError(f"{ids}: {rows} are both chunk {chunk} of article {article}; ids must not repeat")
    article_id = names[np.argsort(first_seen)]
    texts = [text for file in files for text in (file.texts or [""] * len(file.vectors))]
    return SourceRows(
        name=name,
        form="bank",
        arrays=[file.vectors for file in files],
        array=of_file[order],
        row=inside[order],
        digest=digests[order, 0],
        piece=piece,
        chunk_index=positions,
        article_id=article_id,
        group=article_id,
        texts=np.array(texts, dtype=object)[order] if any(file.texts for file in files) else None,
        counts={
            **{"rows": len(order), "articles": len(names)},
            **{"index_gaps": int((same_article & (np.diff(positions) > 1)).sum())},
            **{"rows_not_unit": int(not_unit.sum())},
        },
    )
