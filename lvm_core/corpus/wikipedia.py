"""Articles of a dump of Wikipedia."""

from __future__ import annotations

import bz2
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from lvm_core.corpus import Article, Document, Source, keep_prose
from lvm_core.corpus.packages import package_files
from lvm_core.runtime.errors import LvmError

WIKIPEDIA = "wikipedia"

DUMP = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"

# Sections of lists and citations: left out with everything below them.
_TAIL_SECTION = re.compile(
    r"external links|see also|further reading|gallery|publications|filmography|discography|works cited|citations"
    r"|(?:(?:general|selected|primary|secondary|explanatory|and|notes|footnotes|references|bibliography|sources) ?)+",
    re.IGNORECASE,
)

_HIDDEN_TAG = re.compile(
    "ref|references|table|gallery|math|chem|score|timeline|imagemap|syntaxhighlight|source|code|pre|hiero|style"
)

_HIDDEN_LINKS = re.compile(r"\s*:?\s*(file|image|category|media|wikt|wiktionary|[a-z]{2,3})\s*:", re.IGNORECASE)

# Marks put into the text while it is flattened; neither occurs in XML text.
_LIST, _HEADING = "\x02", "\x01"

# A list item, anything with markup left in it, the line that opens a disambiguation list.
_WIKI_BOILERPLATE = re.compile(
    rf"^{_LIST}|\[\[|\]\]|\{{\{{|\}}\}}|\{{\||\|\}}|^\||==|</?\w+[^>]*>|\|thumb|may (also )?refer to:?$", re.IGNORECASE
)

_TEMPLATE_TEXT: dict[str, Callable[[list[str]], str]] = {
    **dict.fromkeys(
        ("nowrap", "nobreak", "angle bracket", "quote", "quotation", "blockquote"), lambda args: args[0] if args else ""
    ),
    **dict.fromkeys(("convert", "cvt"), lambda args: " ".join(args[:2])),
    **dict.fromkeys(("circa", "c."), lambda args: " ".join(["c.", *args[:1]])),
    **dict.fromkeys(("snd", "spaced ndash"), lambda args: " – "),
    "lang": lambda args: args[1] if len(args) > 1 else "",
    "transl": lambda args: args[-1] if args else "",
    "ndash": lambda args: "–",
    "mdash": lambda args: "—",
}
"""Inline templates whose arguments are part of the sentence; every other template is left out."""


def read_wikipedia() -> Source:
    """The articles of the dump: namespace 0, no redirects, in the dump's order."""
    path = package_files("gensim", "4.4.0", "gensim/test/test_data", DUMP)[0]
    size = path.stat().st_size
    try:
        documents = [
            Document(f"{WIKIPEDIA}/{page}", title, text, parse_wikipedia) for page, title, text in _pages(path)
        ]
    except (OSError, EOFError, ElementTree.ParseError) as error:
        raise LvmError(
            f"gensim's {DUMP} is damaged ({error}); run `pip install --force-reinstall --no-deps gensim==4.4.0`"
        ) from error
    return Source(WIKIPEDIA, lambda reading: iter(documents), size)


def _pages(path: Path) -> Iterator[tuple[str, str, str]]:
    """Page id, title and wikitext of every article; each page is freed before the next one is read."""
    with bz2.open(path) as file:
        for _, element in ElementTree.iterparse(file):
            if element.tag.rpartition("}")[2] != "page":
                continue
            if element.findtext("{*}ns") == "0" and element.find("{*}redirect") is None:
                text = element.findtext("{*}revision/{*}text") or ""
                yield element.findtext("{*}id") or "", element.findtext("{*}title") or "", text
            element.clear()


def parse_wikipedia(document: Document) -> Article:
    """Wikitext to paragraphs: no templates, tables, references, files, categories, headings or tail sections.

    Left out and counted as boilerplate: list items, and paragraphs in which markup is left.
    """
    import mwparserfromhell

    return keep_prose(document, _paragraphs(_flatten(mwparserfromhell.parse(document.raw))), _WIKI_BOILERPLATE)


def _flatten(code: Any) -> str:
    """The visible text of parsed wikitext, with list items and headings marked."""
    return "".join(_node_text(node) for node in code.nodes)


def _node_text(node: Any) -> str:
    from mwparserfromhell import nodes

    match node:
        case nodes.Text():
            return str(node.value)
        case nodes.HTMLEntity():
            return str(node.normalize())
        case nodes.Wikilink():
            return "" if _HIDDEN_LINKS.match(str(node.title)) else _flatten(node.text or node.title)
        case nodes.ExternalLink():
            return _flatten(node.title) if node.title else ""
        case nodes.Heading():
            return f"\n\n{_HEADING}{node.level}{_flatten(node.title).strip()}\n\n"
        case nodes.Template():
            return _template_text(node)
        case nodes.Tag():
            return _tag_text(node)
    return ""  # comments, arguments


def _tag_text(tag: Any) -> str:
    name = str(tag.tag).strip().lower()
    if _HIDDEN_TAG.fullmatch(name):
        return ""
    if name in {"li", "dt", "dd"} and tag.wiki_markup:
        return _LIST
    if name in {"br", "hr"}:
        return " "
    return _flatten(tag.contents) if tag.contents else ""


def _template_text(template: Any) -> str:
    name = str(template.name).strip().lower()
    to_text = _TEMPLATE_TEXT.get("lang" if name.startswith("lang-") else name)
    if to_text is None:
        return ""
    arguments = [_flatten(argument.value).strip() for argument in template.params if not argument.showkey]
    return to_text(["", *arguments] if name.startswith("lang-") else arguments)


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs of flattened wikitext; list items stand alone and keep their mark; tail sections are skipped."""
    skipping = 0  # level of the tail section that we are in
    for block in re.split(r"\n\s*\n", text):
        block = block.strip("\n ")
        if block.startswith(_HEADING):
            level, title = int(block[1]), block[2:].strip()
            if not skipping or level <= skipping:
                skipping = level if _TAIL_SECTION.fullmatch(title) else 0
        elif not skipping:
            yield from map(_tidy, _join_lines(block))


def _join_lines(block: str) -> Iterator[str]:
    """Lines of one paragraph joined, list items apart."""
    prose: list[str] = []
    for line in block.split("\n"):
        if line.startswith(_LIST):
            yield line
        else:
            prose.append(line)
    yield " ".join(prose)


def _tidy(text: str) -> str:
    """Take out stray quote marks of italics, and close the holes that removed templates and formulas leave."""
    text = " ".join(re.sub(r"'{2,}", "", text).split())
    text = re.sub(r"\(\s*[;,:]*\s+|\(\s*[;,:]+", "(", text)
    text = re.sub(r"\s*[;,]\s*\)|\s+\)", ")", text)
    text = re.sub(r"\s*(\(\s*\)|\[\s*\])", "", text)
    text = re.sub(r"\s+([,.;:!?])(?=\s|$)", r"\1", text)
    return re.sub(r",(\s*,)+", ",", text)
