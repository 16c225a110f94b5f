"""Text to chunks: sentences, and their packing."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from lvm_core.config.data import CorpusParams

# Words after which a full stop does not end a sentence, ...
_ABBREVIATION = re.compile(
    "mr|mrs|ms|messrs|dr|prof|rev|hon|gov|gen|sen|rep|col|capt|lt|maj|cmdr|adm|sgt|pres|supt|st|mt|ft"
    "|jan|feb|apr|jun|jul|aug|sept|oct|nov|dec|eds|vs|viz|cf|ca|approx|inc|corp|ltd|bros|jr|sr|dept|al|etc"
)

# ... and words after which it does not before a digit: "No. 5" runs on, "They said no. We" does not.
_NUMBERED = re.compile("nos?|arts?|secs?|vols?|ch|pp?|par|figs?")

# A stop with its closing quotes and brackets, then a space and whatever the next word opens with. The stops of other
# scripts need no space.
_STOP = re.compile(r"""[.!?…]+["'”’)\]]*(?= (?P<next>["'“‘(\[]*\S))|[。！？।؟][”’」』）]*(?=.)""")

_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")

# Semicolons and colons; what stands before a dash.
_CLAUSE = re.compile(r"""[;:]["'”’)\]]*(?= )|\S(?= ?(?:—|--))""")

_BEFORE_SPACE = re.compile(r"(?= )")


def sentence_ends(text: str) -> list[int]:
    """Positions after which a sentence has ended, ascending, without the end of the text itself.

    No end is seen after an abbreviation ("Mr."), an initial or a dotted abbreviation ("U.S."), nor before a lower-case
    letter. So a sentence that ends in "the U.S." runs on into the next: for chunks, too few cuts are better than
    wrong ones.
    """
    return [match.end() for match in _STOP.finditer(text) if _ends_sentence(text, match)]


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    following = match["next"]
    if following is None:
        return True
    if following[-1].islower():
        return False
    if match[0] != ".":
        return True
    word = text[text.rfind(" ", 0, match.start()) + 1 : match.start()].lstrip("\"'“‘([").lower()
    if _NUMBERED.fullmatch(word):
        return not following[-1].isdigit()
    return not (_ABBREVIATION.fullmatch(word) or _INITIALS.fullmatch(word))


HEADING_CHARS = 100
"""Longest line in capitals that counts as a heading."""

LOOKAHEAD = 16
"""Characters after a border that tell whether it is one (quotes, and the first letter of the next sentence)."""


@dataclass
class ParagraphCounts:
    """What became of paragraphs."""

    read: int = 0
    """Paragraphs with any text."""
    boilerplate: int = 0
    """Left out by `is_boilerplate` (and by the reader's rules)."""
    joined: int = 0
    """Short ones joined to a neighbour."""
    dropped_short: int = 0
    """Short ones dropped."""
    split: int = 0
    """Too long (some only after joining) and cut into pieces."""


def chunk_paragraphs(paragraphs: Iterable[str], params: CorpusParams, counts: ParagraphCounts) -> list[str]:
    """Cut one article into chunks, in order.

    Every chunk has at most `max_chars` characters. None has fewer than `min_chars`, except that with `short: join` an
    article that is shorter than that as a whole is one chunk.
    """
    normalised = [" ".join(paragraph.split()) for paragraph in paragraphs]
    read = [paragraph for paragraph in normalised if paragraph]
    prose = [paragraph for paragraph in read if not is_boilerplate(paragraph)]
    counts.read += len(read)
    counts.boilerplate += len(read) - len(prose)
    if params.short == "join":
        pieces = join_short(prose, params.min_chars)
        counts.joined += len(prose) - len(pieces)
    else:
        pieces = [paragraph for paragraph in prose if len(paragraph) >= params.min_chars]
        counts.dropped_short += len(prose) - len(pieces)
    counts.split += sum(len(piece) > params.max_chars for piece in pieces)
    return [chunk for piece in pieces for chunk in split_long(piece, params.min_chars, params.max_chars)]


def is_boilerplate(paragraph: str) -> bool:
    """True of a paragraph that is no prose in any source.

    That is: fewer than three letters (rules, numerals); no longer than `HEADING_CHARS` and all in capitals (headings,
    signatures); or letters are less than half of its characters other than spaces (rows of tables).
    """
    letters = sum(map(str.isalpha, paragraph))
    if not paragraph.isascii():  # vowel signs of Indic scripts and the like are marks, not letters
        letters += sum(unicodedata.category(character).startswith("M") for character in paragraph)
    characters = len(paragraph) - paragraph.count(" ")
    return letters < 3 or 2 * letters < characters or (paragraph.isupper() and len(paragraph) <= HEADING_CHARS)


def join_short(paragraphs: list[str], min_chars: int) -> list[str]:
    """Join each paragraph under `min_chars` to the one after it, the last one to the one before it.

    Forwards, because the short ones are mostly headings, and openings of lists.
    """
    joined: list[str] = []
    pending = ""
    for paragraph in paragraphs:
        pending = f"{pending} {paragraph}".lstrip()
        if len(pending) >= min_chars:
            joined.append(pending)
            pending = ""
    if pending and joined:
        joined[-1] = f"{joined[-1]} {pending}"
    elif pending:
        joined.append(pending)
    return joined


def split_long(text: str, min_chars: int, max_chars: int) -> list[str]:
    """Cut `text` (single spaces, none at its ends) into pieces of similar length, `min_chars` to `max_chars` long.

    It stays whole if it fits; `max_chars` is more than twice `min_chars`.
    """
    pieces = []
    start = 0
    while len(text) - start > max_chars:
        cut = start + _best_cut(text[start : start + max_chars + LOOKAHEAD], len(text) - start, min_chars, max_chars)
        pieces.append(text[start:cut])
        start = cut + (text[cut] == " ")
    return [*pieces, text[start:]]


def _best_cut(head: str, length: int, min_chars: int, max_chars: int) -> int:
    """Where to cut off the next piece."""
    wanted = length / math.ceil(length / max_chars)
    low, high = min_chars, min(max_chars, length - 1 - min_chars)  # 1: the space at the cut
    clause_ends = (match.end() for match in _CLAUSE.finditer(head))
    word_ends = (match.end() for match in _BEFORE_SPACE.finditer(head))
    for borders in (sentence_ends(head), clause_ends, word_ends):
        allowed = [position for position in borders if low <= position <= high]
        if allowed:
            return min(allowed, key=lambda position: abs(position - wanted))
    return high  # no space within reach: a word, or a script without spaces, is cut
