"""Columns of foreign tables by what they mean; a table is a .csv or .parquet beside an .npy file, or a .parquet."""

from __future__ import annotations

import codecs
import csv
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lvm_core.config.data import DataParams
from lvm_core.config.params import PARAMS_FILE
from lvm_core.importers.arrays import Values
from lvm_core.importers.parquet import levels_of_lists, open_table, read_columns
from lvm_core.importers.paths import tables_beside
from lvm_core.runtime.errors import LvmError, open_regular_file, printable, readable

ROLES: dict[str, tuple[str, ...]] = {
    "article": ("article_id", "article_ids", "article_index", "article_indices"),
    "chunk": ("chunk_index", "chunk_indices", "seq_idx"),
    "text": ("text", "texts", "concept_texts"),
    "title": ("title", "titles"),
}
"""What a column may mean, and the usual names of such columns."""

VECTOR_COLUMNS = ("vector", "embedding", "vectors", "embeddings", "X", "text_sentences_sonar_emb")
"""Usual names of columns of vectors."""

PARAMETERS = {"article": "id_column", "text": "text_column", "title": "title_column", "vector": "vector_column"}
"""Parameter of the group `data` that names the column of each meaning."""

SEPARATORS = ",;\t|"


class Column(NamedTuple):
    """A column or member of a foreign file."""

    name: str
    values: Values


def named_column(role: str, data: DataParams, there: Sequence[str], where: object) -> str | None:
    """The column that params.yaml names for a meaning; None where it names none. Refused if it is not there."""
    parameter = PARAMETERS.get(role, "")
    wanted: str | None = getattr(data, parameter, None)
    if wanted is not None and wanted not in there:
        columns = printable(", ".join(there) or "none")
        raise LvmError(
            f"{where}: has no column {wanted!r}, which data.{parameter} in {PARAMS_FILE} names; there are: {columns}"
        )
    return wanted


def choose(
    there: Sequence[str], data: DataParams, where: object, roles: Mapping[str, tuple[str, ...]] = ROLES
) -> dict[str, str]:
    """Name of the column of each meaning: of params.yaml, or a usual one without regard to case and blanks around it.

    Raises:
        LvmError: a column that is named is not there, or two columns have usual names of one meaning.
    """
    chosen: dict[str, str] = {}
    for role, usual in roles.items():
        named = named_column(role, data, there, where)
        found = [named] if named is not None else [name for name in there if name.strip().lower() in usual]
        if len(found) > 1:
            pair = " and ".join(map(printable, found[:2]))
            choice = f", or name one as data.{PARAMETERS[role]}" if role in PARAMETERS else ""
            raise LvmError(f"{where}: the columns {pair} mean the same; remove one{choice}")
        if found:
            chosen[role] = found[0]
    return chosen


def choose_with_ids(there: Sequence[str], data: DataParams, where: object) -> dict[str, str]:
    """`choose`; refused without ids of articles."""
    chosen = choose(there, data, where)
    if "article" not in chosen:
        raise LvmError(
            f"{where}: has no ids of articles; wanted: a column article_id, or one that data.id_column names; there "
            f"are: {printable(', '.join(there))}"
        )
    return chosen


def read_id_table(vectors: Path, data: DataParams) -> tuple[dict[str, Column], Path]:
    """The columns, by meaning, of the .csv or .parquet of the same name beside an .npy file, and its path."""
    found = tables_beside(vectors)
    if len(found) != 1:
        names = " or ".join(map(str, found or [vectors.with_suffix(suffix) for suffix in (".csv", ".parquet")]))
        problem = "both are there, remove one" if found else "neither is there"
        raise LvmError(f"{vectors}: needs the ids of its rows in {names}; {problem}")
    path = found[0]
    if path.suffix.lower() == ".csv":
        return _read_csv(path, data), path
    file = open_table(path)
    for name, kind in zip(file.schema_arrow.names, file.schema_arrow.types, strict=True):
        if name in VECTOR_COLUMNS and levels_of_lists(kind):
            raise LvmError(
                f"{path}: {name}: holds vectors, and so does {vectors}, whose ids it has; remove one of them"
            )
    return read_table_columns(file, choose_with_ids(file.schema_arrow.names, data, path), path), path


def read_table_columns(file: object, chosen: Mapping[str, str], path: Path) -> dict[str, Column]:
    """Columns of a .parquet file by meaning; a null only in texts and titles."""
    values = read_columns(file, list(chosen.values()), path)
    for role, name in chosen.items():
        if role not in ("text", "title") and isinstance(values[name], list) and None in values[name]:
            raise LvmError(f"{path}: {name}: row {list(values[name]).index(None)}: is null")
    return {role: Column(name, values[name]) for role, name in chosen.items()}


def _read_csv(path: Path, data: DataParams) -> dict[str, Column]:
    """Read a .csv in UTF-8, or in UTF-16 with its mark; the separator is the one that splits the header into names."""
    csv.field_size_limit(sys.maxsize)  # a text may be long
    with open_regular_file(path) as file:
        start = file.read(2)
    wide = start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    with readable(str(path)), open(path, newline="", encoding="utf-16" if wide else "utf-8-sig") as lines:
        try:
            header, separator = _header(lines, data)
            records = [fields for fields in _records(lines, separator) if fields]
        except UnicodeDecodeError as error:
            coding = "UTF-16" if wide else "UTF-8"
            raise LvmError(f"{path}: byte {error.start} is not {coding}; save the file as UTF-8") from None
        except csv.Error as error:
            raise ValueError(str(error)) from error
        for number, fields in enumerate(records, start=1):
            if len(fields) != len(header):
                problem = f"record {number} has {len(fields)} fields, the header {len(header)}"
                raise LvmError(f"{path}: {problem}; put texts that hold the separator {separator!r} into quotes")
    columns = {}
    for role, name in choose_with_ids(header, data, path).items():
        if header.count(name) > 1:
            raise LvmError(f"{path}: has two columns of the name {printable(name)}; remove one")
        values = [fields[header.index(name)] for fields in records]
        values = [value.strip() for value in values] if role == "article" else values
        columns[role] = Column(name, [_number(value) for value in values] if role == "chunk" else values)
    return columns


def _records(lines: Iterable[str], separator: str) -> Iterable[list[str]]:
    return csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)


def _header(lines: Iterable[str], data: DataParams) -> tuple[list[str], str]:
    """Names of the columns, and the separator that makes the most known names of the first line."""
    first = next((line for line in lines if line.strip()), "")
    if said := re.fullmatch(r'"?sep=(.)"?\s*', first):  # spreadsheets write it
        return next((fields for fields in _records(lines, said[1]) if fields), []), said[1]
    known = {name for names in ROLES.values() for name in names}
    known |= {named for key in PARAMETERS.values() if (named := getattr(data, key))}
    ways = [(next(iter(_records([first], separator)), []), separator) for separator in SEPARATORS]
    return max(ways, key=lambda way: sum(name in known or name.strip().lower() in known for name in way[0]))


def _number(value: str) -> int | str:
    """A whole number if the text is one, 3.0 too; else the text, which the check of indices will name."""
    found = re.fullmatch(r"\s*([+-]?[0-9]{1,40})(\.0*)?\s*", value)
    return int(found[1]) if found else value
