"""Pictures in a real browser: no text is cut or lies over another, and few lines have a colour of their own."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import sync_playwright

from lvm_core.config.references import REFERENCES
from lvm_core.report import pictures
from lvm_core.report.drawing import STYLESHEET, drawing, write_svg
from lvm_core.report.pictures import MOST, highlighted, lag_picture, profile_picture
from lvm_core.report.ranking import ranking_picture
from tests import report_data as made
from tests.paths import ROOT
from tools.browser import find_browser

pytestmark = pytest.mark.needs("browser")

FILES = sorted(path.name for path in (ROOT / "plots").glob("*.svg"))
WIDE, PHONE = 800, 390
KEYS = ("kind", "name", "val_recall_at_5")

FAULTS = """([most, slack]) => [...document.querySelectorAll("svg[role=img]")].flatMap((svg) => {
  const box = (element) => element.getBoundingClientRect();
  const name = svg.getAttribute("aria-label").slice(0, 40), all = box(svg), found = [];
  const texts = [...svg.querySelectorAll("text")].filter((one) => one.textContent.trim());
  if (!texts.length || all.right > innerWidth + slack) found.push(`${name}: no text, or wider than the screen`);
  texts.forEach((one, index) => {
    const a = box(one);
    const beyond = [all.left - a.left, a.right - all.right, all.top - a.top, a.bottom - all.bottom];
    if (Math.max(...beyond) > slack)
      found.push(`${name}: cut: ${one.textContent}`);
    for (const other of texts.slice(0, index)) {
      const b = box(other);
      if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > slack &&
          Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > slack)
        found.push(`${name}: overlap: ${one.textContent} and ${other.textContent}`);
    }
  });
  const lines = [...svg.querySelectorAll("path, use, line, polyline")];
  const colours = new Set(lines.map((one) => getComputedStyle(one).stroke));
  const loud = [...colours].filter((colour) => {
    const parts = (colour.match(/[0-9.]+/g) || [0, 0, 0]).slice(0, 3).map(Number);
    return Math.max(...parts) - Math.min(...parts) > 0.35 * Math.max(...parts);
  });
  if (loud.length > most) found.push(`${name}: ${loud.length} colours`);
  return found;
})"""


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def faults_of(browser):
    """What is wrong with pictures that stand below one another in a window of this width."""
    page = browser.new_page()

    def faults(svgs, width, style=""):
        page.set_viewport_size({"width": width, "height": 600})
        page.set_content(f"<!DOCTYPE html><style>body{{margin:0}}{style}</style>{''.join(svgs)}")
        return page.evaluate(FAULTS, [MOST, 1])

    return faults


@pytest.fixture(scope="module")
def many():
    recipes = made.many_recipes(25)
    names = [name if place % 3 else f"{name}_with_a_long_name_of_its_own" for place, name in enumerate(recipes)]
    comparison = made.comparison(dict(zip(names, recipes.values(), strict=True)))
    for row in comparison["rows"]:  # a line of what sees the context, one of what sees more; marks
        row["sees"] = {"copy_last": "memory", names[3]: "document", names[4]: "document"}.get(row["name"], row["sees"])
    return comparison


def pictures_of(page):
    return re.findall(r"<figure>.*?(<svg.*?</svg>)", page, re.DOTALL)


def test_committed_files(faults_of):
    assert len(FILES) == 4
    assert faults_of([(ROOT / "plots" / name).read_text() for name in FILES], WIDE, "svg{width:100%;height:auto}") == []


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_the_committed_page(faults_of, width):
    found = pictures_of((ROOT / "plots/report.html").read_text())
    assert len(found) == 9
    assert faults_of(found, width, STYLESHEET) == []


def test_many_recipes_some_with_long_names(faults_of, many):
    page = made.page(comparison=many, training=made.training([row["name"] for row in many["rows"][1:21]]))
    for width in (WIDE, PHONE):
        assert faults_of(pictures_of(page), width, STYLESHEET) == []


def test_a_bad_picture_is_caught(faults_of):
    with drawing("bad", "bad") as done:
        done.axes.text(0.5, 0.5, "one")
        done.axes.text(0.52, 0.5, "another")
        done.axes.annotate("outside", (1.0, 0.9), clip_on=False).set_in_layout(False)
        for place in range(10):  # one of them is grey
            done.axes.plot([0, 1], [0, place], color=f"C{place}")
    faults = faults_of([done.svg], WIDE, STYLESHEET)
    assert "bad: overlap: another and one" in faults
    assert "bad: cut: outside" in faults
    assert [fault for fault in faults if fault.endswith(" colours")]


def test_a_file_follows_the_reader_from_light_to_dark(browser, tmp_path):
    write_svg(tmp_path / "one.svg", lag_picture(made.lags(), {}).svg)
    (tmp_path / "one.html").write_text('<body style="margin:0"><img src="one.svg">')
    seen = []
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme, viewport={"width": WIDE, "height": 600})
        page.goto((tmp_path / "one.html").as_uri())
        page.evaluate("document.images[0].decode()")
        assert page.evaluate("document.images[0].naturalWidth") == WIDE
        seen.append(page.screenshot(clip={"x": 0, "y": 0, "width": 300, "height": 300}))
        page.goto((tmp_path / "one.svg").as_uri())
        colours = [page.locator(what).first.evaluate("one => getComputedStyle(one).fill") for what in ("text", "rect")]
        levels = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours]
        assert (levels[0] < levels[1]) == (scheme == "light")
        assert abs(levels[0] - levels[1]) > 250
        page.close()
    assert seen[0] != seen[1]


def test_what_is_highlighted_follows_from_the_figures(monkeypatch):
    def names(recipes, references):
        rows = [("recipe", name, value) for name, value in recipes.items()]
        rows += [("reference", name, value) for name, value in references.items()]
        return [
            row["name"]
            for row in highlighted(
                [dict(zip(KEYS, row, strict=True)) | {"sees": REFERENCES.get(row[1], "context")} for row in rows]
            )
        ]

    recipes = {f"r{place}": place / 100 for place in range(12)}
    references = {"oracle": 1.0, "article_centroid": 0.9, **{f"b{place}": place / 50 for place in range(5)}}
    best = ["r11", "r10", "r9", "r8"]
    monkeypatch.setattr(pictures, "shipped", lambda: {*recipes, "a", "b"})
    assert names(recipes | {"mine": 0.0}, references) == ["mine", *best, "b4", "b3", "b2"]
    assert names({"mine": 0.0}, references) == ["mine", "b4", "b3", "b2", "b1", "b0"]
    assert names(recipes, {"oracle": 1.0}) == [*best, "r7", "r6", "r5", "r4"]
    assert names(dict.fromkeys("ab"), {"oracle": 1.0, "c": None}) == ["a", "b", "c"]


def test_a_pointer_is_told_the_values(many):
    rows = many["rows"]
    picture = ranking_picture(rows).svg
    told = re.findall(r"<title>(.*?)</title>", picture)
    assert "p5, val: 0.279 [" in "".join(told)
    assert len(told) == 2 * (len(rows) - 1)  # both splits; the oracle stands at the edge
    assert "val 1.000, ood 0.900 →" in picture
    assert "best that sees context: linear5 0.461" in picture
    assert "best that sees memory: copy_last 0.499" in picture
    best = next(row for row in rows if row["kind"] == "recipe")
    assert f"{best['name']}, offset 1: {best['val_cosine']:.3f}" in profile_picture(rows).svg
