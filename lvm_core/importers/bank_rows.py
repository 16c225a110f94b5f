"""The rows of a source in the bank's order, and those of files that hold every chunk once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lvm_core.importers.arrays import DiskArray
from lvm_core.importers.vector_file import VectorFile
from lvm_core.runtime.errors import LvmError
from lvm_core.windows import CONTEXT


@dataclass(frozen=True)
class SourceRows:
    """What a source gives to the bank, row by row in the bank's order."""

    name: str
    """Of the source: the file's or folder's name without its suffix."""
    form: str
    """`windows`, `windows without ids`, `bank` or `documents`."""
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
    title: np.ndarray
    """[P] str, for people."""
    group: np.ndarray
    """[P] str: articles of a group must come into one split."""
    texts: np.ndarray | None
    """[R] str, or None."""
    counts: dict[str, Any]
    """What was read, dropped and changed; `left_out` by kind, with `examples`."""

    def where(self, row: int) -> str:
        """The file's name for a row of the bank."""
        return row_name(self.arrays[self.array[row]], int(self.row[row]))


def row_name(array: DiskArray, number: int) -> str:
    """The file's name for a row of an array's last axis."""
    if len(array.shape) == 2:
        return f"{array.where} {array.place(number)}"
    return f"{array.where} row {number // CONTEXT}, position {number % CONTEXT}"


def row_numbers(files: Sequence[VectorFile]) -> tuple[np.ndarray, np.ndarray]:
    """Of each row or window of several files, the number of its file and its number in that file."""
    sizes = [len(file.arrays[0]) for file in files]
    of_file = np.repeat(np.arange(len(files)), sizes)
    return of_file, np.arange(len(of_file)) - np.cumsum([0, *sizes])[of_file]


def bank_rows(name: str, files: Sequence[VectorFile], digests: np.ndarray, not_unit: np.ndarray) -> SourceRows:
    """The rows of a bank or of documents: by article, in the order of their indices or of the file."""
    of_file, inside = row_numbers(files)
    ids = [file.ids for file in files if file.ids]
    names, first_seen, codes = np.unique(
        np.concatenate([known.article for known in ids]), return_index=True, return_inverse=True
    )
    rank = np.argsort(np.argsort(first_seen))[codes]  # articles in the order of their first row
    _require_order(files, of_file, codes, names)
    positions = [known.index for known in ids if known.index is not None]
    if positions:
        chunk_index = np.concatenate(positions)
        order = np.lexsort((chunk_index, rank))
    else:
        order = np.argsort(rank, kind="stable")
        starts = np.flatnonzero(np.diff(rank[order], prepend=-1))
        chunk_index = np.empty(len(rank), dtype=np.int64)
        chunk_index[order] = np.arange(len(rank)) - np.repeat(starts, np.diff(np.append(starts, len(rank))))
    piece, index = rank[order], chunk_index[order]
    same_article = np.diff(piece) == 0
    repeated = np.flatnonzero(same_article & (np.diff(index) == 0))
    if len(repeated):
        pair = order[repeated[0] : repeated[0] + 2]
        rows = " and ".join(row_name(files[of_file[row]].arrays[0], int(inside[row])) for row in pair)
        article, chunk = names[codes[pair[0]]], chunk_index[pair[0]]
        where, numbered = files[of_file[pair[0]]].where_ids, RENUMBER if np.ptp(of_file[pair]) else ""
        raise LvmError(f"{where}: {rows} are both chunk {chunk} of article {article}; ids must not repeat{numbered}")
    article_id = names[np.argsort(first_seen)]
    texts = [text for file in files for text in (file.texts or [""] * len(file.arrays[0]))]
    titles = [title for file in files for title in (file.titles or [""] * len(file.arrays[0]))]
    title = np.array(titles, dtype=object)[np.sort(first_seen)]
    return SourceRows(
        name=name,
        form=files[0].form,
        arrays=[file.arrays[0] for file in files],
        array=of_file[order],
        row=inside[order],
        digest=digests[order, 0],
        piece=piece,
        chunk_index=index,
        article_id=article_id,
        title=np.where(title == "", article_id, title),
        group=article_id,
        texts=np.array(texts, dtype=object)[order] if any(file.texts for file in files) else None,
        counts={
            "rows": len(order),
            "rows_without_text": sum(not text.strip() for text in texts),
            "articles": len(names),
            "articles_without_windows": int((np.bincount(piece) <= CONTEXT).sum()),
            "articles_in_several_files": int((files_of_articles(codes, of_file) > 1).sum()),
            "index_gaps": int((same_article & (np.diff(index) > 1)).sum()),
            "rows_not_unit": int(not_unit.sum()),
        },
    )


RENUMBER = "; if each file numbers its articles from 0, give them ids that differ between files"


def files_of_articles(codes: np.ndarray, of_file: np.ndarray) -> np.ndarray:
    """[articles] in how many files each article is."""
    files = int(of_file.max(initial=0)) + 1
    return np.bincount(np.unique(codes * files + of_file) // files)


def _require_order(files: Sequence[VectorFile], of_file: np.ndarray, codes: np.ndarray, names: np.ndarray) -> None:
    """Make sure that the order of the rows of each article is known.

    All files have indices of chunks, or none has. With indices, an article may lie in any files; if several files
    number their articles from 0, two rows are the same chunk, which is refused elsewhere. Without, an article goes on
    only from the end of a file to the beginning of the next one in the same folder. (Where the last article of a file
    and the first one of the next are different articles of one number, nothing tells them from halves of an article;
    `articles_in_several_files` counts both.)
    """
    indexed = {file.ids.index is not None: file for file in files if file.ids}
    if len(indexed) == 2:
        raise LvmError(
            f"{indexed[False].where_ids}: has no indices of chunks, {indexed[True].where_ids} has them; give them to "
            "all files of a source or to none"
        )
    if True in indexed:
        return
    runs = np.bincount(codes[np.diff(codes, prepend=-1) != 0])
    for article in np.flatnonzero(files_of_articles(codes, of_file) > 1):
        holders = [files[number].path for number in np.unique(of_file[codes == article])]
        pair = f"{holders[0]} and {holders[1]}: article {names[article]} is in both"
        if runs[article] > 1:
            raise LvmError(
                f"{pair}, but does not go on from the end of one to the beginning of the other; give the rows indices "
                f"of chunks (chunk_index){RENUMBER}"
            )
        if len({path.parent for path in holders}) > 1:
            raise LvmError(f"{pair}, in folders whose order is not known; give the rows chunk_index")
