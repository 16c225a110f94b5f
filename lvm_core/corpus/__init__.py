"""Text to chunks. Here: what every reader of texts hands over."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Article:
    """One article as prose."""

    id: str
    title: str
    paragraphs: list[str]
    """In order, markup removed."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Blocks that the reader left out, by kind: `code`, `table`, ...; `boilerplate` by the rules that it states."""


@dataclass(frozen=True)
class Document:
    """One article as its source stores it, not parsed yet: a run over a few articles must not parse them all."""

    id: str
    """Stable and unique, `<source>/<name in the source>`."""
    title: str
    """For people."""
    raw: str
    """The stored text, with its markup."""
    parse: Callable[[Document], Article]
    """What makes prose of it."""


@dataclass
class Reading:
    """What a pass over a source has read so far, and what it left out. The reader keeps it while it reads."""

    done: int = 0
    """Bytes of the source's files."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Files, rows or pages that gave no document, by kind, in words that the user understands (`redirects`)."""
    examples: dict[str, str] = field(default_factory=dict)
    """The first one of each kind, by name."""

    def leave_out(self, kind: str, name: str) -> None:
        """Count one."""
        self.left_out[kind] += 1
        self.examples.setdefault(kind, name)


@dataclass(frozen=True)
class Source:
    """A corpus."""

    name: str
    """Short, free of machine paths; the first part of every article id."""
    read: Callable[[Reading], Iterator[Document]]
    """Its documents in their natural order, one at a time; each call reads the files again."""
    size: int
    """Bytes of its files, for the progress."""
    place: Path | None = None
    """The user's file or folder; None for the text of a package."""

    def documents(self) -> list[Document]:
        """All of them in memory, for small sources."""
        return list(self.read(Reading()))


def parse_plain(document: Document) -> Article:
    """Blank-line paragraphs."""
    return Article(document.id, document.title, re.split(r"\n\s*\n", document.raw))


def keep_prose(document: Document, paragraphs: Iterable[str], boilerplate: re.Pattern[str]) -> Article:
    """The article of `document` without the paragraphs that are boilerplate of its source; counts those."""
    found = [paragraph for paragraph in paragraphs if paragraph.strip()]
    kept = [paragraph for paragraph in found if not boilerplate.search(paragraph)]
    return Article(document.id, document.title, kept, {"boilerplate": len(found) - len(kept)})
