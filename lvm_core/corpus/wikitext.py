"""Wikitext to prose."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from lvm_core.corpus import Article, Document, keep_prose

# Sections of lists and citations, in the languages of the largest wikis: left out with everything below them.
_TAIL_SECTION = re.compile(
    r"external links|see also|further reading|gallery|publications|filmography|discography|works cited|citations"
    r"|(?:(?:general|selected|primary|secondary|explanatory|and|notes|footnotes|references|bibliography|sources) ?)+"
    r"|einzelnachweise|weblinks|siehe auch|literatur|quellen|anmerkungen|fußnoten"
    r"|liens externes|voir aussi|articles connexes|bibliographie|(?:notes et )?références|notes"
    r"|enlaces externos|véase también|bibliografía|(?:notas y )?referencias"
    r"|collegamenti esterni|voci correlate|altri progetti|bibliografia|note"
    r"|ligações externas|ver também|(?:notas e )?referências|notas"
    r"|externe links|zie ook|literatuur|bronnen|przypisy|linki zewnętrzne|zobacz też|uwagi"
    r"|externa länkar|se även|referenser|källor|noter|litteratur|kaynakça|dış bağlantılar|ayrıca bakınız"
    r"|примечания|ссылки|см\. также|литература|источники|примітки|посилання|див\. також|література|джерела"
    r"|脚注|出典|注釈|参考文献|外部リンク|関連項目|參考文獻|参考资料|參考資料|外部链接|外部連結|参见|參見|注释|註釋"
    r"|각주|외부 링크|같이 보기|참고 문헌|مراجع|المراجع|وصلات خارجية|انظر أيضا|انظر أيضًا",
    re.IGNORECASE,
)

_HIDDEN_TAGS = {
    **dict.fromkeys(("ref", "references"), "reference"),
    **dict.fromkeys(("math", "chem"), "formula"),
    **dict.fromkeys(("syntaxhighlight", "source", "code", "pre"), "code"),
    **dict.fromkeys(("gallery", "score", "timeline", "imagemap", "hiero", "style"), "graphic"),
    "table": "table",
}
"""What an element that is left out with its content is counted as."""

_HIDDEN_NODES = {"ExternalLink": "link without words", "Comment": "comment", "Argument": "template"}
"""Parts that show nothing, or an address alone, likewise."""

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


def hidden_links(names: Iterable[str]) -> re.Pattern[str]:
    """Matches the title of a link that shows nothing in the text: a file, a category, another language's article.

    `names` are what a wiki calls those namespaces, beside the English names.
    """
    spaces = "|".join(re.escape(name).replace(r"\ ", "[ _]") for name in names)
    language = "(?-i:[a-z]{2,3}|[a-z]{2,3}-[a-z-]+)"  # in small letters, unlike `CSI: Miami`
    return re.compile(
        rf"\s*:?\s*(?:file|image|category|media|wikt|wiktionary|{language}{spaces and '|' + spaces})\s*:"
        r"|[^:]+:.+\.(?:jpe?g|png|gif|svg|tiff?|webp|og[gva]|webm|pdf|djvu)\s*$",  # by a name that wikis also know
        re.IGNORECASE,
    )


_HIDDEN_LINKS = hidden_links(())


def parse_wikipedia(document: Document, hidden: re.Pattern[str] = _HIDDEN_LINKS) -> Article:
    """Wikitext to paragraphs: no templates, tables, references, files, categories, addresses, headings or tail
    sections.
    `hidden` matches the titles of links that show nothing. All of these are counted by kind; as boilerplate list items,
    and paragraphs in which markup is left.
    """
    import mwparserfromhell

    left_out = Counter[str]()
    text = _Flattener(hidden, left_out).text(mwparserfromhell.parse(document.raw))
    article = keep_prose(document, _paragraphs(text, left_out), _WIKI_BOILERPLATE)
    return replace(article, left_out={**article.left_out, **left_out})


@dataclass(frozen=True)
class _Flattener:
    """Makes the visible text of parsed wikitext, with list items and headings marked; counts what it leaves out."""

    hidden: re.Pattern[str]
    left_out: Counter[str]

    def text(self, code: Any) -> str:
        return "".join(map(self._node, code.nodes))

    def _node(self, node: Any) -> str:
        from mwparserfromhell import nodes

        match node:
            case nodes.Text():
                return str(node.value)
            case nodes.HTMLEntity():
                return str(node.normalize())
            case nodes.Wikilink():
                if self.hidden.match(str(node.title)):
                    self.left_out["hidden link"] += 1
                    return ""
                return self.text(node.text or node.title)
            case nodes.ExternalLink() if node.title:
                return self.text(node.title)
            case nodes.ExternalLink() | nodes.Comment() | nodes.Argument():
                self.left_out[_HIDDEN_NODES[type(node).__name__]] += 1
                return ""
            case nodes.Heading():
                return f"\n\n{_HEADING}{node.level}{self.text(node.title).strip()}\n\n"
            case nodes.Template():
                return self._template(node)
            case nodes.Tag():
                return self._tag(node)
        raise TypeError(f"a part of wikitext of an unknown kind, {type(node).__name__}")

    def _tag(self, tag: Any) -> str:
        name = str(tag.tag).strip().lower()
        if kind := _HIDDEN_TAGS.get(name):
            self.left_out[kind] += 1
            return ""
        if name in {"li", "dt", "dd"} and tag.wiki_markup:
            return _LIST
        if name in {"br", "hr"}:
            return " "
        return self.text(tag.contents) if tag.contents else ""

    def _template(self, template: Any) -> str:
        name = str(template.name).strip().lower()
        to_text = _TEMPLATE_TEXT.get("lang" if name.startswith("lang-") else name)
        shown = [] if to_text is None else [argument for argument in template.params if not argument.showkey]
        arguments = [self.text(argument.value).strip() for argument in shown]
        text = to_text(["", *arguments] if name.startswith("lang-") else arguments) if to_text else ""
        if not text.strip():
            self.left_out["template"] += 1
        return text


def _paragraphs(text: str, left_out: Counter[str]) -> Iterator[str]:
    """Paragraphs of flattened wikitext; list items stand alone and keep their mark; tail sections are counted."""
    skipping = 0  # level of the tail section that we are in
    for block in re.split(r"\n\s*\n", text):
        block = block.strip("\n ")
        if block.startswith(_HEADING):
            level, title = int(block[1]), block[2:].strip()
            if not skipping or level <= skipping:
                skipping = level if _TAIL_SECTION.fullmatch(title) else 0
                left_out["tail section" if skipping else "heading"] += 1
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
