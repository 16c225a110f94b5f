"""Articles of a dump of Wikipedia, or of another wiki that runs on MediaWiki."""

from __future__ import annotations

import bz2
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from lvm_core.corpus import Document, Reading, Source
from lvm_core.corpus.packages import package_files
from lvm_core.corpus.wikitext import hidden_links, parse_wikipedia
from lvm_core.runtime.errors import LvmError, printable
from lvm_core.runtime.folders import refuse_pointer

WIKIPEDIA = "wikipedia"

DUMP = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"

_DUMP_NAME = re.compile(r"(?P<stem>.+)\.xml(?P<pages>-p\d+p\d+)?(?:\.(?:bz2|gz|zst))?", re.IGNORECASE)

DUMPS = ".xml, .xml.bz2, .xml.gz or .xml.zst"
"""Endings of the names of dumps."""

_WANTED = f"bring a dump of the kind pages-articles, as {DUMPS}"

LARGEST_PAGE = 1 << 25
"""Bytes of XML that one page may have; MediaWiki's own limit is 2 MiB of text."""

MOST_STEPS = 5_000_000
"""Brackets left open times characters. The parser tries each again to the end of the page: up to a few seconds."""

_HIDDEN_SPACES = ("6", "14", "-2")
"""Keys of the namespaces of files, categories and media, which each wiki calls by names of its own."""

_REDIRECT = re.compile(r"\s*#redirect\b", re.IGNORECASE)

_BRACKET = re.compile(
    r"\{\{|\}\}|\{\||\|\}(?!\})|\[\[|\]\]|\[(?=https?:|//)|\]|<!--|-->|(?P<end></[a-z]+)"
    r"|<(?!br|hr|li|p\b|d[dt]|t[rdh])(?P<name>[a-z]+)(?P<attributes>[^<>]*>?)|^(?P<run>[*#:;]{40,})",
    re.IGNORECASE | re.MULTILINE,
)
_CLOSES = {"{{": "}}", "{|": "|}", "[[": "]]", "[": "]", "<!--": "-->"}


def is_dump(path: Path) -> bool:
    """Whether a file has the name of a dump: `.xml`, also with `-p1p41242` after it, and `.bz2`, `.gz` or `.zst`."""
    return _DUMP_NAME.fullmatch(path.name) is not None


def read_wikipedia() -> Source:
    """The articles of the dump that the package gensim brings."""
    path = package_files("gensim", "4.4.0", "gensim/test/test_data", DUMP)[0]

    def read(reading: Reading) -> Iterator[Document]:
        try:
            yield from _documents(path, WIKIPEDIA, reading)
        except LvmError as error:
            remedy = "run `pip install --force-reinstall --no-deps gensim==4.4.0`"
            raise LvmError(f"gensim's {DUMP} is damaged ({error}); {remedy}") from error

    return Source(WIKIPEDIA, read, path.stat().st_size)


def read_dump(path: Path) -> Source:
    """The articles of a dump of the kind pages-articles, one at a time, in the dump's order.

    Articles are the pages of namespace 0 in wikitext that are no redirects; their ids are `<file's name without
    .xml.bz2>/<page id>`, of a page without an id its title. Of several revisions the newest is read. What is left out
    is counted.
    """
    if not path.is_file():
        raise LvmError(f"{path}: is not a regular file; name a dump, as enwiki-latest-pages-articles.xml.bz2")
    found = _DUMP_NAME.fullmatch(path.name)
    name = found["stem"] + (found["pages"] or "") if found else path.stem
    name = name.encode("utf-8", "replace").decode()  # a file name may hold what UTF-8 cannot

    def read(reading: Reading) -> Iterator[Document]:
        empty = True
        for document in _documents(path, name, reading):
            empty = False
            yield document
        if empty:
            kinds = ", ".join(f"{number} {kind}" for kind, number in reading.left_out.items()) or "no page"
            raise LvmError(f"{path}: holds no article ({kinds}); bring a dump of the kind pages-articles")

    return Source(name, read, path.stat().st_size, path.resolve())


def _documents(path: Path, name: str, reading: Reading) -> Iterator[Document]:
    """Every article; counts what is left out."""
    spaces, parse = set[str](), parse_wikipedia
    for element in _elements(path, reading):
        if _kind(element) == "siteinfo":
            found = [(space.get("key"), space.text) for space in element.iterfind("{*}namespaces/{*}namespace")]
            spaces = {text.casefold() for _, text in found if text}
            parse = partial(
                parse_wikipedia, hidden=hidden_links(text for key, text in found if key in _HIDDEN_SPACES and text)
            )
        else:
            title = element.findtext("{*}title") or ""
            text = element.findtext("{*}revision/{*}text") or ""
            if kind := _left_out(element, title, text, spaces):
                reading.leave_out(kind, title)
            else:
                page = element.findtext("{*}id") or title
                yield Document(f"{name}/{page}", title or page, text, parse)


