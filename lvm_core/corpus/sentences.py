"""Where a long text may be cut: at sentence ends, else at clause ends, else between words."""

from __future__ import annotations

import re

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
_CLAUSE = re.compile(r"""[;:]["'”’)\]]*(?= )|\S(?= ?(?:—|--))""")
_SPACE = re.compile(r" ")


def sentence_ends(text: str) -> list[int]:
    """Positions after which a sentence has ended, ascending, without the end of the text itself.

    No end is seen after an abbreviation ("Mr."), an initial or a dotted abbreviation ("U.S."), nor before a lower-case
    letter. So a sentence that ends in "the U.S." runs on into the next: for chunks, too few cuts are better than
    wrong ones.

    Args:
        text: with single spaces.
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


def clause_ends(text: str) -> list[int]:
    """Positions after a semicolon or colon, or before a dash."""
    return [match.end() for match in _CLAUSE.finditer(text)]


def word_ends(text: str) -> list[int]:
    """Positions of the spaces."""
    return [match.start() for match in _SPACE.finditer(text)]
