"""Markdown to prose."""

from __future__ import annotations

import re

from lvm_core.corpus import Article, Document

_FRONT_MATTER = re.compile(r"\A---\n.*?\n---(?:\n|\Z)", re.DOTALL)
_FENCE = re.compile(r"^ {0,3}(```+|~~~+).*?(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.*)$", re.MULTILINE)
_LINE_MARK = re.compile(r"^[ \t]*(?:>[ \t]?|[-*+][ \t]+|\d+[.)][ \t]+)+|^[ \t]*[-=*_]{3,}[ \t]*$", re.MULTILINE)
# Bounded, because a text of opening brackets alone would take for ever.
_IMAGE = re.compile(r"!\[[^\]]{0,1000}+\]\([^)]{0,2000}+\)")
_LINK = re.compile(r"\[([^\]]{0,1000}+)\]\([^)]{0,2000}+\)")
_EMPHASIS = re.compile(r"(\*\*|__|`|(?<!\w)[*_](?=\S)|(?<=\S)[*_](?!\w))")


def parse_markdown(document: Document) -> Article:
    """Markdown to plain paragraphs: no front matter, code blocks, comments, images; the first heading is the title."""
    text = _without_comments(_FENCE.sub("", _FRONT_MATTER.sub("", document.raw)))
    text = _IMAGE.sub("", text)
    first = _HEADING.search(text)
    if first:
        text = text[: first.start()] + text[first.end() :]
    text = _HEADING.sub(lambda heading: f"\n{_heading(heading[1])}\n", text)
    title = (first and _inline(_heading(first[1]))) or document.title
    return Article(document.id, title, re.split(r"\n\s*\n", _inline(_LINE_MARK.sub("", text))))


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
