"""The report in a real browser: it sorts, filters, hides, copies and opens; it works without script and asks nobody."""

from __future__ import annotations

import csv
import io

import pytest
from playwright.sync_api import expect, sync_playwright

from lvm_core.comparison.as_published import beside_ours
from tests import report_data as made
from tools.browser import find_browser

pytestmark = [pytest.mark.needs("browser"), pytest.mark.xdist_group("report")]

WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
HIGHEST = 5000
"""Pixels of the page at 1,280 with its chapters closed."""
TOO_WIDE = """() => [...document.body.querySelectorAll("*")]
  .filter((one) => one.checkVisibility() && !one.closest(".scroll") && one.scrollWidth > one.clientWidth + 1)
  .filter((one) => getComputedStyle(one).display !== "inline" && !one.matches("select, .unseen"))
  .map((one) => `${one.tagName} ${one.textContent.trim().slice(0, 40)}`)"""

CUT_WORDS = """() => {
  const cut = [];
  for (const one of document.querySelectorAll("th, dt, dd > b, h1, h2, h3, summary, label, button, .badge")) {
    if (!one.checkVisibility()) continue;
    const walker = document.createTreeWalker(one, NodeFilter.SHOW_TEXT), range = document.createRange();
    while (walker.nextNode()) for (const word of walker.currentNode.data.matchAll(/[\\p{L}\\d]+/gu)) {
      range.setStart(walker.currentNode, word.index);
      range.setEnd(walker.currentNode, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size > 1) cut.push(word[0]);
    }
  }
  return cut;
}"""


@pytest.fixture(scope="module")
def comparison():
    recipes = {**made.many_recipes(21), "p4_published": (0.2, 0.5, -0.1, 0.6), "optimized": (0.3, 0.5, -0.1, 0.6)}
    found = made.comparison(recipes, time_direction=True, seeds=True)
    return {**found, "as_published": beside_ours({}, {})}


@pytest.fixture(scope="module")
def file(comparison, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    names = [row["name"] for row in comparison["rows"] if row["kind"] == "recipe"]
    run = made.run(seed=7)
    path.write_text(made.page(comparison=comparison, training=made.training(names), run=run), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser():
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def show(browser, file):
    """Opens the page; afterwards nothing was complained about, and nothing asked for but the page."""
    contexts, errors, requests = [], [], []

    def opened(hash_="", **settings):
        contexts.append(browser.new_context(**{"viewport": WIDE} | settings))
        page = contexts[-1].new_page()
        page.set_default_timeout(120_000)
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text))
        page.goto(file.as_uri() + hash_)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not errors
    assert {url.partition("#")[0] for url in requests} == {file.as_uri()}


def column(page, title):
    """Texts of a column of the ranking, of the rows that are shown."""
    head = page.locator("#ranking thead th").filter(has_text=title).first
    place = head.evaluate("head => head.cellIndex")
    return page.evaluate(
        "place => [...document.querySelectorAll('#ranking tbody tr')].filter((row) => !row.hidden)"
        ".map((row) => row.cells[place].firstChild.textContent.trim())",
        place,
    )


def names(page):
    return page.evaluate(
        "[...document.querySelectorAll('#ranking tbody tr')].filter((row) => !row.hidden)"
        ".map((row) => row.cells[0].firstChild.textContent)"
    )


def test_the_page_is_short_and_its_chapters_are_closed(show):
    page = show()
    assert page.evaluate("document.documentElement.scrollHeight") < HIGHEST
    assert page.locator("details[open]:visible").count() == 0
    assert page.locator("#run").bounding_box()["y"] < WIDE["height"]


def test_the_ranking_sorts_both_ways_with_the_undefined_last(show, comparison):
    page = show()
    first = names(page)
    assert first == [row["name"] for row in comparison["rows"]]
    head = page.locator("#ranking thead th", has_text="cosine").first
    for order, falls in (("descending", True), ("ascending", False)):
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == order
        values = [float(text.replace("−", "-")) for text in column(page, "cosine")]
        assert values == sorted(values, reverse=falls)
    assert page.locator("#ranking th[aria-sort]").count() == 1
    page.locator("#ranking thead th", has_text="name").get_by_role("button").press("Enter")
    assert names(page) == sorted(first)


