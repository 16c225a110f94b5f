"""Markdown pages keep every paragraph of prose; what is left out is counted by kind."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvm_core.corpus import Article, Document
from lvm_core.corpus.markdown import parse_markdown

PROSE = [f"Paragraph {number} tells of **lamps**, roads\nand bridges." for number in range(24)]
PLAIN = [f"Paragraph {number} tells of lamps, roads and bridges." for number in range(24)]


def parsed(text: str) -> Article:
    return parse_markdown(Document("source/page.md", "page", text, parse_markdown))


def page(construct: str, place: int) -> str:
    return "\n\n".join([*PROSE[:place], construct, *PROSE[place:]]) + "\n"


# A construct, the paragraphs that it gives, and the blocks left out.
CONSTRUCTS: dict[str, tuple[str, list[str], dict[str, int]]] = {
    # of the issue
    "fence in an item": ("- ```sh\n  make\n  ```", [], {"code": 1}),
    "fence in an item, indented": ("  - ```sh\n    make\n    ```", [], {"code": 1}),
    "fence in a numbered item": ("2. ```sh\n   make\n   ```", [], {"code": 1}),
    "fence in an item, not aligned": ("- ```sh\n  make\n  ```\n2. ```sh\n   make\n   ```", [], {"code": 2}),
    "code that begins a line": ("```make``` is the command of all.", ["make is the command of all."], {}),
    "rule": ("---", [], {}),
    "year at a line's begin": (
        "It was raised in\n1876. Its lamp came later.",
        ["It was raised in 1876. Its lamp came later."],
        {},
    ),
    # code
    "fence of tildes with ticks": ("~~~\n```\n~~~", [], {"code": 1}),
    "fence in a longer one": ("````md\n```\nx\n\n```\n````", [], {"code": 1}),
    "fence in a quotation": ("> ```\n> x\n> ```\n> Said.", ["Said."], {"code": 1}),
    "fence ended by its quotation": ("> ```py\n> x\n> y", [], {"code without an end": 1}),
    "indented": ("    x = 1\n\n    y = 2", [], {"code": 1}),
    "indented by a tab": ("\tx = 1", [], {"code": 1}),
    "code in double ticks": ("Type `` ` `` and `<b>`.", ["Type ` and <b>."], {}),
    # lists
    "list": ("- one\n- two\n\n  more of two\n  - three", ["one", "two", "more of two", "three"], {}),
    "numbered": ("1. one\n2. two\n\n3) three\n4) four", ["one", "two", "3) three", "4) four"], {}),
    "numbered from nought, and all alike": (
        "0. a\n1. b\n\n<!-- -->\n\n1. c\n1. d",
        ["a", "b", "c", "d"],
        {"comment": 1},
    ),
    "year at a paragraph's begin": ("1876. Its lamp came later.", ["1876. Its lamp came later."], {}),
    "year alone": ("1876.", ["1876."], {}),
    "date": ("3. März 1914: Regen.", ["3. März 1914: Regen."], {}),
    "tasks": ("- [ ] open\n- [x] *done*\n- [a] no box", ["open", "done", "[a] no box"], {}),
    "dialogue": ("- Hello, said he.\n- Good day.", ["Hello, said he.", "Good day."], {}),
    "quotation": ("> A\n> quoted\nlazily\n>\n> > thing", ["A quoted lazily", "thing"], {}),
    # headings
    "headings": ("# One *two* #\n\nThree\nfour\n===", ["One two", "Three four"], {}),
    # tables
    "table": ("| a | b |\n|---|:-:|\n| 1 | 2 |", [], {"table": 1}),
    "text right under a table": ("a | b\n--- | ---\n1 | 2\nAnd *so* on.", ["And so on."], {"table": 1}),
    # links, notes
    "links": (
        '[The *map*](http://x.y "t"), [it][m], [m], <http://z.w>, <a@b.c>\n\n[m]: http://x.y "Title"',
        ["The map, it, m, http://z.w, a@b.c"],
        {"link definition": 1},
    ),
    "definition twice": ("[a]: /x\n[a]: /y", [], {"link definition": 2}),
    "footnote": (
        "Said[^1] and[^none].\n\n[^1]: Word\n\n[^2]: See *him*.\n\n    And her.",
        ["Said and[^none].", "Word", "See him.", "And her."],
        {},
    ),
    "images": ("![Alt](a.png) Seen. [![b](c.svg)](http://d)", ["Seen."], {"image": 2}),
    "a picture alone": ('<p align="center">\n<img src="a.png" alt="b">\n</p>', [], {"image": 1}),
    # inline
    "entities, escapes and breaks": ("a &amp; b&nbsp;c \\*d\\*  \ne\\\nf<br/>g ~~h~~", ["a & b\xa0c *d* e f g h"], {}),
    "stars and bars in words": ("2 * 3 * 4, a snake_case_name", ["2 * 3 * 4, a snake_case_name"], {}),
    "a comment within": ("One <!-- two --> three <b>four</b><sup>2</sup>", ["One  three four2"], {"comment": 1}),
    "no tags": ("<Alice> if a <b and c> d, List<String>", ["<Alice> if a <b and c> d, List<String>"], {}),
    # HTML
    "comment": ("<!-- one\n\ntwo -->", [], {"comment": 1}),
    "details": (
        "<details open><summary>More</summary>\n\n*Text*\n\n</details>",
        ["More", "Text"],
        {},
    ),
    "text in HTML": (
        "<div class='a'>One <b>two</b> &lt; three<p>four<br>five</div>",
        ["One two < three", "four five"],
        {},
    ),
    "tables and code in HTML": (
        "<div>\n<table><tr><td>a</table><pre>b</pre>c</div>",
        ["c"],
        {"table": 1, "code": 1},
    ),
    "scripts and styles": ("<script>\nif (a < b)\n\n</script>\n\n<style>p {}</style>", [], {"html": 2}),
    "a declaration and code": ("<!DOCTYPE html>\n\n<?php echo 1; ?>", [], {"html": 2}),
    "a component": ("<Tabs>\n\nText\n\n</Tabs>", ["<Tabs>", "Text", "</tabs>"], {}),
    "half a tag": ("<div this is how it begins & ends", ["<div this is how it begins & ends"], {}),
    # others' extensions
    "admonitions": (
        '!!! note "A title"\n\n    One\n\n    two\n\n???+ tip\n    Three',
        ["note A title", "One", "two", "tip", "Three"],
        {},
    ),
    "containers and templates": (
        ":::note\n\nText\n\n:::\n\n{% include x %}",
        [":::note", "Text", ":::", "{% include x %}"],
        {},
    ),
    "formula": ("$$\na_1 + a_2\n$$", ["$$ a_1 + a_2 $$"], {}),
    "definition list": ("Term\n: What it *is*.", ["Term : What it is."], {}),
}


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_a_construct_takes_no_paragraph_around_it(name: str) -> None:
    construct, given, left_out = CONSTRUCTS[name]
    for place, line_end, begin in ((1, "\r\n", "\ufeff"), (12, "\n", ""), (24, "\r", "")):
        article = parsed(begin + ("# The title\n\n" + page(construct, place)).replace("\n", line_end))
        assert article.title == "The title"
        assert article.paragraphs == [*PLAIN[:place], *given, *PLAIN[place:]]
        assert article.left_out == left_out


@pytest.mark.parametrize(
    "front",
    [
        "---\ntitle: x\ntags: [a, b]\n---\n",
        "---\ntitle: x\nabout: |\n  a\n\n  b\n...\n",
        '+++\ntitle = "x"\n\n[menu]\nweight = 1\n+++\n',
        "---\ntitle: Lamps: a history\nby: {{ .Name }}\n---\n",
        "---  \ndate: 2020-13-45\nimage: !at x\n--- \n",
    ],
)
def test_front_matter_is_left_out_and_counted(front: str) -> None:
    article = parsed(front + "\n\n".join(PROSE))
    assert (article.title, article.paragraphs, article.left_out) == ("page", PLAIN, {"front matter": 1})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("---\n\n", "\n\n---\n\n"),  # of the issue
        ("---\n\nNote: it is one.\n\n", "\n\n---\n\n"),
        ("---\n", "\n\n---\n"),
        ("+++\n", "\n+++\n\n"),
        ("---\ntitle: x: y\n\n", "\n\n---\n\n"),
        ("\n---\ntitle: x\n\n", "\n\n---\n\n"),
        ("---\na: " + "[" * 500 + "\n\n", "\n\n---\n\n"),
    ],
)
def test_a_rule_at_the_top_is_not_front_matter(before: str, after: str) -> None:
    article = parsed(before + "\n\n".join(PROSE[:12]) + after + "\n\n".join(PROSE[12:]))
    found = "\n".join(article.paragraphs)
    assert [text for text in PLAIN if text not in found] == []
    assert not article.left_out


def test_the_title_is_the_first_heading_that_can_be_one() -> None:
    assert parsed("Text\n\n## A\n\n# B").title == "A"
    assert parsed("#\n\nText").title == "page"
    long = parsed("Not\na title\n---\n\n" + "so " * 100 + "on\n---\n\n> # Title")
    assert (long.title, len(long.paragraphs)) == ("Title", 2)
    assert parsed("").paragraphs == parsed("```\nall\n```\n").paragraphs == []


@pytest.mark.parametrize("opening", ["<!--", "<?", "<!x", "<![CDATA[", "<pre>", "<script>", "<Style>", "<textarea>"])
def test_html_without_an_end_takes_nothing(opening: str) -> None:
    article = parsed(page(f"{opening} said", 12) + "\n> " + "\n> ".join(f"{opening} `<!--` *more*".split("\n")))
    assert [text for text in article.paragraphs if text in PLAIN] == PLAIN
    assert article.paragraphs[12].endswith("said")
    assert not article.left_out


def test_code_without_an_end_is_counted_by_its_blocks() -> None:
    for end in ("", "\n\n"):
        article = parsed(page("```py\nx", 20).rstrip() + end)
        assert (article.paragraphs, article.left_out) == (PLAIN[:20], {"code without an end": 5})


def test_a_stray_end_of_code_takes_nothing() -> None:
    assert parsed(page("2. ```sh\n  make\n  ```", 12)).paragraphs == [*PLAIN[:12], "make", *PLAIN[12:]]
    glued = parsed(page("Type\n2. ```sh\n   make\n   ```", 12))
    assert (glued.paragraphs[13:], glued.left_out) == (PLAIN[12:], {})
    nested = parsed("".join("`" * count + f"\n\nword{count}\n\n" for count in range(40, 2, -1)))
    assert "word21" in nested.paragraphs
    assert nested.left_out == {"code without an end": 35}


@pytest.mark.parametrize("mark", ["> ", "- ", "1. ", ">", "!!! a\n    "])
def test_nothing_is_lost_in_the_depth(mark: str) -> None:
    deep = [mark * depth + f"word{depth}" for depth in range(0, 150, 29)]
    found = "\n".join(parsed("\n\n".join(deep)).paragraphs)
    assert [depth for depth in range(0, 150, 29) if f"word{depth}" not in found] == []


MARKS = (
    *(
        "**",
        "*",
        "_",
        "`",
        "``",
        "[",
        "](u:v)",
        "(",
        ")",
        "<b>",
        "<br>",
        "<div>",
        "</div>",
        "\n",
        "\n\n",
        "\n> ",
        "\n- ",
    ),
    *(
        "\n1. ",
        "\n12. ",
        "\n# ",
        "\n---\n",
        "\n===\n",
        "  \n",
        "\\",
        "&amp;",
        "&",
        "<Alice>",
        "<",
        ">",
        "|",
        "~~",
        "\n!!! ",
    ),
    *("\n??? ", "$", "\n<p>", "\n</td>\n", "<u ", "'", ":::", "\n>>", "\n<span>\n", "\r\n", "<x:", "{% %}", "[^1]"),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.sampled_from(MARKS), max_size=3).map("".join), min_size=1, max_size=25))
def test_every_word_is_kept_or_something_is_counted(marks: list[str]) -> None:
    words = [f"w{number}x" for number in range(len(marks))]
    article = parsed("".join(f" {word}{mark}" for word, mark in zip(words, marks, strict=True)))
    found = " ".join([article.title, *article.paragraphs])
    assert article.left_out or [word for word in words if word not in found] == []


@pytest.mark.parametrize(
    "text",
    [
        *(
            "![" * 500_000,  # a megabyte, which would take a minute and a half
            "[" * 5_000,
            "![" * 2000 + "](x)" * 2000,
            "<![CDATA[" * 2500,
            "[^a]: b\n\n" + "[^a" * 4000,
            "<div>\n" + "<!-- " * 10_000,
        ),
        *("<?\n" * 10_000, "---\n" + "word " * 30_000 + "\n---\n", "> " * 20_000, "a" * 200_000),
    ],
)
def test_time_grows_with_the_length_alone(text: str) -> None:
    began = time.process_time()
    parsed(text)
    assert time.process_time() - began < 5
