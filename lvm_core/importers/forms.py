"""Files of vectors, opened by their kind: archives, arrays with a table beside them, tables of chunks or documents."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from lvm_core.config.data import DataParams
from lvm_core.importers.arrays import DiskArray, NpzFile, open_npy
from lvm_core.importers.ids import article_ids, most_text, texts, titles
from lvm_core.importers.npz import read_npz
from lvm_core.importers.parquet import batches, levels_of_lists, open_table, unpack_vectors
from lvm_core.importers.paths import ARROW
from lvm_core.importers.tables import (
    ROLES,
    VECTOR_COLUMNS,
    choose,
    choose_with_ids,
    named_column,
    read_id_table,
    read_table_columns,
)
from lvm_core.importers.vector_file import Ids, VectorFile, check_vectors, make_bank
from lvm_core.runtime.errors import LvmError, printable
from lvm_core.runtime.folders import LeftOut

SENTENCES = ("text_sentences", "sentences")
DOCUMENT_IDS = ("doc_id", "document_id", "id", "_id", "url")


def open_vector_file(path: Path, name: str, data: DataParams, unpack_to: Path, left_out: LeftOut) -> VectorFile | None:
    """Open an .npz, .npy (with ids in a .csv or .parquet of the same name beside it) or .parquet file.

    None, which is counted, for a table without rows: programs that write shards in parallel write such ones too.

    Args:
        path: of the file.
        name: of the file, for ids of articles that have none.
        data: its columns by name.
        unpack_to: folder for unpacked arrays.
        left_out: counts tables without rows and documents without vectors.
    """
    match path.suffix.lower():
        case ".npz":
            with closing(NpzFile(path, unpack_to)) as file:
                return read_npz(file, name, data)
        case ".npy":
            if data.vector_column is not None:
                raise LvmError(f"{path}: is one array without columns; set data.vector_column to null")
            vectors = check_vectors(open_npy(path), 2, "[N, D]")
            return make_bank(name, path, vectors, *read_id_table(path, data))
        case ".parquet":
            return _read_parquet(path, name, data, unpack_to, left_out)
    hint = " (Dataset.to_parquet)" if path.suffix.lower() in ARROW else ""
    raise LvmError(
        f"{path}: unknown kind of file; vectors come as .npz, as .npy with a .csv or .parquet, or as .parquet{hint}"
    )


def _read_parquet(path: Path, name: str, data: DataParams, unpack_to: Path, left_out: LeftOut) -> VectorFile | None:
    file = open_table(path)
    if not file.metadata.num_rows:
        left_out.leave_out("tables without rows", name)
        return None
    there, kinds = file.schema_arrow.names, file.schema_arrow.types
    named = named_column("vector", data, there, path)
    usual = [column for column in VECTOR_COLUMNS if column in there] if named is None else [named]
    lists = [column for column in usual if levels_of_lists(kinds[there.index(column)])]
    if not usual:
        wanted, columns = " or ".join(VECTOR_COLUMNS), printable(", ".join(there))
        raise LvmError(f"{path}: has no column of vectors; wanted: {wanted}; there are: {columns}")
    if not lists:
        kind = printable(kinds[there.index(usual[0])])
        raise LvmError(f"{path}: {usual[0]}: holds {kind}, need lists of float16, float32 or float64")
    if len(lists) > 1:
        raise LvmError(f"{path}: the columns {' and '.join(lists)} hold vectors; name one as data.vector_column")
    is_documents = levels_of_lists(kinds[there.index(lists[0])]) == 2
    chosen = {} if is_documents else choose_with_ids(there, data, path)  # first: unpacking takes long
    array, counts = unpack_vectors(file, path, lists[0], unpack_to)
    vectors = check_vectors(array, 2, "[N, D]")
    if is_documents:
        return _documents(file, name, path, data, vectors, counts, left_out)
    return make_bank(name, path, vectors, read_table_columns(file, chosen, path), path)


def _documents(
    file: Any, name: str, path: Path, data: DataParams, vectors: DiskArray, counts: np.ndarray, left_out: LeftOut
) -> VectorFile:
    """A table with a document in each row: a list of vectors and, if it is there, one of as many sentences."""
    there = file.schema_arrow.names
    key = next((key for key in DOCUMENT_IDS if key in there), None)
    chosen = choose(there, data, path, {role: ROLES[role] for role in ("article", "title")})
    chosen = ({"article": key} if key else {}) | chosen
    columns = read_table_columns(file, chosen, path)
    rows = np.arange(len(counts))
    ids = np.array([f"{name}:{row}" for row in rows], dtype=object)
    if "article" in columns:
        ids = article_ids(columns["article"].values, f"{path}: {chosen['article']}")
    for row in np.flatnonzero(counts == 0):
        left_out.leave_out("documents without vectors", f"{path} row {row}")
    of_vector = np.repeat(rows, counts)
    position = np.arange(len(of_vector)) - (np.cumsum(counts) - counts)[of_vector]
    said = titles(columns["title"].values, f"{path}: {chosen['title']}") if "title" in columns else None
    return VectorFile(
        name,
        path,
        "documents",
        [vectors],
        Ids(ids[of_vector], position),
        _sentences(file, path, data, counts, vectors.where),
        [said[row] for row in of_vector] if said else None,
        f"{path}: {chosen.get('article', 'rows')}",
    )


def _sentences(file: Any, path: Path, data: DataParams, counts: np.ndarray, where: str) -> list[str] | None:
    """The sentences of all documents, as many as vectors; None if no column of lists has a usual name."""
    import pyarrow as pa

    def holds_sentences(column: str) -> bool:
        inner = getattr(file.schema_arrow.field(column).type, "value_type", pa.null())
        inner = inner.value_type if pa.types.is_dictionary(inner) else inner
        return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner) or pa.types.is_string_view(inner))

    there = file.schema_arrow.names
    column = named_column("text", data, there, path) or next((name for name in SENTENCES if name in there), None)
    if column is not None and not holds_sentences(column):
        kind = printable(file.schema_arrow.field(column).type)
        raise LvmError(f"{path}: {column}: holds {kind}, need lists of sentences, one for each vector")
    if column is None:
        column = next((name for name in ("texts", "text") if name in there and holds_sentences(name)), None)
    if column is None:
        return None
    found: list[str] = []
    row, most = 0, most_text(path)
    for batch in batches(file, path, column, 100):
        for sentences in batch.to_pylist():
            if len(sentences or ()) != counts[row]:
                raise LvmError(
                    f"{path}: {column}: row {row}: has {len(sentences or ())} sentences, {where} {counts[row]} "
                    "vectors; they must agree"
                )
            found += texts(sentences or (), f"{path}: {column}: row {row}", most)
            most -= sum(map(len, found[len(found) - counts[row] :]))
            row += 1
    return found
