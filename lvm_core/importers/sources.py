"""From the files that `data.train` or `data.ood` names to the rows of the bank: read, checked, folded into articles."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lvm_core.config.data import DataParams
from lvm_core.config.params import PARAMS_FILE
from lvm_core.importers.arrays import DiskArray
from lvm_core.importers.bank_rows import RENUMBER, SourceRows, bank_rows, files_of_articles, row_name, row_numbers
from lvm_core.importers.fold import FoldConflict, Folded, fold_windows, separate_windows
from lvm_core.importers.forms import VectorFile, open_vector_file
from lvm_core.importers.paths import find_vectors
from lvm_core.runtime.cli import Progress
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.folders import LeftOut
from lvm_core.runtime.resume import saved_array
from lvm_core.windows import CONTEXT

SMALLEST_NORM = 1e-6
"""Shorter rows have no direction."""

UNIT_TOLERANCE = {2: 2e-3, 4: 1e-5, 8: 1e-5}
"""How far from 1 the norm of a unit row may be, by the bytes of a number: what rounding to that type can do."""

BLOCK_BYTES = 32 * 2**20
"""Read at a time, and work lost at most when the import is interrupted."""


class Opened(NamedTuple):
    """The open files of a source."""

    files: list[VectorFile]
    left_out: LeftOut


def open_sources(named: Mapping[str, str], data: DataParams, work: Path) -> dict[str, Opened]:
    """Open the files that data.train and data.ood name, by `train` and `ood`; `work` is for unpacked arrays.

    Raises:
        LvmError: a file is damaged or lacks something, or the files do not fit together (names file and member).
    """
    opened: dict[str, Opened] = {}
    for origin, value in named.items():
        found = find_vectors(value, f"data.{origin}")
        some = [open_vector_file(path, name, data, work, found.left_out) for name, path in found.files.items()]
        files = [file for file in some if file is not None]
        if not files:
            raise LvmError(f"{PARAMS_FILE}: data.{origin} = {value!r}: has no rows of vectors; bring some")
        opened[origin] = Opened(files, found.left_out)
        for file in files:
            if file.form != files[0].form:
                there = f"{files[0].path} {files[0].form}; the files of a folder must be of one form"
                raise LvmError(f"{file.path}: holds {file.form}, {there}")
    first = opened["train"].files[0]
    for origin, file in ((origin, file) for origin, source in opened.items() for file in source.files):
        if file.dimension != first.dimension:
            there = f"{first.path} {first.dimension}-d; all must come from one encoder"
            raise LvmError(f"{file.path}: data.{origin} has {file.dimension}-d vectors, {there}")
    return opened


def read_rows(source: Opened, name: str, origin: str, work: Path) -> SourceRows:
    """Check every row of the source `name`, and find each row's place in the bank; `work` is for finished parts.

    Raises:
        LvmError: a row is no direction, or ids contradict one another (names member and row).
    """
    files = source.files
    scanned = np.concatenate([_scan(file, work / f"scan-{origin}-{number}") for number, file in enumerate(files)])
    digests, not_unit = scanned[:, :, 0], scanned[:, :, 1]
    if files[0].form in ("bank", "documents"):
        rows = bank_rows(name, files, digests, not_unit)
    else:
        rows = _window_rows(name, files, digests, not_unit, divide=origin == "train")
    return replace(rows, counts={"files": len(files), **rows.counts, **source.left_out.counts()})


def _scan(file: VectorFile, saved: Path) -> np.ndarray:
    """Of each row of the windows (contexts, then the target) or the bank, its digest, and 1 where its norm is not 1.

    Returns:
        [W, 6, 2] or [N, 1, 2] uint64.
    """
    arrays, rows = file.arrays, len(file.arrays[0])
    row_bytes = sum(math.prod(array.shape[1:]) * array.dtype.itemsize for array in arrays)
    progress = Progress(f"import: check {arrays[0].where.split(': ')[0]}", rows, "rows")
    parts = []
    for part in saved_parts(saved, rows, row_bytes, lambda *ends: np.hstack([_measure(one, *ends) for one in arrays])):
        parts.append(part)
        progress.update(len(part))
    progress.close()
    return np.concatenate(parts)


def saved_parts(saved: Path, rows: int, row_bytes: int, make: Callable[[int, int], np.ndarray]) -> Iterator[np.ndarray]:
    """What `make` gives for the rows from one number up to another, each kept at `saved`-<number>.npy."""
    step = max(BLOCK_BYTES // row_bytes, 1)
    for start in range(0, rows, step):
        part = partial(make, start, min(start + step, rows))
        yield saved_array(saved.with_name(f"{saved.name}-{start:09d}.npy"), part)


def _measure(array: DiskArray, start: int, stop: int) -> np.ndarray:
    """[stop - start, rows of a window, 2] uint64."""
    block = array.rows(start, stop)
    flat = block.reshape(-1, block.shape[-1])
    norms = row_norms(flat)
    bad = np.flatnonzero(~(np.isfinite(norms) & (norms > SMALLEST_NORM)))
    if len(bad):
        row, position = divmod(int(bad[0]), len(flat) // len(block))
        at = array.place(start + row) + (f", position {position}" if block.ndim == 3 else "")
        finite = bool(np.isfinite(flat[bad[0]]).all())
        problem = "holds NaN or infinity" if not finite else "is zero" if norms[bad[0]] < 1 else "is too long"
        raise LvmError(f"{array.where}: {at}: {problem}; remove or repair the row")
    joined = b"".join([blake2b(row, digest_size=8).digest() for row in np.ascontiguousarray(flat)])
    not_unit = (np.abs(norms - 1) > UNIT_TOLERANCE[block.dtype.itemsize]).astype(np.uint64)
    return np.stack([np.frombuffer(joined, dtype=np.uint64), not_unit], axis=1).reshape(len(block), -1, 2)


def row_norms(rows: np.ndarray) -> np.ndarray:
    """[n] float64 norms of [n, D] rows of any float type; finite for any finite float16 and float32 row."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))


