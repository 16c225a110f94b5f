"""The user's own texts: a file, or a folder of them. What is read by which ending, and what is passed over."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lvm_core.corpus import Article, Document, Reading, Source, parse_plain
from lvm_core.corpus.decode import OPENERS, check_characters, clean_text, read_lines, read_text
from lvm_core.corpus.fields import Fields, is_missing, label
from lvm_core.corpus.markdown import parse_markdown
from lvm_core.corpus.tables import INFO, NULLS, SPLITS, STATE, read_table, require_splits, same_fields, saved_files
from lvm_core.corpus.wikipedia import is_dump
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.folders import LeftOut, visible_files

TEXTS: dict[str, Callable[[Document], Article]] = {
    **dict.fromkeys((".txt", ".text"), parse_plain),
    **dict.fromkeys((".md", ".markdown"), parse_markdown),
}
"""Files that are one article each."""

LINES, TABLES = (".jsonl", ".ndjson"), (".parquet", ".arrow")
"""Files that are one article a line, or a row."""

SUFFIXES = (*TEXTS, *LINES, *TABLES)

CARDS = "dataset cards"

EMPTY = f"put {', '.join(SUFFIXES)} files there (or those of text with {', '.join(OPENERS)})"


def kind_of(path: Path) -> str:
    """The ending of `SUFFIXES` by which a file is read, whatever its case and compression; "" if there is none."""
    suffix = path.suffix.lower()
    if suffix in OPENERS:
        suffix = Path(path.stem).suffix.lower()
        # published collections of json lines are called so; a plain .json is mostly something else
        suffix = ".jsonl" if suffix == ".json" else "" if suffix in TABLES else suffix
    return suffix if suffix in SUFFIXES else ""


def read_folder(place: Path, key: str = "data.train", fields: Fields | None = None) -> Source:
    """All texts of a folder, sorted by path with numbers in their order; or a file.

    Linked files are read; a linked folder is refused. What is passed over is counted. An article's id is
    `<folder's name>/<path in it>`, for a line or row followed by `:<its id>` where it has one, else by its number.
    """
    wanted = fields or Fields()
    # resolve() so that "." and "texts/.." have a name too; only that name, never the machine's path, is stored
    source = place.resolve()
    files, left_out = ([place], LeftOut()) if place.is_file() else _files(place, key)
    names = {path: source.name if path == place else f"{source.name}/{_inside(path, place)}" for path in files}
    for path, name in names.items():
        check_characters(name, f"{path!r}: its name")
    if not files:
        dump = next((path for path in sorted(place.rglob("*")) if is_dump(path)), None)
        remedy = f"name the dump itself as {key}, {dump}" if dump else EMPTY
        raise LvmError(f"{place}: holds no article{f' (but {left_out.said()})' if left_out.left_out else ''}; {remedy}")
    tables = [path for path in files if kind_of(path) in TABLES]

    def read(reading: Reading) -> Iterator[Document]:
        reading.left_out += left_out.left_out
        reading.examples |= left_out.examples
        columns, any_read = same_fields(tables, wanted), False
        for path in files:
            end = reading.done + (path.stat().st_size if path.is_file() else 0)
            for document in _documents(path, names[path], wanted, columns, reading):
                any_read = True
                yield document
            reading.done = end
        if not any_read:
            nulls = f" ({reading.left_out[NULLS]:,} {NULLS})" if reading.left_out[NULLS] else ""
            raise LvmError(f"{place}: holds no article{nulls}; {EMPTY}")

    return Source(source.name, read, sum(path.stat().st_size for path in files if path.is_file()), source)


def _files(folder: Path, key: str) -> tuple[list[Path], LeftOut]:
    """The files to read, and what is passed over."""
    left_out, names = LeftOut(), dict[Path, set[str]]()
    there = visible_files(folder, key, left_out)
    for path in there:
        names.setdefault(path.parent, set()).add(path.name)
    # files of a saved dataset that say what it is, and those that hold its rows
    own, rows = set[Path](), dict[Path, list[str]]()
    for here in names:
        if {STATE, INFO} <= names[here]:
            own |= {here / STATE, here / INFO}
            rows[here] = saved_files(here)
        elif SPLITS in names[here]:
            own.add(here / SPLITS)
            require_splits(here)
    found, others = list[Path](), list[str]()
    for path in there:
        wanted = path.name in rows[path.parent] if path.parent in rows else kind_of(path)
        if wanted and (path.is_symlink() or path.is_file()):
            found.append(path)
        elif path not in own:
            others.append(_inside(path, folder))
    left_out.leave_out_others(others)
    if any(kind_of(path) in TABLES for path in found):  # what hubs show of a collection is not one of its texts
        for card in [path for path in found if path.parent == folder and path.name.lower() == "readme.md"]:
            left_out.leave_out(CARDS, card.name)
            found.remove(card)
    _require_distinct(found)
    return found, left_out


def _require_distinct(paths: list[Path]) -> None:
    """Refuse two paths that are one on a Mac, which keeps é as two characters: they would be one article twice."""
    seen: dict[str, Path] = {}
    for path in paths:
        other = seen.setdefault(unicodedata.normalize("NFC", str(path)), path)
        if other is not path:
            raise LvmError(f"{path}: its name is there twice, with accents in two spellings of Unicode; remove one")


def _inside(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path != folder else path.name


def _documents(path: Path, name: str, wanted: Fields, columns: Fields, reading: Reading) -> Iterator[Document]:
    kind = kind_of(path)
    if kind in TABLES:
        yield from read_table(path, name, columns, reading)
    elif kind in LINES:
        for number, line in read_lines(path, reading):
            document = _json_document(f"{path}:{number}", name, number, line, wanted)
            if document:
                yield document
            else:
                reading.leave_out(NULLS, f"{path.name}:{number}")
    else:
        yield Document(name, _stem(path), read_text(path), TEXTS[kind])


def _stem(path: Path) -> str:
    return Path(path.stem).stem if path.suffix.lower() in OPENERS else path.stem


def _json_document(where: str, name: str, number: int, line: str, wanted: Fields) -> Document | None:
    """The article of a line; None where its text is null."""
    try:
        value = json.loads(line.removeprefix("\ufeff"), object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise LvmError(f"{where}: is not valid json ({error}); write one object a line") from error
    if not isinstance(value, dict):
        raise LvmError(f'{where}: must be an object like {{"text": "...", "title": "..."}}')
    fields = wanted.choose(value, where)
    text = value[fields.text]
    if is_missing(text):
        return None
    if not isinstance(text, str):
        problem = f'the field "{fields.text}" is {type(text).__name__}, must be a string'
        raise LvmError(f"{where}: {problem}; correct it, or name another as data.text_column")
    check_characters(text, f'{where}: the field "{fields.text}"')
    key = _label(value, fields.id, where, "id") or str(number)
    title = _label(value, fields.title, where, "title") or f"{_stem(Path(name))} {key}"
    return Document(f"{name}:{key}", title, clean_text(text), parse_plain)


def _label(value: dict[str, Any], field: str | None, where: str, kind: str) -> str | None:
    return label(value[field], f'{where}: the field "{field}"', kind) if field else None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A json object whose fields differ: of two of one name Python would keep the last."""
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a field is there twice")
    return value
