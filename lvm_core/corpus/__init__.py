"""Text to chunks. Here: what every reader of texts hands over."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lvm_core.config.params import PARAMS_FILE
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.folders import LeftOut


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
class Reading(LeftOut):
    """What a pass over a source has read so far, and what it left out. The reader keeps it while it reads."""

    done: int = 0
    """Bytes of the source's files."""


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
        return list(self.checked(Reading(), set()))

    def checked(self, reading: Reading, ids: set[bytes], others: Collection[bytes] = ()) -> Iterator[Document]:
        """The same as `read`; refuses an id that is there twice, or is one of another source (`others`).

        `ids` takes the `id_key` of each.
        """
        for document in self.read(reading):
            key = id_key(document.id)
            if key in ids:
                place = self.place or self.name
                raise LvmError(f"{place}: the id {document.id!r} is there twice; give each article its own id")
            if key in others:
                raise LvmError(
                    f"{PARAMS_FILE}: data.train and data.ood share article ids, as {document.id!r}; rename one of the "
                    "two folders"
                )
            ids.add(key)
            yield document


def id_key(text: str) -> bytes:
    """12 bytes that tell ids apart: a million of them fit in memory. Spellings of accents in Unicode are one."""
    return short_hash(unicodedata.normalize("NFC", text))


def short_hash(text: str) -> bytes:
    """12 bytes; two of a billion texts have the same by chance once in 10^11 times."""
    return hashlib.blake2b(text.encode(), digest_size=12).digest()


def parse_plain(document: Document) -> Article:
    """Blank-line paragraphs."""
    return Article(document.id, document.title, re.split(r"\n\s*\n", document.raw))


def keep_prose(document: Document, paragraphs: Iterable[str], boilerplate: re.Pattern[str]) -> Article:
    """The article of `document` without the paragraphs that are boilerplate of its source; counts those."""
    found = [paragraph for paragraph in paragraphs if paragraph.strip()]
    kept = [paragraph for paragraph in found if not boilerplate.search(paragraph)]
    return Article(document.id, document.title, kept, {"boilerplate": len(found) - len(kept)})
