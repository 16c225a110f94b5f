"""Markdown to prose."""

from __future__ import annotations

import html
import re
import tomllib
from collections import Counter
from functools import cache
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import yaml

from lvm_core.corpus import Article, Document

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.token import Token

_DEEPEST = 60
"""Nested blocks (a list counts twice); the lines of what lies deeper are text."""

_TITLE_CHARS = 200
"""Longest heading that can be the title: a paragraph with a rule right under it is a heading to Markdown."""

# Bounded: a page may begin with a rule and have another one far below.
_FRONT_MATTER = re.compile(
    r"(?:---[ \t]*\n(?P<yaml>(?![ \t]*\n).{0,100000}?)^(?:---|\.\.\.)[ \t]*$"
    r"|\+\+\+[ \t]*\n(?P<toml>.{0,100000}?)^\+\+\+[ \t]*$)",
    re.DOTALL | re.MULTILINE,
)
# Read by many tools though YAML refuses it: "title: Lamps: a history".
_KEYS = re.compile(r"[\w-]+:.*\n(?:(?:[\w-]+:.*|[ \t#-].*|)\n)*")

# Attributes without a value are mostly none: "if a <b and c> d".
_TAG = re.compile(
    r"""</?([a-z][a-z\d]*)(?:\s+(?:[a-z_:@][\w:.-]*\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'=<>`]+)|open|hidden|controls|checked"""
    r"""|disabled))*\s*/?>""",
    re.IGNORECASE,
)
_PHRASING = re.compile(
    "a|abbr|acronym|audio|b|bdi|bdo|big|button|canvas|cite|code|data|datalist|del|dfn|em|embed|font|i|img|input|ins|kbd"
    "|label|map|mark|meter|nobr|object|output|picture|pre|progress|q|rp|rt|ruby|s|samp|script|select|small|span|strike"
    "|strong|style|sub|sup|svg|template|textarea|time|tt|u|var|video|wbr"
)
_CELLS = ("th_open", "td_open")
_LEFT_OUT = {"pre": "code", "table": "table", "script": "html", "style": "html", "svg": "html"}
_OPENING = re.compile(r"<(?=[!?]|(?:script|pre|style|textarea)(?:\s|>|$))", re.IGNORECASE)
# Time is bounded so: in hostile texts, the parser's grows with the square of the length.
_PIECE = re.compile(r".{1,20000}(?!\S)|.{1,20000}", re.DOTALL)
_MOST_BRACKETS, _BRACKETS_EACH = 20_000, 20
"""Brackets of a page that are looked at for links, and one more for so many characters: each may cost 0.3 ms."""
_NOTE_MARK = re.compile(r"\[\^([^\]\s]{1,200})\]")
_TASK = re.compile(r"\[[ xX]\]\s+")


def parse_markdown(document: Document) -> Article:
    """Prose of a Markdown page: CommonMark with tables, strikethrough, footnotes and the admonitions of MkDocs.

    Prose is every paragraph, list item, quotation, footnote, heading and what HTML shows as text, each a paragraph of
    its own, as plain text: the words of links and of `code` stay. The first heading of at most `_TITLE_CHARS`
    characters on one line is the title instead. The number of an ordered item stays where it does not count the items
    of its list ("1876. Its lamp"), as does what looks like a tag and is none of HTML ("<Alice> hello").

    Left out and counted: `front matter` (on the first line; a mapping in YAML, or TOML), `code` (fenced, indented
    or `<pre>`), `code without an end` (every block from its fence to the end; a fence that names no language is taken
    for a stray end instead, and text follows), `table` (a row without `|` is text), `link definition`, `image` (with
    its alternative text), `comment`, and `html` (scripts, styles, drawings, declarations). Tags, rules, bullets, link
    targets and titles, and the marks of footnotes are markup and not counted. A comment, `<pre>`, `<script>` or the
    like that is never closed is text. In a page of tens of thousands of brackets links from there on stay as they are.
    """
    prose = _Prose(len(document.raw))
    prose.read(prose.without_front_matter(re.sub(r"\r\n?", "\n", document.raw.removeprefix("\ufeff"))))
    return Article(document.id, prose.title or document.title, prose.paragraphs, +prose.left_out)


