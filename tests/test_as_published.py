"""The earlier work's own rows: as they stood there, beside ours, never among ours."""

from __future__ import annotations

import pytest
import yaml

from lvm_core.comparison.as_published import beside_ours, published_table
from lvm_core.comparison.rows import columns
from lvm_core.report.tables import markdown, published
from tests import report_data as made
from tests.paths import ROOT

FINAL = {name: {"val": {"published_margin": -0.2, "recall_at_5": 0.33}} for name in ("p1", "p5")}
AFTER_A = {name: {"val": {"published_margin": -0.1, "recall_at_5": 0.25}} for name in ("p1", "p5")}
KEYS = ("val_published_margin", "val_recall_at_5")


@pytest.fixture
def table():
    return beside_ours(FINAL, AFTER_A)


@pytest.fixture(scope="module")
def page():
    """The report on a run in which some recipes were stopped."""
    stopped = beside_ours(FINAL, AFTER_A, ["p1", "p5", "v3"])
    return made.page(comparison=made.comparison() | {"as_published": stopped})


def test_the_rows_are_the_eleven_published_ones():
    """Figures of the summary of 2 November 2025, which shows six of the eleven; the others are in prior results, 8."""
    rows = {row.number: row for row in published_table().rows}
    assert set(rows) == set(range(1, 12))
    assert [row.number for row in published_table().rows] == sorted(rows, reverse=True)
    summary = {number: (row.val_cosine, row.margin, row.recall_at_5, row.gates) for number, row in rows.items()}
    assert summary[11] == (0.463, -0.041, 0.175, "1/5")
    assert summary[10] == (0.338, -0.149, 0.221, "2/5")
    assert summary[9] == (0.526, -0.064, None, None)
    assert summary[8] == (0.472, -0.534, None, None)
    assert summary[7] == (0.550, -0.167, 0.243, "2/5")


def test_each_row_is_rebuilt_by_a_recipe_that_exists():
    recipes = yaml.safe_load((ROOT / "params.yaml").read_text())["recipes"]
    assert {row.recipe for row in published_table().rows} <= set(recipes)


def test_ours_stands_beside_a_row_only_where_its_recipe_is_in_the_table(table):
    rows = {row["number"]: row for row in table["rows"]}
    assert rows[7]["ours"] == rows[4]["ours"] == dict(zip(KEYS, (-0.2, 0.33), strict=True))  # p1, twice
    assert rows[11]["ours"] == dict(zip(KEYS, (-0.1, 0.25), strict=True))  # P5 was published after phase A
    assert rows[1]["ours"] is None
    assert rows[6]["ours"] is None


def test_a_final_model_that_was_stopped_is_marked_but_not_what_was_published_after_phase_a(page):
    table = beside_ours(FINAL, AFTER_A, ["p1", "p5", "v3"])
    assert [row["number"] for row in table["rows"] if row["stopped"]] == [7, 6, 4]
    lines = markdown(published(table["rows"])).splitlines()
    assert sum("| p1, stopped after A |" in line for line in lines) == 2
    (p5,) = [line for line in lines if line.startswith("| `11 ")]
    assert "| p5 after A |" in p5
    (v3,) = [line for line in lines if line.startswith("| `6 ")]
    assert "stopped" not in v3  # no figures of ours
    assert page.count("p1, stopped after A") == 2


def test_a_recipe_without_the_figure_is_shown_as_undefined():
    empty = {"p1": {"val": {"published_margin": None, "recall_at_5": None}}}
    lines = markdown(published(beside_ours(empty, {})["rows"])).splitlines()
    (line,) = [line for line in lines if line.startswith("| `7 ")]
    assert line.endswith("| p1 | - | - |")


def test_the_chapter_has_every_row_its_correction_and_the_way_to_the_story(table):
    page = made.text()
    chapter = page[page.index("## As published") : page.index("## The same predictors")]
    for row in table["rows"]:
        (line,) = [line for line in chapter.splitlines() if line.startswith(f"- {row['number']}, {row['name']} (")]
        assert line.endswith(f"): {row['correction']}.")
        assert row["approach"] in line
    lines = markdown(published(table["rows"])).splitlines()
    (line,) = [line for line in lines if line.startswith("| `11 ")]
    assert "| 0.463 | -0.041 | 0.0320 | 0.175 | 1/5 | failed | p5 after A | -0.100 | 0.250 |" in line
    (line,) = [line for line in lines if line.startswith("| `5 ")]
    assert "| - | - | - | - | - | failed | - | - | - |" in line
    assert len({line.count("|") for line in lines}) == 1
    assert "-0.54" in chapter
    assert "the epoch of phase C that is best on dev" in chapter
    assert "../docs/how-to-read-the-numbers.md#the-story-of-the-off-by-one" in chapter
    assert "## The story of the off-by-one" in (ROOT / "docs/how-to-read-the-numbers.md").read_text()


def test_published_rows_are_never_in_the_csv(table):
    assert not [column for column in columns(["certified"]) if "correction" in column or "approach" in column]
    assert not {row["name"] for row in table["rows"]} & {row["name"] for row in made.comparison()["rows"]}


def test_the_page_folds_them_away(table, page):
    chapter = page.index('id="published"')
    folded = page[chapter : page.index("</details>", chapter)]
    for row in table["rows"]:
        assert f"{row['number']} {row['name']}" in folded
    assert 'href="#published"' in page
    assert "p5 after A" in folded.replace("<wbr>", "")


def test_a_page_of_an_older_comparison_has_none():
    page = made.page()
    assert "As published on" not in page
    assert "#published" not in page