def test_rows_are_filtered_by_name_status_and_kind(show, comparison):
    page = show()
    page.fill("#filter", "VARIANT")
    assert len(names(page)) == 19
    expect(page.locator("#shown")).to_have_text(f"19 of {len(comparison['rows'])} rows")
    page.fill("#filter", "")
    page.select_option("#kind", "reference")
    assert set(names(page)) == set(made.REFERENCES)
    page.fill("#filter", "copies")
    assert set(names(page)) == {row["name"] for row in comparison["rows"] if row["status"] == "copies"} & {
        *made.REFERENCES
    }


def test_columns_are_hidden_and_shown(show):
    page = show()
    head = page.locator("#ranking thead th", has_text="PAR, ood")
    expect(head).to_be_hidden()
    page.click("#ranking summary")
    page.get_by_label("PAR, ood").check()
    expect(head).to_be_visible()
    page.get_by_label("MRR", exact=True).uncheck()
    expect(page.locator("#ranking thead th", has_text="MRR").first).to_be_hidden()


@pytest.mark.parametrize("refused", [False, True])
def test_the_copied_table_is_what_is_shown(show, comparison, refused):
    page = show()
    page.evaluate(
        "refused => Object.defineProperty(navigator, 'clipboard', {value: {writeText: async (text) => {"
        "if (refused) throw Error('no'); window.copied = text; }}})",
        refused,
    )
    page.select_option("#kind", "recipe")
    page.click("#copy")
    expect(page.locator("#copied")).to_contain_text("refused" if refused else "Copied")
    assert page.locator("#csv").is_visible() == refused
    text = page.locator("#csv").input_value() if refused else page.evaluate("window.copied")
    table = list(csv.DictReader(io.StringIO(text)))
    rows = [row for row in comparison["rows"] if row["kind"] == "recipe"]
    assert [line["name"] for line in table] == [row["name"] for row in rows]
    for line, row in zip(table, rows, strict=True):
        assert (line["status"], line["sees"]) == (row["status"], row["sees"])
        assert line["certified"] == f"{row['gates_certified']} of {row['gates_certified_of']}"
        for title, key in (("R@5", "val_recall_at_5"), ("R@5 − best rival", "val_r5_vs_rival"), ("MRR", "val_mrr")):
            for end in ("", "lo", "hi"):
                shown, exact = line[f"{title} {end}".strip()], row[f"{key}_{end}".strip("_")]
                assert float(shown) == pytest.approx(exact, abs=0.00051)


def test_one_set_of_gates_is_shown_at_a_time(show):
    page = show()
    page.click("nav a[href='#gates']")
    choice = page.locator("#gates select")
    assert choice.locator("option").count() == page.locator("#gates .view").count() > 8
    for label in ("stage A of the summary, published frame (one chunk late)", "stage A of the summary, after phase B"):
        choice.select_option(label=label)
        expect(page.locator("#gates table:visible")).to_have_count(1)
        assert label in page.locator("#gates table:visible caption").text_content()


def test_a_link_opens_what_it_leads_to(show):
    page = show()
    page.locator("#ranking tbody a", has_text="p5").first.click()
    block = page.locator("#row-p5")
    expect(block).to_be_in_viewport()
    expect(block).to_contain_text("failed: ")
    expect(block.locator("svg.curve")).to_be_visible()
    expect(show("#row-p1").locator("#row-p1")).to_be_in_viewport()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_on_a_phone(show, scheme):
    page = show(viewport=PHONE, color_scheme=scheme)
    for _ in range(2):  # closed, then all open
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert page.evaluate(TOO_WIDE) == []
        assert page.evaluate(CUT_WORDS) == []
        page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")


def test_the_page_is_whole_without_script(show, comparison):
    page = show(java_script_enabled=False)
    expect(page.locator(".scripted:visible")).to_have_count(0)
    expect(page.locator("#ranking tbody tr:visible")).to_have_count(len(comparison["rows"]))
    assert page.locator("#ranking thead th:visible").count() < page.locator("#ranking thead th").count()
    page.click("nav a[href='#gates']")
    expect(page.locator("#gates .view > summary:visible")).to_have_count(page.locator("#gates .view").count())
    page.locator("#gates .view > summary").first.click()
    expect(page.locator("#gates table:visible")).to_have_count(1)


def test_paper_has_every_chapter(show):
    page = show()
    page.emulate_media(media="print")
    for key in ("frontier", "gates", "data", "claims"):
        expect(page.locator(f"#{key} > *:visible").first).to_be_visible()
    assert page.locator("#gates table:visible").count() == page.locator("#gates .view").count()
    expect(page.locator(".controls")).to_be_hidden()