def _left_out(page: ElementTree.Element, title: str, text: str, spaces: set[str]) -> str:
    """What a page that is no article is counted as; empty for an article."""
    # old dumps have no <ns>, no <redirect>, no <model>
    space = page.findtext("{*}ns") or ("other" if title.partition(":")[0].casefold() in spaces else "0")
    if space.strip() != "0":
        return "pages of other namespaces"
    if page.find("{*}redirect") is not None or _REDIRECT.match(text):
        return "redirects"
    if page.findtext("{*}revision/{*}model", "wikitext") != "wikitext":
        return "pages that are not wikitext"
    if not text.strip():
        return "pages without text"
    return "pages with too many open brackets" if _open_brackets(text) * len(text) > MOST_STEPS else ""


def _open_brackets(text: str) -> int:
    """About how many brackets, comments and elements are not closed where they should be."""
    awaited: list[str] = []
    open_now, missing = Counter[str](), 0
    for found in _BRACKET.finditer(text):
        mark = found[0].lower()
        if found["run"]:
            missing += len(mark)
        elif found["name"] or mark in _CLOSES:
            if mark.endswith("/>"):
                continue
            awaited.append(_CLOSES.get(mark) or f"</{found['name'].lower()}")
            open_now[awaited[-1]] += 1
            missing += bool(found["name"] and not mark.endswith(">"))
        elif open_now[mark]:
            while (last := awaited.pop()) != mark:
                open_now[last] -= 1
                missing += 1
            open_now[mark] -= 1
    return missing + len(awaited)


def _elements(path: Path, reading: Reading) -> Iterator[ElementTree.Element]:
    """What describes the wiki, and each page, complete; a page is freed before the next one."""
    root = page = None
    depth = 0
    for event, element in _events(path, reading):
        kind = _kind(element)
        if root is None:
            root = element
            if kind != "mediawiki":
                raise LvmError(
                    f"{path}: is XML, but no dump of a wiki (its root is {printable(element.tag)}); {_WANTED}"
                )
        if event == "start":
            depth += 1
            page = element if depth == 2 else page
            continue
        depth -= 1
        if depth == 2 and kind == "revision" and page is not None:
            _keep_newest(page, reading)
        elif depth == 1:
            if kind in {"siteinfo", "page"}:
                yield element
            root.clear()


def _events(path: Path, reading: Reading) -> Iterator[tuple[str, ElementTree.Element]]:
    """Starts and ends of the elements of a file; counts the bytes of the file."""
    before, held, inside = reading.done, 0, False
    try:
        with open(path, "rb") as raw, _decompressed(raw) as file:
            refuse_pointer(raw.peek(64)[:64], path)
            parser: Any = ElementTree.XMLPullParser(("start", "end"))
            while block := file.read(1 << 16):
                parser.feed(block)
                reading.done, held = before + raw.tell(), held + len(block)
                for event, element in parser.read_events():
                    inside = True
                    yield event, element
                    if event == "end" and _kind(element) in {"page", "revision"}:
                        held = 0
                if held > LARGEST_PAGE:
                    raise LvmError(f"{path}: has {held >> 20} MiB of XML without the end of a page; {_WANTED}")
            parser.close()
    except ElementTree.ParseError as error:
        if not inside:
            raise LvmError(f"{path}: is not XML ({printable(error)}); {_WANTED}") from error
        raise LvmError(f"{path}: is cut short or damaged ({printable(error)}); download it again") from error
    except (OSError, EOFError, ValueError, LookupError, zlib.error) as error:
        raise LvmError(
            f"{path}: cannot be read ({printable(error)}); make it readable, or download it again"
        ) from error


def _kind(element: ElementTree.Element) -> str:
    """An element's name without its namespace, which names the version of the schema."""
    return element.tag.rpartition("}")[2]


def _keep_newest(page: ElementTree.Element, reading: Reading) -> None:
    """Take all revisions but the newest out of a page."""
    revisions = page.findall("{*}revision")
    revisions.sort(key=lambda revision: revision.findtext("{*}timestamp") or "")
    for revision in revisions[:-1]:
        page.remove(revision)
        reading.leave_out("earlier revisions", page.findtext("{*}title") or "")


def _decompressed(raw: io.BufferedReader) -> Any:
    """The XML of an open file. Its first bytes say how it is compressed: a browser may unpack and keep the name."""
    start = raw.peek(4)
    if start.startswith(b"BZh"):
        return bz2.open(raw)
    if start.startswith(b"\x1f\x8b"):
        return gzip.open(raw)
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        import pyarrow as pa

        return pa.CompressedInputStream(pa.PythonFile(raw), "zstd")
    return raw