class _Prose:
    """What a page holds, as far as it has been read."""

    def __init__(self, length: int) -> None:
        self.title = ""
        self.paragraphs: list[str] = []
        self.left_out = Counter[str]()
        self.stray_ends = 0
        self.number = ""  # of the list item around, until its first text
        self.brackets = _MOST_BRACKETS + length // _BRACKETS_EACH  # that may still be looked at

    def without_front_matter(self, text: str) -> str:
        """The text after it."""
        found = _FRONT_MATTER.match(text)
        if not found or not _is_front_matter(found["yaml"], found["toml"]):
            return text
        self.left_out["front matter"] += 1
        return text[found.end() :]

    def read(self, text: str) -> None:
        """Add the blocks of a text."""
        env: dict[str, Any] = {}
        lines = text.rstrip("\n").split("\n")
        around: list[Token] = []  # what opens the blocks around, the outermost first
        for token in _parser().parse("\n".join([*lines, ""]), env):
            if token.nesting == 1:
                self._open(token, around)
                around.append(token)
            elif token.nesting == -1:
                if around.pop().type == "list_item_open":
                    self._add(self._pop_number())
            elif token.type != "inline":
                self._read_other(token, len(lines))
            elif not (around and around[-1].type in _CELLS and "|" in lines[(token.map or [0])[0]]):
                self._read_inline(token.content, around, env)
        self.left_out["link definition"] += len(env.get("references", ())) + len(env.get("duplicate_refs", ()))

    def _open(self, token: Token, around: list[Token]) -> None:
        match token.type:
            case "table_open":
                self.left_out["table"] += 1
            case "admonition_open":
                self._add(token.info.replace('"', ""))  # its type too: "!!! Nobody knew"
            case "list_item_open":
                self._add(self._pop_number())
                items = around[-1].meta
                items["read"] = items.get("read", 0) + 1
                if token.info and int(token.info) not in (1, items["read"] - 1, items["read"]):
                    self.number = token.info + token.markup

    def _pop_number(self) -> str:
        number, self.number = self.number, ""
        return number

    def _read_inline(self, content: str, around: list[Token], env: dict[str, Any]) -> None:
        kind = around[-1].type if around else ""
        if kind == "admonition_title_open":  # is read where it opens
            return
        if len(around) > 1 and around[-2].type == "list_item_open":
            content = _TASK.sub("", content, count=1)
        text = f"{self._pop_number()} {self._plain(content, env)}".strip()
        if kind == "heading_open" and not self.title and len(text) <= _TITLE_CHARS and "\n" not in content:
            self.title = text
        else:
            self._add(text)

    def _read_other(self, token: Token, lines: int) -> None:
        if token.type == "html_block":
            self._read_html(token.content)
        elif token.type in ("fence", "code_block"):
            self._pop_number()
            first, end = token.map or (0, 0)
            if token.type == "code_block" or end - first == token.content.count("\n") + 2:
                self.left_out["code"] += 1
            elif end == lines and not token.info.strip() and self.stray_ends < 20:  # they might nest without end
                self.stray_ends += 1
                self.read(token.content)
            else:
                self.left_out["code without an end"] += 1 + len(re.findall(r"\n\s*\n(?=.*\S)", token.content))

    def _add(self, paragraph: str) -> None:
        if paragraph.strip():
            self.paragraphs.append(paragraph.strip())

    def _plain(self, content: str, env: dict[str, Any]) -> str:
        """The text of a block without its inline markup."""
        notes = env.get("footnotes", {}).get("refs", ())
        content = _NOTE_MARK.sub(lambda mark: "" if f":{mark[1]}" in notes else mark[0], content)
        self.brackets -= content.count("[")
        if self.brackets < 0:
            return content
        tokens: list[Token] = []
        for piece in _PIECE.findall(content):
            _parser().inline.parse(piece, _parser(), env, tokens)
        return "".join(map(self._plain_token, tokens))

    def _plain_token(self, token: Token) -> str:
        match token.type:
            case "softbreak" | "hardbreak":
                return " "
            case "image":
                self.left_out["image"] += 1
                return ""
            case "html_inline":
                return self._plain_tag(token.content)
        return token.content  # none where it is markup

    def _plain_tag(self, tag: str) -> str:
        name = _html_name(tag)
        kind = "comment" if tag.startswith("<!--") else "html" if tag[1] in "!?" else "image" if name == "img" else None
        if kind:
            self.left_out[kind] += 1
            return ""
        return tag if name is None else " " if name in _breaks() else ""

    def _read_html(self, content: str) -> None:
        from markdown_it.rules_block.html_block import HTML_SEQUENCES

        for opening, closing, _ in HTML_SEQUENCES[:5]:  # those that a blank line does not end
            within = content.split("\n\n")[0] if closing.pattern == ">" else content  # a declaration has none
            if opening.search(content) and not closing.search(within):
                self.read(_OPENING.sub("&lt;", content))
                return
        parser = _Html(self.left_out)
        for paragraph in parser.read(content):
            self._add(paragraph)


