"""Text to chunks. Here: what every reader hands over, and the reader of a folder of the user's own texts.

Of those, .txt and .md are one article a file, .jsonl is one article a line.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lvm_core.runtime.errors import LvmError


@dataclass(frozen=True)
class Document:
    """One article as its source stores it, not parsed yet."""

    id: str
    """Stable and unique, `<source>/<name in the source>`."""
    title: str
    """For people."""
    raw: str
    """The stored text, with its markup."""


@dataclass(frozen=True)
class Article:
    """One article as prose."""

    id: str
    title: str
    paragraphs: list[str]
    """In order, markup removed."""
    boilerplate: int = 0
    """Number of paragraphs that the reader left out, by the rules it states."""


@dataclass(frozen=True)
class Source:
    """A corpus: its documents in their natural order, and how one of them is parsed.

    Reading is apart from parsing, because a run over a few articles must not parse them all.
    """

    name: str
    """Short, free of machine paths; the first part of every article id."""
    documents: list[Document]
    """In their natural order."""
    parse: Callable[[Document], Article]
    folder: Path | None = None
    """Where it lies, when it is a folder of the user's."""


SUFFIXES = (".jsonl", ".md", ".txt")

_FRONT_MATTER = re.compile(r"\A---\n.*?\n---(?:\n|\Z)", re.DOTALL)
_FENCE = re.compile(r"^ {0,3}(```+|~~~+).*?(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.*)$", re.MULTILINE)
_LINE_MARK = re.compile(r"^[ \t]*(?:>[ \t]?|[-*+][ \t]+|\d+[.)][ \t]+)+|^[ \t]*[-=*_]{3,}[ \t]*$", re.MULTILINE)
# Bounded, because a text of opening brackets alone would take for ever.
_IMAGE = re.compile(r"!\[[^\]]{0,1000}+\]\([^)]{0,2000}+\)")
_LINK = re.compile(r"\[([^\]]{0,1000}+)\]\([^)]{0,2000}+\)")
_EMPHASIS = re.compile(r"(\*\*|__|`|(?<!\w)[*_](?=\S)|(?<=\S)[*_](?!\w))")


def read_folder(folder: Path) -> Source:
    """Every .txt, .md and .jsonl file under a folder, sorted by path; other and hidden files are passed over.

    Linked files are read, linked folders are not entered. An article's id is `<folder's name>/<path in it>`, for a
    line of .jsonl followed by `:<line number>`, or by `:<id>` where the line has one.
    """
    # resolve() so that "." and "texts/.." have a name too; only that name, never the machine's path, is stored
    source = folder.resolve()
    documents: dict[str, Document] = {}
    for path in _files(folder):
        name = f"{source.name}/{path.relative_to(folder).as_posix()}"
        for document in _documents(path, name):
            if document.id in documents:
                raise LvmError(f"{path}: the id {document.id!r} is there twice; give each article its own id")
            documents[document.id] = document
    if not documents:
        raise LvmError(f"{folder}: holds no article; put {', '.join(SUFFIXES)} files there (UTF-8)")
    return Source(source.name, list(documents.values()), parse_plain, source)


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
            yield _markdown_document(name, path.stem, text)
        case _:
            yield Document(name, path.stem, text)


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
    return Document(f"{name}:{key}", title, text)


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


def _markdown_document(name: str, stem: str, text: str) -> Document:
    """Markdown to plain paragraphs: no front matter, code blocks, comments, images; the first heading is the title."""
    text = _without_comments(_FENCE.sub("", _FRONT_MATTER.sub("", text)))
    text = _IMAGE.sub("", text)
    first = _HEADING.search(text)
    if first:
        text = text[: first.start()] + text[first.end() :]
    text = _HEADING.sub(lambda heading: f"\n{_heading(heading[1])}\n", text)
    return Document(name, (first and _inline(_heading(first[1]))) or stem, _inline(_LINE_MARK.sub("", text)))


def _without_comments(text: str) -> str:
    """Without `<!-- ... -->`; one that is never closed is text."""
    kept, at = [], 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        kept.append(text[at:start])
        at = end + 3
    return "".join([*kept, text[at:]])


def _heading(text: str) -> str:
    """A heading's words, without the closing `#` that Markdown allows."""
    return text.rstrip(" \t").rstrip("#").rstrip(" \t")


def _inline(text: str) -> str:
    return _EMPHASIS.sub("", _LINK.sub(r"\1", text)).strip()


def parse_plain(document: Document) -> Article:
    """Blank-line paragraphs."""
    return Article(document.id, document.title, re.split(r"\n\s*\n", document.raw))
