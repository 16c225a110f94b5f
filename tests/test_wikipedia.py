"""Dumps of wikis: what is read, what is counted, what is refused."""

from __future__ import annotations

import bz2
import gzip
import time
import tracemalloc
from pathlib import Path
from xml.sax.saxutils import escape

import pyarrow as pa
import pytest

from lvm_core.corpus import Article, Document, Reading
from lvm_core.corpus.sources import open_source
from lvm_core.corpus.wikipedia import is_dump, read_dump
from lvm_core.corpus.wikitext import parse_wikipedia
from lvm_core.runtime.errors import LvmError

NAME = "dewiki-20240101-pages-articles.xml.bz2"

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="0.11" xml:lang="de">
  <siteinfo>
    <sitename>Wikipedia</sitename>
    <dbname>dewiki</dbname>
    <base>https://de.wikipedia.org/wiki/Wikipedia:Hauptseite</base>
    <generator>MediaWiki 1.42.0-wmf.8</generator>
    <case>first-letter</case>
    <namespaces>
      <namespace key="-2" case="first-letter">Medium</namespace>
      <namespace key="-1" case="first-letter">Spezial</namespace>
      <namespace key="0" case="first-letter" />
      <namespace key="1" case="first-letter">Diskussion</namespace>
      <namespace key="6" case="first-letter">Datei</namespace>
      <namespace key="10" case="first-letter">Vorlage</namespace>
      <namespace key="14" case="first-letter">Kategorie</namespace>
    </namespaces>
  </siteinfo>
