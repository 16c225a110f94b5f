"""The chunker keeps every word, the order and the lengths; sentences are cut where sentences end."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from lvm_core.config.data import CorpusParams
from lvm_core.config.params import validate
from lvm_core.corpus.chunker import (
    ParagraphCounts,
    chunk_paragraphs,
    count_cut,
    fit_pieces,
    is_boilerplate,
    sentence_ends,
    split_long,
)

# Words, stops and spaces in odd proportions: long words, no spaces, abbreviations, dashes, scripts without spaces.
TEXT = st.lists(
    st.sampled_from(
        [
            "a",
            "word",
            "Words",
            "x" * 37,
            "U.S.",
            "Mr.",
            "end.",
            "End!",
            "—",
            ";",
            "so:",
            "e.g.",
            "漢字。",
            "“No.”",
            "\n",
        ]
    ),
    max_size=60,
).flatmap(lambda words: st.sampled_from([" ", "", "  "]).map(lambda gap: gap.join(words)))
LENGTHS = st.tuples(st.integers(1, 40), st.integers(1, 60)).map(lambda pair: (pair[0], 2 * pair[0] + pair[1]))


def params(min_chars: int, max_chars: int, short: str = "join") -> CorpusParams:
    value = {"min_chars": min_chars, "max_chars": max_chars, "min_chunks": 9, "short": short}
    checked: CorpusParams = validate(
        value | {"max_train_articles": None, "max_ood_articles": None}, CorpusParams, "corpus"
    )
    return checked


def letters(texts: list[str]) -> str:
    return "".join("".join(text.split()) for text in texts)


@settings(max_examples=150, deadline=None)
@given(paragraphs=st.lists(TEXT, max_size=8), lengths=LENGTHS)
@example(paragraphs=["abc d efgh"], lengths=(2, 5))
@example(paragraphs=["漢字。" * 40], lengths=(3, 7))
def test_joining_loses_nothing_and_keeps_the_lengths(paragraphs: list[str], lengths: tuple[int, int]) -> None:
    counts = ParagraphCounts()
    chunks = chunk_paragraphs(paragraphs, params(*lengths), counts)
    normalised = [" ".join(paragraph.split()) for paragraph in paragraphs if paragraph.strip()]
    prose = [paragraph for paragraph in normalised if not is_boilerplate(paragraph)]
    assert letters(chunks) == letters(prose)
    assert all(len(chunk) <= lengths[1] for chunk in chunks)
    assert all(len(chunk) >= lengths[0] for chunk in chunks) or len(chunks) == 1
    assert all(chunk == " ".join(chunk.split()) for chunk in chunks)
    assert counts.read == len(normalised)
    assert counts.boilerplate == len(normalised) - len(prose)
    assert counts.dropped_short == 0


@settings(max_examples=100, deadline=None)
@given(paragraphs=st.lists(TEXT, max_size=8), lengths=LENGTHS)
def test_dropping_takes_the_short_paragraphs_and_only_those(paragraphs: list[str], lengths: tuple[int, int]) -> None:
    counts = ParagraphCounts()
    chunks = chunk_paragraphs(paragraphs, params(*lengths, short="drop"), counts)
    prose = [text for text in (" ".join(paragraph.split()) for paragraph in paragraphs) if text]
    kept = [text for text in prose if not is_boilerplate(text) and len(text) >= lengths[0]]
    assert letters(chunks) == letters(kept)
    assert all(lengths[0] <= len(chunk) <= lengths[1] for chunk in chunks)
    assert counts.dropped_short == counts.read - counts.boilerplate - len(kept)
    assert counts.joined == 0


@settings(max_examples=100, deadline=None)
@given(text=st.text("abc .;", min_size=1, max_size=400), lengths=LENGTHS)
def test_chunks_are_not_cut_again(text: str, lengths: tuple[int, int]) -> None:
    text = " ".join(text.split())
    pieces = split_long(text, *lengths)
    assert [piece for whole in pieces for piece in split_long(whole, *lengths)] == pieces
    if len(text) <= lengths[1]:
        assert pieces == [text]


def test_long_paragraph_is_cut_at_sentence_ends_into_similar_pieces() -> None:
    sentence = "The committee met on Monday and spoke at length of roads and bridges."
    text = " ".join([sentence] * 10)
    pieces = split_long(text, 100, 300)
    assert all(piece.endswith(".") and piece.startswith("The committee") for piece in pieces)
    assert max(map(len, pieces)) <= 2 * min(map(len, pieces))


def test_a_sentence_without_end_is_cut_at_a_clause_then_between_words() -> None:
    assert split_long("the roads were mended; the bridges were built anew", 10, 40)[0] == "the roads were mended;"
    pieces = split_long("word " * 20 + "word", 10, 40)
    assert {word for piece in pieces for word in piece.split()} == {"word"}


def test_a_very_long_line_is_cut_in_linear_time() -> None:
    pieces = split_long("No stop here " * 80_000 + "end", 120, 800)
    assert 1300 <= len(pieces) <= 1500


def test_heading_is_joined_forwards_and_the_last_short_one_backwards() -> None:
    body = "This paragraph has enough characters."
    chunks = chunk_paragraphs(["On roads", body, body.upper().lower(), "The end"], params(20, 80), ParagraphCounts())
    assert chunks == [f"On roads {body}", f"{body.lower()} The end"]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("He came. She went.", ["He came.", "She went."]),
        ("Mr. Polk and Dr. J. Q. Adams spoke. All heard.", ["Mr. Polk and Dr. J. Q. Adams spoke.", "All heard."]),
        ("The U.S. Navy, No. 5 of them, sailed. It won.", ["The U.S. Navy, No. 5 of them, sailed.", "It won."]),
        ("They said no. We asked again.", ["They said no.", "We asked again."]),
        ('"Is it so?" he asked. "Yes!" "No."', ['"Is it so?" he asked.', '"Yes!"', '"No."']),
        (
            "It cost $8.5 million. 12 men paid (all.) We left.",
            ["It cost $8.5 million.", "12 men paid (all.)", "We left."],
        ),
        ("Wait... what? Nothing… Go on.", ["Wait... what?", "Nothing…", "Go on."]),
        ("今日は。明日は！", ["今日は。", "明日は！"]),
        ("円周率は３．１４である．覚えよ．終り", ["円周率は３．１４である．", "覚えよ．", "終り"]),
        ("ﾃｽﾄｶﾞ｡次｡", ["ﾃｽﾄｶﾞ｡", "次｡"]),
        ("本当？！」と彼は言った", ["本当？！」", "と彼は言った"]),
        ("你好!你是谁?我是他.再见", ["你好!", "你是谁?", "我是他.", "再见"]),
        ("「はい。」「いいえ。」", ["「はい。」", "「いいえ。」"]),
        ("„Er kam.“ »Ja.« Dann ging sie.", ["„Er kam.“", "»Ja.«", "Dann ging sie."]),
        ("Il dit : « Oui. » Puis il partit.", ["Il dit : « Oui. »", "Puis il partit."]),
        ("Yahoo!知恵袋とNode.js入門", ["Yahoo!知恵袋とNode.js入門"]),
        ("राम घर गया। सीता आई॥ अंत", ["राम घर गया।", "सीता आई॥", "अंत"]),
        ("کیا حال ہے؟ میں ٹھیک ہوں۔ اچھا", ["کیا حال ہے؟", "میں ٹھیک ہوں۔", "اچھا"]),
        ("Բարեւ։ Ինչպես ես", ["Բարեւ։", "Ինչպես ես"]),
        ("ሰላም።እንደምን", ["ሰላም።", "እንደምን"]),
        ("အဆင်ပြေ။ဟုတ်", ["အဆင်ပြေ။", "ဟုတ်"]),
        ("ខ្ញុំទៅ។អ្នក", ["ខ្ញុំទៅ។", "អ្នក"]),
        ("", [""]),
    ],
)
def test_sentence_ends(text: str, sentences: list[str]) -> None:
    ends = [*sentence_ends(text), len(text)]
    assert [text[start:end].strip() for start, end in zip([0, *ends], ends, strict=False)] == sentences


@pytest.mark.parametrize(
    ("paragraph", "expected"),
    [
        ("* * *", True),
        ("II.", True),
        ("NATIONAL DEFENSE", True),
        ("1901 4,870,067 115,682 ab", True),
        ("On national defense", False),
        ("漢字の文章です", False),
        ("की वी की पी", False),
        ("SHOUTED " * 20, False),
    ],
)
def test_boilerplate(paragraph: str, expected: bool) -> None:
    assert is_boilerplate(paragraph.strip()) is expected


class ByCharacter:
    """A measure with so many pieces for each character of a kind."""

    room: int | None = 40

    def count(self, texts: Sequence[str]) -> list[int]:
        return [sum(1 + 2 * (not one.isascii()) for one in text) for text in texts]


GRAPHEMES = (
    "a",
    "word",
    " ",
    ". ",
    "漢",
    "。",
    "e\u0301",
    "کि",
    "न\u094dन",
    "👩\u200d🔬",
    "🇩🇪",
    "👍🏽",
    "ก\u0e34",
    "เก",
    "각",
)


@settings(max_examples=150, deadline=None)
@given(parts=st.lists(st.sampled_from(GRAPHEMES), min_size=1, max_size=80))
def test_no_text_is_lost_and_every_piece_fits(parts: list[str]) -> None:
    text = " ".join("".join(parts).split())
    assume(text)
    pieces = fit_pieces(split_long(text, 5, 60), 5, 40, ByCharacter())
    assert letters(pieces) == letters([text])
    assert max(map(len, pieces)) <= 60
    assert max(ByCharacter().count(pieces)) <= 40
    for piece in pieces[1:]:
        assert unicodedata.category(piece[0])[0] != "M"
        assert piece[0] not in "\u200d🏽。."
    assert not [piece for piece in pieces if piece.endswith(("\u200d", "เ"))]


def test_where_no_border_is_in_reach_a_text_is_cut_all_the_same() -> None:
    text = "a" + "\u0301" * 5000
    pieces = fit_pieces(split_long(text, 120, 800), 120, 40, ByCharacter())
    assert "".join(pieces) == text
    assert max(ByCharacter().count(pieces)) <= 40


def test_a_word_is_cut_only_where_no_other_border_is_in_reach() -> None:
    for piece in split_long("使用Python编程" * 20, 10, 60):
        assert piece[0] in "使用P编程"
    for piece in split_long("ภาษาไทยเป็นภาษาที่ไม่มีช่องว่าง" * 10, 10, 60):
        assert piece[0] not in "ะาำ็ี่้"
        assert piece[-1] not in "เไ"


def test_two_word_pieces_a_character_take_precedence_over_the_shortest_chunk() -> None:
    counts, checked = ParagraphCounts(), params(60, 200).model_copy(update={"max_pieces": "auto"})
    chunks = chunk_paragraphs(["漢字仮名" * 40], checked, counts, ByCharacter())
    assert (max(map(len, chunks)), counts.more_pieces) == (13, len(chunks) - 1)
    assert count_cut(chunks, checked, ByCharacter()) == 0
    whole = checked.model_copy(update={"max_pieces": None})
    assert count_cut(chunk_paragraphs(["漢字仮名" * 40], whole, counts, ByCharacter()), whole, ByCharacter()) == 1