class _Html(HTMLParser):
    """The text of a block of HTML."""

    def __init__(self, left_out: Counter[str]) -> None:
        super().__init__()
        self.left_out = left_out
        self.paragraphs = [""]
        self.inside: list[str] = []  # the element that is left out, and those of its name in it

    def read(self, content: str) -> list[str]:
        """Its paragraphs."""
        self.feed(content)
        self.handle_data(html.unescape(self.rawdata))  # not close(): what it does with half a tag has changed
        return self.paragraphs

    def handle_starttag(self, tag: str, attrs: object) -> None:
        name = _html_name(self.get_starttag_text() or "")
        if self.inside:
            self.inside += [tag] * (tag == self.inside[0])
        elif name in _LEFT_OUT:
            self.inside.append(tag)
            self.left_out[_LEFT_OUT[name]] += 1
            self.paragraphs.append("")
        elif name == "img":
            self.left_out["image"] += 1
        else:
            self._between(name, self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.inside:
            self.inside.pop()
        elif not self.inside:
            self._between(_html_name(f"</{tag}>"), f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self.inside:
            self.paragraphs[-1] += data

    def handle_comment(self, data: str) -> None:
        self.left_out["comment"] += 1

    def handle_decl(self, decl: str) -> None:
        self.left_out["html"] += 1

    def handle_pi(self, data: str) -> None:
        self.left_out["html"] += 1

    def unknown_decl(self, data: str) -> None:
        self.left_out["html"] += 1

    def _between(self, name: str | None, tag: str) -> None:
        if name is None:
            self.handle_data(tag)
        elif name == "br":
            self.handle_data(" ")
        elif name in _breaks():
            self.paragraphs.append("")


def _html_name(tag: str) -> str | None:
    """The name of an element of HTML; None of anything else."""
    found = _TAG.fullmatch(tag)
    name = found[1].lower() if found else ""
    return name if _PHRASING.fullmatch(name) or name in _breaks() else None


@cache
def _breaks() -> frozenset[str]:
    """Elements that part words."""
    from markdown_it.common.html_blocks import block_names

    return frozenset({*block_names, "br"})


def _is_front_matter(mapping: str | None, table: str | None) -> bool:
    try:
        if mapping is not None:  # composed only: its values may be of any type
            loader = yaml.SafeLoader
            return bool(_KEYS.fullmatch(mapping)) or isinstance(yaml.compose(mapping, Loader=loader), yaml.MappingNode)
        return bool(tomllib.loads(table or ""))
    except (yaml.YAMLError, tomllib.TOMLDecodeError, RecursionError):
        return False


@cache
def _parser() -> MarkdownIt:
    """Of blocks; the text of each is parsed by us."""
    from markdown_it import MarkdownIt
    from mdit_py_plugins.admon import admon_plugin
    from mdit_py_plugins.footnote import footnote_plugin

    parser = MarkdownIt("commonmark", {"maxNesting": _DEEPEST + 20}).enable(["table", "strikethrough"])
    parser.use(footnote_plugin, inline=False, move_to_end=False).use(admon_plugin).disable(["inline", "footnote_ref"])
    parser.block.ruler.before("table", "deep", _deep_line)
    return parser


def _deep_line(state: StateBlock, line: int, end: int, silent: bool) -> bool:
    """A line that lies too deep, as text; the parser itself would pass over all that follows."""
    if silent or state.level < _DEEPEST:
        return False
    token = state.push("inline", "", 0)
    token.content, token.map = state.getLines(line, line + 1, state.blkIndent, False), [line, line + 1]
    state.line = line + 1
    return True