def _window_rows(
    name: str, files: Sequence[VectorFile], digests: np.ndarray, not_unit: np.ndarray, *, divide: bool
) -> SourceRows:
    of_file, inside_file = row_numbers(files)
    ids = [file.ids for file in files if file.ids]
    if ids:
        names, codes = np.unique(np.concatenate([known.article for known in ids]), return_inverse=True)
        target_index = np.concatenate([known.index for known in ids if known.index is not None])
        starts_foreign = np.concatenate([known.starts_foreign for known in ids if known.starts_foreign is not None])
        try:
            folded = fold_windows(digests, codes.astype(np.int64), target_index, starts_foreign, of_file)
        except FoldConflict as conflict:
            raise _conflict(conflict, files, of_file, inside_file, names) from None
        article_id, group = _piece_names(folded, names), names[folded.piece_article]
        folded.counts["articles_in_several_files"] = int((files_of_articles(codes, of_file) > 1).sum())
    else:
        folded = separate_windows(digests, divide=divide)
        windows = folded.piece_article
        numbers = zip(of_file[windows], inside_file[windows], strict=True)
        article_id = np.array([f"{files[number].name}:{window}" for number, window in numbers], object)
        group = folded.piece_group.astype(str).astype(object)
    inside, is_target = inside_file[folded.window], folded.slot == CONTEXT
    return SourceRows(
        name=name,
        form=files[0].form,
        arrays=[array for file in files for array in file.arrays],
        array=2 * of_file[folded.window] + is_target,
        row=np.where(is_target, inside, inside * CONTEXT + folded.slot),
        digest=digests[folded.window, folded.slot],
        piece=folded.piece,
        chunk_index=folded.chunk_index,
        article_id=article_id,
        title=article_id,
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


def _conflict(
    conflict: FoldConflict, files: Sequence[VectorFile], of_file: np.ndarray, inside: np.ndarray, names: np.ndarray
) -> LvmError:
    def where(window: int, slot: int) -> str:
        contexts, targets = files[of_file[window]].arrays
        row = int(inside[window])
        return row_name(targets, row) if slot == CONTEXT else row_name(contexts, row * CONTEXT + slot)

    return LvmError(
        f"{where(*conflict.first)} and {where(*conflict.second)} are both chunk {conflict.chunk_index} of article "
        f"{names[conflict.article]} but hold different vectors; one of them has a wrong id"
        f"{RENUMBER if of_file[conflict.first[0]] != of_file[conflict.second[0]] else ''}"
    )
