"""A folder of the user's own texts: .txt and .md are one article a file, .jsonl is one article a line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lvm_core.corpus import Document, Reading, Source, parse_plain
from lvm_core.corpus.markdown import parse_markdown
from lvm_core.runtime.errors import LvmError

SUFFIXES = (".jsonl", ".md", ".txt")


def read_folder(folder: Path) -> Source:
    """Every .txt, .md and .jsonl file under a folder, sorted by path; other and hidden files are passed over.

    Linked files are read, linked folders are not entered. An article's id is `<folder's name>/<path in it>`, for a
    line of .jsonl followed by `:<line number>`, or by `:<id>` where the line has one.
    """
    # resolve() so that "." and "texts/.." have a name too; only that name, never the machine's path, is stored
    source = folder.resolve()
    files = _files(folder)
    if not files:
        raise LvmError(f"{folder}: holds no article; put {', '.join(SUFFIXES)} files there (UTF-8)")

    def read(reading: Reading) -> Iterator[Document]:
        ids = set[str]()
        for path in files:
            for document in _documents(path, f"{source.name}/{path.relative_to(folder).as_posix()}"):
                if document.id in ids:
                    raise LvmError(f"{path}: the id {document.id!r} is there twice; give each article its own id")
                ids.add(document.id)
                yield document
            reading.done += path.stat().st_size
        if not ids:
            raise LvmError(f"{folder}: holds no article; put {', '.join(SUFFIXES)} files there (UTF-8)")

    return Source(source.name, read, sum(path.stat().st_size for path in files if path.is_file()), source)


def _files(folder: Path) -> list[Path]:
    def fail(error: OSError) -> None:
        raise LvmError(f"{error.filename}: cannot be read ({error.strerror}); make the folder readable")

    found = []
    for directory, subdirectories, names in os.walk(folder, onerror=fail):
        subdirectories[:] = [name for name in subdirectories if not name.startswith(".")]
        found += [Path(directory, name) for name in names if not name.startswith(".")]
    texts = [path for path in found if path.suffix.lower() in SUFFIXES and (path.is_symlink() or path.is_file())]
    return sorted(texts, key=lambda path: path.relative_to(folder).parts)


def _documents(path: Path, name: str) -> Iterator[Document]:
    _check_characters(name, f"{path!r}: its name")
    text = read_utf8(path)
    match path.suffix.lower():
        case ".jsonl":
            for number, line in enumerate(text.split("\n"), start=1):
                if line.strip():
                    yield _json_document(f"{path}:{number}", name, number, line)
        case ".md":
            yield Document(name, path.stem, text, parse_markdown)
        case _:
            yield Document(name, path.stem, text, parse_plain)


def read_utf8(path: Path) -> str:
    """Text of a UTF-8 file, with or without byte order mark, line ends as in Unix."""
    if path.exists() and not path.is_file():
        raise LvmError(f"{path}: is not a regular file; take it away")  # reading a pipe or a device might never end
    try:
        return path.read_bytes().decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise LvmError(f"{path}: cannot be read ({error.strerror}); make it readable or take it away") from error
    except UnicodeDecodeError as error:
        raise LvmError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8 or take it away") from error


def _json_document(where: str, name: str, number: int, line: str) -> Document:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise LvmError(f"{where}: is not valid json ({error}); write one object a line") from error
    if not isinstance(value, dict):
        raise LvmError(f'{where}: must be an object like {{"text": "...", "title": "..."}}')
    text = _json_field(value, "text", where)
    if text is None:
        raise LvmError(f'{where}: the field "text" is missing; write the article\'s text there')
    key = _json_field(value, "id", where) or str(number)
    title = _json_field(value, "title", where) or f"{Path(name).stem} {key}"
    return Document(f"{name}:{key}", title, text, parse_plain)


def _json_field(value: dict[str, Any], field: str, where: str) -> str | None:
    content = value.get(field)
    if content is not None and not isinstance(content, str):
        raise LvmError(f'{where}: the field "{field}" is {type(content).__name__}, must be a string')
    if content is not None:
        _check_characters(content, f'{where}: the field "{field}"')
    return content


def _check_characters(text: str, what: str) -> None:
    """Refuse half characters (lone surrogates), which json and file names can hold and UTF-8 cannot."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise LvmError(f"{what} holds a half character (a lone surrogate); correct it") from None