"""


def revision(text: str, model: str = "wikitext", when: str = "2024-01-01T00:00:00Z") -> str:
    return f"""
    <revision>
      <id>241</id>
      <timestamp>{when}</timestamp>
      <contributor><username>A</username><id>7</id></contributor>
      <comment>/* Leben */</comment>
      <origin>241</origin>
      <model>{model}</model>
      <format>text/x-wiki</format>
      <text bytes="{len(text)}" sha1="x" xml:space="preserve">{escape(text)}</text>
      <sha1>x</sha1>
    </revision>"""


def page(number: int, title: str, *revisions: str, ns: int = 0, redirect: str = "") -> str:
    link = f'<redirect title="{redirect}" />' if redirect else ""
    middle = "".join(revisions)
    return f"  <page>\n    <title>{title}</title>\n    <ns>{ns}</ns>\n    <id>{number}</id>{link}{middle}\n  </page>\n"


def dump(*pages: str) -> bytes:
    return (HEAD + "".join(pages) + "</mediawiki>\n").encode()


GOOD = [page(number, f"Ort {number}", revision(f"Ort {number} liegt an einem Fluss.")) for number in (1, 5, 9)]


def read(path: Path) -> tuple[list[Document], Reading]:
    reading = Reading()
    return list(read_dump(path).read(reading)), reading


def parse(text: str) -> Article:
    return parse_wikipedia(Document("a/1", "A", text, parse_wikipedia))


# --- what is read -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", ["bz2", "multistream", "gz", "zst", "plain, named bz2"])
def test_every_way_to_pack_a_dump(tmp_path: Path, pack: str) -> None:
    content = dump(*GOOD)
    cut = content.index(b"<page>")
    zst = pa.BufferOutputStream()
    with pa.CompressedOutputStream(zst, "zstd") as stream:
        stream.write(content)
    packed = {
        "bz2": bz2.compress(content),
        "multistream": bz2.compress(content[:cut]) + bz2.compress(content[cut:-13]) + bz2.compress(content[-13:]),
        "gz": gzip.compress(content),
        "zst": zst.getvalue().to_pybytes(),
        "plain, named bz2": content,
    }[pack]
    path = tmp_path / NAME
    path.write_bytes(packed)
    documents, reading = read(path)
    assert [(document.id, document.title) for document in documents] == [
        (f"dewiki-20240101-pages-articles/{number}", f"Ort {number}") for number in (1, 5, 9)
    ]
    assert documents[2].parse(documents[2]).paragraphs == ["Ort 9 liegt an einem Fluss."]
    assert reading.done == len(packed) == read_dump(path).size
    assert not reading.left_out


def test_what_is_no_article_is_counted_and_named(tmp_path: Path) -> None:
    suppressed = page(17, "Weg").replace("</page>", '<revision><text bytes="9" deleted="deleted" /></revision></page>')
    stub = page(18, "Stumpf").replace("</page>", '<revision><text bytes="9" id="3" /></revision></page>')
    history = page(
        19, "Alt", revision("Neu.", when="2024-01-02T00:00:00Z"), revision("Alt.", when="2004-01-02T00:00:00Z")
    )
    pages = [
        *GOOD,
        page(11, "Weiter", revision("#WEITERLEITUNG [[Ort 1]]"), redirect="Ort 1"),
        page(12, "Vorlage:Kasten", revision("{{{1}}}"), ns=10),
        page(13, "Diskussion:Ort 1", revision("Hm."), ns=1),
        page(14, "Ort.css", revision("a {}", model="css")),
        page(15, "Leer", revision(" \n")),
        page(16, "Kaputt", revision("{{a|" * 20_000)),
        suppressed,
        stub,
        history,
        "<page><title>Ohne Nummer</title><ns>0</ns><revision><text>Text.</text></revision></page>",
        "<page><title>Datei:Alt.jpg</title><id>30</id><revision><text>Wie 2009.</text></revision></page>",
        "<page><title>Von: 2009</title><id>31</id><revision><text>Ohne ns.</text></revision></page>",
        "<page><title>Von 2009</title><id>32</id><revision><text>#REDIRECT [[Ort 1]]</text></revision></page>",
    ]
    path = tmp_path / NAME
    path.write_bytes(bz2.compress(dump(*pages)))
    documents, reading = read(path)
    assert [document.id.partition("/")[2] for document in documents] == ["1", "5", "9", "19", "Ohne Nummer", "31"]
    assert documents[3].raw == "Neu."
    assert reading.left_out == {
        "redirects": 2,
        "pages of other namespaces": 3,
        "pages that are not wikitext": 1,
        "pages without text": 3,
        "pages with too many open brackets": 1,
        "earlier revisions": 1,
    }
    assert reading.examples["redirects"] == "Weiter"
    assert reading.examples["earlier revisions"] == "Alt"


def test_names_of_files_and_categories_are_those_of_the_wiki(tmp_path: Path) -> None:
    text = (
        "[[Datei:Turm.jpg|mini|Der [[Turm]]]]\n[[Bild:Alt.JPG|mini|Alt]][[File:B.png|B]]"
        "Der '''Turm''' von [[Köln|Kölns]] Dom."
        "\n\n[[CSI: Miami]] ist eine Serie.[[en:Tower]][[zh-min-nan:Tah]]\n\n[[Kategorie:Turm]]\n[[Category:Tower]]"
        "\n\n== Geschichte ==\nEr ist alt.\n\n== Einzelnachweise ==\n<references />\nVgl. Dom.\n=== Rest ===\nMehr."
        "\n\n== Lage ==\nAm Rhein.\n"
    )
    path = tmp_path / NAME
    path.write_bytes(bz2.compress(dump(page(1, "Turm", revision(text)))))
    (document,), _ = read(path)
    article = document.parse(document)
    assert article.paragraphs == [
        "Der Turm von Kölns Dom.",
        "CSI: Miami ist eine Serie.",
        "Er ist alt.",
        "Am Rhein.",
    ]
    assert article.left_out == {"boilerplate": 0, "heading": 2, "hidden link": 7, "reference": 1, "tail section": 1}


def test_what_a_page_leaves_out_is_counted_by_kind() -> None:
    text = (
        "{{Infobox|a=1}}Prose<ref>A</ref> with <math>x</math>.\n\n{|\n|a\n{|\n|b\n|}\n|}\n\n* one\n* two\n\n"
        "<syntaxhighlight>a</syntaxhighlight>\n\n<gallery>a</gallery>\n\n== Notes ==\nx\n\n== See also ==\n* y"
        "\n\n== Life ==\nSee {{quote|text=A}}{{{1|B}}}https://example.org[https://example.org]<!-- C --> there.\n"
    )
    assert parse(text).left_out == {
        **{"comment": 1, "heading": 1, "link without words": 2},
        **{"boilerplate": 2, "template": 3, "reference": 1, "formula": 1, "table": 1, "code": 1, "graphic": 1},
        "tail section": 2,
    }


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("enwiki-latest-pages-articles.xml.bz2", "enwiki-latest-pages-articles"),
        (
            "enwiki-20240101-pages-articles-multistream1.xml-p1p41242.bz2",
            "enwiki-20240101-pages-articles-multistream1-p1p41242",
        ),
        ("my.wiki.XML", "my.wiki"),
        ("a.xml.zst", "a"),
        ("notes.bz2", None),
        (".xml", None),
        ("a.xml.7z", None),
    ],
)
def test_names_of_dumps(tmp_path: Path, name: str, source: str | None) -> None:
    path = tmp_path / name
    assert is_dump(path) == (source is not None)
    path.write_bytes(dump(*GOOD))
    if source:
        assert read_dump(path).name == source


# --- what is refused ----------------------------------------------------------------------------------------------

LAUGHS = "<!DOCTYPE mediawiki [<!ENTITY a0 'ha ha ha'>" + "".join(
    f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 12)
)
WHOLE = bz2.compress(dump(*GOOD))
WANTED = "bring a dump of the kind pages-articles"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (WHOLE[: len(WHOLE) // 2], ("download it again",)),
        (bz2.compress(dump(*GOOD)[:-300]), ("cut short", "download it again")),
        (bz2.compress(dump(*GOOD)) + bz2.compress(dump(*GOOD)), ("damaged", "junk after document element")),
        (bz2.compress(dump(*GOOD)[:-300]) + b"BZh9\0\0\0\0", ("cut short", "download it again")),
        (WHOLE[:300] + bytes(9) + WHOLE[309:], ("cannot be read", "download it again")),
        (gzip.compress(dump(*GOOD), mtime=0)[:-90], ("download it again",)),
        (b"\x28\xb5\x2f\xfd" + b"\x04" * 40, ("download it again",)),
        (dump(*GOOD).replace(b"Ort 5 liegt", b"Ort \xff\xfe liegt"), ("damaged", "invalid token")),
        (dump(*GOOD).replace(b"Ort 5 liegt", b"Ort &undefined; liegt"), ("damaged", "undefined entity")),
        (b'<?xml version="1.0" encoding="klingon"?>' + dump(*GOOD), ("klingon",)),
        (b"<!DOCTYPE html><html><body>404</body></html>", ("no dump of a wiki", "root is html", WANTED)),
        (b"<html><body><p>404<br></body>", ("root is html", WANTED)),
        (b"7z\xbc\xaf\x27\x1c\0\4" + bytes(range(256)), ("is not XML", WANTED)),
        (b"-- MySQL dump 10.16\nINSERT INTO `page` VALUES (1);", ("is not XML", WANTED)),
        (b"<feed><doc><title>Wikipedia: A</title></doc></feed>", ("root is feed", WANTED)),
        (b"", ("no element found", WANTED)),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", ("pointer of Git LFS",)),
        ((LAUGHS + "]><mediawiki><page>&a11;</page></mediawiki>").encode(), ("amplification", "download it again")),
        (dump(), ("holds no article (no page)", WANTED)),
        (dump(page(1, "A", revision("x"), redirect="B")), ("holds no article (1 redirects)", WANTED)),
        (b"<mediawiki>" + b"<a>" * 100_000, ("cut short", "download it again")),
        (b"<mediawiki>" + b"<logitem>%b</logitem>" % (b"x" * 100_000) * 340, ("MiB of XML without the end of a page",)),
    ],
    ids=range(22),
)
def test_damaged_and_foreign_files(tmp_path: Path, content: bytes, words: tuple[str, ...]) -> None:
    path = tmp_path / NAME
    path.write_bytes(content)
    began = time.process_time()
    with pytest.raises(LvmError) as caught:
        read(path)
    assert time.process_time() - began < 5
    assert [word for word in (str(path), *words) if word not in str(caught.value)] == [], caught.value


def test_a_dump_in_a_folder_is_to_be_named_itself(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"")
    with pytest.raises(LvmError, match=f"; name the dump itself as data.train, {tmp_path / NAME}$"):
        open_source(str(tmp_path), "data.train")
    other = tmp_path / "a.xml.xz"
    other.write_bytes(b"")
    with pytest.raises(LvmError, match=r"\.txt, .*and dumps \(\.xml, \.xml\.bz2, \.xml\.gz or \.xml\.zst\)$"):
        open_source(str(other), "data.train")


def test_a_folder_is_no_dump(tmp_path: Path) -> None:
    with pytest.raises(LvmError, match="not a regular file"):
        read_dump(tmp_path)


# --- wikitext -----------------------------------------------------------------------------------------------------


PIECES = ["{{a|", "[[a|", "<b>", "{|\n", "[http://a ", "<!--", "<ref name=", "{{{a|", "{{[[<b>", "{{a|<b>}}</b>", "#"]


@pytest.mark.parametrize("piece", PIECES)
def test_text_that_would_take_hours_is_left_out(tmp_path: Path, piece: str) -> None:
    path = tmp_path / NAME
    path.write_bytes(dump(*GOOD, page(10, "Leck", revision(piece * (200_000 // len(piece))))))
    began = time.process_time()
    documents, reading = read(path)
    assert time.process_time() - began < 5
    assert len(documents) == 3
    assert reading.examples == {"pages with too many open brackets": "Leck"}


def test_memory_does_not_grow_with_the_dump(tmp_path: Path) -> None:
    text = "Ein Satz von vielen. " * 2_000
    path = tmp_path / NAME
    path.write_bytes(dump(*(page(number, f"Ort {number}", revision(text)) for number in range(150))))
    assert path.stat().st_size > 6_000_000
    tracemalloc.start()
    try:
        reading = Reading()
        done = [reading.done for _ in read_dump(path).read(reading)]
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()
    assert len(done) == 150
    assert done == sorted(done)
    assert done[75] == pytest.approx(done[-1] / 2, rel=0.04)
