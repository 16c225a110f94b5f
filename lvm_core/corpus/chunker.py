"""Text to chunks: sentences, and their packing."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, Protocol

from lvm_core.config.data import CorpusParams

# Words after which a full stop does not end a sentence, ...
_ABBREVIATION = re.compile(
    "mr|mrs|ms|messrs|dr|prof|rev|hon|gov|gen|sen|rep|col|capt|lt|maj|cmdr|adm|sgt|pres|supt|st|mt|ft"
    "|jan|feb|apr|jun|jul|aug|sept|oct|nov|dec|eds|vs|viz|cf|ca|approx|inc|corp|ltd|bros|jr|sr|dept|al|etc"
)

# ... and words after which it does not before a digit: "No. 5" runs on, "They said no. We" does not.
_NUMBERED = re.compile("nos?|arts?|secs?|vols?|ch|pp?|par|figs?")

# Letters of scripts without spaces, and their full-width punctuation.
_WIDE = "\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U0001b000-\U0001b16f\U00020000-\U0003ffff"

_STOPS, _CLOSING = "。｡！？⁇⁈⁉‼﹒﹖﹗।॥؟۔։።፧፨။។៕།༎᠃᠉꓿꘎꘏", "”’」』）｣》〉】〕"

# A stop with its closing quotes and brackets, then a space and whatever the next word opens with. The stops of other
# scripts need no space, nor do ours between wide characters; a full-width point between digits is a decimal one.
_STOP = re.compile(
    r"""[.!?…]+(?:["'”’)\]“«»]| »)*(?= (?P<next>["'“‘(\[]*\S))"""
    rf"""|(?:[{_STOPS}]|(?<!\d)．|．(?!\d)|(?<=[{_WIDE}])[.!?]+(?=[”’{_WIDE}]))+[{_CLOSING}]*(?=[^{_STOPS}{_CLOSING}])"""
)

_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")

# Semicolons and colons; what stands before a dash; the same and the commas of other scripts (between digits they part
# thousands or hours).
_CLAUSE = re.compile(r"""[;:]["'”’)\]]*(?= )|\S(?= ?(?:—|--))|[、､；؛،၊፣፤፥፦༔](?=.)|(?<!\d)[，：](?=.)|[，：](?=\D)""")

# A space, or the marks between words that have no width (Thai, Khmer), and those of Tibetan and Ethiopic.
_WORD_END = re.compile(r"(?= )|(?<=[\u200b་፡])")

# Beside a wide character, where no spaces part words.
_BESIDE_WIDE = re.compile(rf"(?<=[{_WIDE}])(?=.)|(?<=.)(?=[{_WIDE}])")

_LESSER = (_CLAUSE, _WORD_END, _BESIDE_WIDE, re.compile(r"(?<=.)(?=.)"))
"""Where a text is cut that has no end of a sentence in reach, best first."""


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


# A border before one of these parts a character that readers see as one: half-width voice marks, Thai and Lao vowels
# that follow their letter; or puts a mark of lengthening or repetition first.
_FOLLOWS = frozenset("\uff9e\uff9fะาำๅະາຳーｰ々〻ゝゞヽヾ")
_PRECEDES = frozenset("\u200c\u200dเแโใไເແໂໃໄ")


def is_border(text: str, position: int) -> bool:
    """Whether a text may be cut there: not within what readers see as one character, nor before what closes.

    That is: before a combining mark, a variation selector or a joiner, after a joiner or a virama, within a syllable of
    Korean letters, a flag or an emoji with its colour; before a closing bracket or quote, a stop or a comma.
    """
    before, after = text[position - 1], text[position]
    if before == " " or after == " ":
        return True
    category = unicodedata.category(after)
    if category[0] == "M" or category in ("Pe", "Pf", "Po") or after in _FOLLOWS or before in _PRECEDES:
        return False
    if after in "\u200c\u200d" or "\U0001f3fb" <= after <= "\U0001f3ff" or "\U000e0020" <= after <= "\U000e007f":
        return False
    if "\u1160" <= after <= "\u11ff" or "\ud7b0" <= after <= "\ud7fb":  # vowels and ends of syllables
        return False
    if "\u1100" <= before <= "\u115f" and ("\u1100" <= after <= "\u115f" or "\uac00" <= after <= "\ud7a3"):
        return False
    if "\U0001f1e6" <= after <= "\U0001f1ff":  # flags are pairs of these
        start = position
        while start and "\U0001f1e6" <= text[start - 1] <= "\U0001f1ff":
            start -= 1
        return (position - start) % 2 == 0
    return not (unicodedata.combining(before) == 9 and category[0] == "L")


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
    more_pieces: int = 0
    """Chunks more, because some have too many word pieces for the encoder."""


class Measure(Protocol):
    """Counts word pieces as the encoder does."""

    @property
    def room(self) -> int | None:
        """Most pieces of a text that the encoder reads; None: any number."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """The pieces of each text."""


def most_pieces(max_pieces: int | Literal["auto"] | None, measure: Measure | None) -> int | None:
    """Most pieces of a chunk; None: any number."""
    if measure is None:
        return None
    return measure.room if max_pieces == "auto" else max_pieces


def count_cut(chunks: Sequence[str], params: CorpusParams, measure: Measure | None) -> int:
    """Number of chunks that have more pieces than the encoder reads. None does where `chunk_paragraphs` saw to it."""
    if measure is None or measure.room is None or (most_pieces(params.max_pieces, measure) or math.inf) <= measure.room:
        return 0
    return sum(pieces > measure.room for pieces in measure.count(chunks))


def chunk_paragraphs(
    paragraphs: Iterable[str], params: CorpusParams, counts: ParagraphCounts, measure: Measure | None = None
) -> list[str]:
    """Cut one article into chunks, in order.

    Every chunk has at most `max_chars` characters and, by `measure`, `max_pieces` pieces. None has fewer than
    `min_chars` characters, except that with `short: join` an article that is shorter than that as a whole is one chunk,
    and that `max_pieces` goes before `min_chars` where both cannot hold (in scripts with several pieces a character).
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
    chunks = [chunk for piece in pieces for chunk in split_long(piece, params.min_chars, params.max_chars)]
    most = most_pieces(params.max_pieces, measure)
    if measure is None or most is None:
        return chunks
    fitted = fit_pieces(chunks, params.min_chars, most, measure)
    counts.more_pieces += len(fitted) - len(chunks)
    return fitted


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


def fit_pieces(texts: Sequence[str], min_chars: int, most: int, measure: Measure) -> list[str]:
    """The texts in order, cut until none has more than `most` pieces; under `min_chars` only where it must be."""
    found: list[str] = []
    for text, pieces in zip(texts, measure.count(texts), strict=True):
        if pieces <= most or len(text) == 1:
            found.append(text)
            continue
        longest = max(len(text) * most // pieces, 1)  # characters, if they have as many pieces everywhere
        parts = split_long(text, min(min_chars, max((longest - 1) // 2, 1)), longest)
        found += fit_pieces(parts, min_chars, most, measure)
    return found


def split_long(text: str, min_chars: int, max_chars: int) -> list[str]:
    """Cut `text` (single spaces, none at its ends) into pieces of similar length, `min_chars` to `max_chars` long.

    It stays whole if it fits; `max_chars` is more than twice `min_chars` (with less than 3 there may be shorter ones).
    Cut is at the end of a sentence, else of a clause, else of a word, else beside a character of a script without
    spaces, else anywhere; within what readers see as one character only where there is no other place.
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
    low, high = min_chars, max(min(max_chars, length - 1 - min_chars), 1)  # 1: the space at the cut
    lesser = ([match.end() for match in form.finditer(head)] for form in _LESSER)
    for borders in chain([sentence_ends(head)], lesser):
        allowed = [position for position in borders if low <= position <= high and is_border(head, position)]
        if allowed:
            return min(allowed, key=lambda position: abs(position - wanted))
    return min(max(int(wanted), low), high)  # no border within reach: marks without end
