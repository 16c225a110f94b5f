"""The report: complete, self-contained, safe with any name, and honest about what is undefined."""

from __future__ import annotations

import json
import re
import subprocess
from html.parser import HTMLParser
from shutil import copyfile

import numpy as np
import pytest
from matplotlib import pyplot as plt

from lvm_core.config.gates import GatesParams, frames_of
from lvm_core.config.params import load_group, read_params
from lvm_core.frontier.answer import answer
from lvm_core.report import numbers, tables
from lvm_core.report.drawing import VARIABLES, drawing, inline_svg
from lvm_core.report.page import what_was_run
from lvm_core.report.pictures import phase_borders, place_labels
from lvm_core.report.verdict import few_articles, reach, verdict
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import write_csv, write_json
from stages import report as stage
from tests import report_data as made
from tests.paths import ROOT
from tools import report as tool

VOID = {"meta", "br", "wbr", "link", "img", "hr", "input"}
SECTIONS = (
    "selected",
    *("ranking", "picture", "rows", "meaning", "frontier", "profiles", "training", "gates", "direction", "seeds"),
    *("data", "claims"),
)
GATES: GatesParams = load_group(read_params(ROOT / "params.yaml"), "gates", GatesParams)
HOSTILE = "<script>alert('&')</script>"


class Page(HTMLParser):
    """A page's elements: raises where they are not balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.cells: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        found = dict(attrs)
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [found["href"]] if "href" in found else []
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text += data
        if {"td", "th"} & set(self.open):
            self.cells[-1] += data


SIGHTED = {**made.RECIPES, "p9_document": (0.57, 0.5, -0.1, 0.6), "p9_memory": (0.56, 0.5, -0.1, 0.6)}


def reached(frontier, rows):
    """The frontier as the page shows it, with its answer."""
    return reach(frontier, "" if frontier is None else answer(frontier, rows))


@pytest.fixture(scope="module")
def usual():
    return made.page(comparison=made.comparison(time_direction=True, seeds=True))


@pytest.fixture(scope="module")
def many():
    recipes = made.many_recipes(25) | {"p9_document": SIGHTED["p9_document"]}
    run = made.run(seed=7, **{"train.epochs.a": 1})
    return made.page(comparison=made.comparison(recipes), training=made.training(list(recipes)), run=run)


@pytest.fixture(scope="module")
def bare():
    """Nothing on ood, no margin, no retrieval, no frontier, one epoch."""
    return made.page(
        comparison=made.comparison(undefined=("ood", "val_margin", "val_recall", "val_mrr")),
        frontier=None,
        ladder=None,
        calibration=None,
        reliability=None,
        diagnosis=made.diagnosis(["val"]),
        lags=made.lags(["val"]),
        training=made.training(epochs=(1, 0, 0)),
    )


@pytest.fixture(scope="module")
def hostile():
    recipes = {
        HOSTILE: made.RECIPES["p1"],
        "$x_{$": made.RECIPES["p5"],
        'style="#010101" id="a"': (0.2, 0.4, -0.2, 0.5),
    }
    comparison = made.comparison(recipes, about=HOSTILE)
    comparison["time_direction"] = {HOSTILE: made.comparison(time_direction=True)["time_direction"]["p1"]}
    ladder = made.ladder([HOSTILE, "$x_{$"])
    return made.page(comparison=comparison, training=made.training([HOSTILE, "$x_{$"]), ladder=ladder)


@pytest.fixture(scope="module")
def stopped():
    """p5 went no further than phase A, so that its variants are left out. No confidence was measured on val."""
    out = {"left_out": {"time_direction": ["p5"], "seeds": ["p5"]}}
    calibration = {**made.calibration(), "val": None, "bias": {}}
    return made.page(
        comparison=made.comparison(stopped=["p5"]) | out, calibration=calibration, reliability=made.reliability()[:0]
    )


@pytest.fixture(params=["usual", "many", "bare", "hostile"])
def page(request):
    return request.getfixturevalue(request.param)


def test_a_page_is_balanced_and_needs_nothing_from_elsewhere(page):
    parsed = Page(page)
    assert not re.search("https?:", page)
    assert not {"link", "img", "iframe", "object", "embed", "video", "form"} & set(parsed.tags)
    assert parsed.tags.count("script") == 1
    assert not re.search(r"<[^>]* on\w+=", page)
    assert not re.search(r"\bsrc=|@import|url\((?!#)", page)
    assert len(set(parsed.ids)) == len(parsed.ids)
    assert {link[1:] for link in parsed.links} <= set(parsed.ids)


def test_no_number_is_shown_that_is_none(page):
    parsed = Page(page)
    assert not [cell for cell in parsed.cells if re.search(r"\b(nan|none|null|inf)\b", cell, re.IGNORECASE)]
    assert not re.search(r"\bnan\b", parsed.text, re.IGNORECASE)


def test_pictures_take_every_colour_from_the_page(page):
    style, _, body = page.partition("</style>")
    svg = "".join(re.findall(r"<svg.*?</svg>", body, re.DOTALL))
    attributes = re.sub(r">[^<]*<", "><", svg)  # a name may look like a colour
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b(?!-)", re.sub(r'(href|clip-path|aria-label)="[^"]*"', "", attributes))
    assert set(re.findall(r"var\((--[\w-]+)\)", svg)) <= set(VARIABLES.values())
    schemes = re.split(r"@media", style)
    for variable in VARIABLES.values():
        assert all(f"{variable}:" in schemes[0 if dark is None else dark] for dark in (None, 1)), variable


def test_every_section_is_there_and_linked(usual, bare):
    parsed = Page(usual)
    assert set(SECTIONS) <= set(parsed.ids)
    assert {f"#{key}" for key in SECTIONS} <= set(parsed.links)
    assert parsed.tags.count("h1") == 1
    assert parsed.tags.count("table") == parsed.tags.count("caption")
    assert parsed.tags.count("figure") == parsed.tags.count("figcaption") == 9
    blocks = usual.count('<details class="row">')
    wide = parsed.tags.count("table") - blocks + parsed.tags.count("figure")
    assert usual.count('tabindex="0"') == wide  # scrolled by keyboard
    assert usual.count('role="img"') == parsed.tags.count("svg") == 9 + len(made.RECIPES)  # and a curve each
    assert "seeds" not in Page(bare).ids
    assert "no recipe was trained on reversed articles" in bare


def test_the_same_figures_make_the_same_page(usual):
    assert made.page(comparison=made.comparison(time_direction=True, seeds=True)) == usual


def test_every_recipe_is_in_the_tables_of_a_long_comparison(many):
    cells = Page(many).cells
    for name in made.many_recipes(25):
        assert cells.count(name) >= 4, name
    assert "18 other recipes" in many


def test_hostile_names_are_text(hostile):
    parsed = Page(hostile)
    assert HOSTILE in parsed.text
    assert "$x_{$" in parsed.text
    assert "a" not in parsed.ids


def test_undefined_figures_are_dashes_with_a_note(bare):
    assert "R@5 is undefined on these data, so the recipes cannot be ranked" in bare
    assert "An en dash (–) stands where a figure is undefined" in Page(bare).text
    assert "there is nothing to draw" in bare
    assert numbers.UNDEFINED in Page(bare).cells


@pytest.mark.parametrize(
    ("recall", "says", "tone"),
    [
        (0.56, "it leads copy_last on val (+0.061 [+0.0", "good"),
        (0.5, ", with no lead: it has no lead over copy_last on val (+0.001 [−0.0", "open"),
        (0.33, ", with no lead: it trails copy_last on val (−0.169 [−0.", "bad"),
    ],
)
def test_the_verdict_names_the_best_and_its_lead_over_the_best_rival(recall, says, tone):
    rows = made.comparison({"p1": (0.3, 0.5, -0.1, 0.6), "p9": (recall, 0.5, -0.1, 0.6)})["rows"]
    two = {"names": ["p9", "p1"], "difference": recall - 0.3, "lo": 0.01, "hi": 0.4}
    found = verdict(rows, reached(made.frontier(), rows), two)
    leads = "A formula leads: copy_last. " if recall < 0.499 else ""
    assert found.headline.startswith(f"{leads}p9 is the best recipe")
    without = "" if tone == "good" else ", with no lead"
    assert says in found.headline
    assert re.search(r"copy_last on ood \([+−]0\.\d{3} \[", found.headline)
    assert ("copy_last is ahead of every recipe that sees as much: R@5 0.499 [" in found.sentences[0]) == bool(leads)
    assert "(paired difference" in found.sentences[bool(leads)]
    for unclear in (None, two | {"lo": 0.0}, two | {"lo": None}, two | {"names": ["p9", "p2"]}):
        other = verdict(rows, reached(made.frontier(), rows), unclear).headline
        assert other.startswith(f"{leads}p9 and p1 cannot be told apart{without}; p9 ")
    assert found.tiles[1].tone == tone
    assert found.tiles[1].note.endswith("against copy_last (0.499), the best that sees as much")
    assert found.tiles[4].value == "not reached"
    assert 3 <= len(found.sentences) <= 5


@pytest.mark.parametrize(("low", "high", "tone"), [(0.0, 0.1, "open"), (-0.1, 0.0, "open"), (1e-9, 0.1, "good")])
def test_an_interval_that_touches_zero_shows_nothing(low, high, tone):
    rows = made.comparison(undefined=("ood",))["rows"]
    best = next(row for row in rows if row["name"] == "p1")
    best["vs_rival"]["val"]["recall_at_5"] |= {"difference": 0.05, "lo": low, "hi": high}
    found = verdict(rows, reach(None, ""))
    assert found.tiles[1].tone == tone
    assert (found.tiles[2].value, found.tiles[2].tone) == ("–", "open")  # nothing on ood
    assert " on ood" not in found.headline


def test_a_formula_that_leads_and_what_each_recipe_sees_are_named_first():
    rows = made.comparison(SIGHTED)["rows"]
    found = verdict(rows, reach(None, ""), None, ["decay", "centred_0.5"])
    assert found.headline.startswith(
        "Formulas lead: decay and centred_0.5. p9_memory and p1 cannot be told apart; p9_m"
    )
    assert found.sentences[0] == "decay and centred_0.5 pass every certified gate without being trained."
    said = [line for line in found.sentences if line.startswith("Of the recipes that see ")]
    assert [line.partition(": it ")[0] for line in said] == [
        "Of the recipes that see the context alone, p1 is the best",
        "Of the recipes that see the whole document, p9_document is the best",
    ]
    next(row for row in rows if row["name"] == "copy_last")["numbers"] = "none"
    for row in rows:
        if row["name"] == "p9_memory":
            row["sees"] = "document"
    assert "copy_last (none) is ahead of every recipe" in verdict(rows, reach(None, "")).sentences[0]


def test_rows_that_see_the_document_are_marked_in_tables_and_pictures(many):
    heads = re.findall(r'<th scope="row"[^>]*>.*?</th>', many)
    document = [head for head in heads if "p9_<wbr>document" in head]
    assert len(document) > 10
    assert all(head.endswith("<sup>†</sup></th>") for head in document)
    others = [head for head in heads if "<sup>†" in head and head not in document]
    assert others
    assert all("article_<wbr>centroid" in head for head in others)
    assert Page(many).text.count(numbers.LEGEND) >= 8
    assert len(re.findall(r"<text [^>]*>p9_document †</text>", many)) >= 3
    text = made.text(made.comparison(SIGHTED))
    assert "| `p9_document` † | " in text
    assert text.count(f"\n\n{numbers.LEGEND}.") >= 4


def test_a_row_shows_its_rivals_in_each_reading_its_steps_and_its_numbers():
    row = next(row for row in made.comparison()["rows"] if row["name"] == "p1")
    shown = {line.name: line.cells for line in tables.row_figures(row).lines}
    for title in ("masked", "full bank"):
        assert shown[f"best rival, {title}"][0].text == "copy_last"
        assert re.fullmatch(r"\[−0\.\d+, −0\.\d+\]", shown[f"R@5 − best rival, {title}"][0].interval)
    assert tables.rollout_steps(row) is None
    step = {"cosine": 0.4, "recall_at_5": 0.3, "recall_at_5_lo": 0.25, "recall_at_5_hi": 0.35, "ranked": 40}
    row["val"]["rollout_by_step"] = {"1": step, "2": dict.fromkeys(step)}
    table = tables.rollout_steps(row)
    assert table is not None
    assert [(cell.text, cell.interval) for cell in table.lines[0].cells[:2]] == [("0.300", "[0.250, 0.350]"), ("–", "")]
    assert [line.name for line in table.lines] == ["step 1", "step 2"]


def test_near_relatives_show_what_they_fail():
    judged = {"centred_0.5": {"sees": "context", "passed": 2, "of": 5, "failed": ["specific", "rolls"]}}
    assert tables.markdown(tables.relatives(judged)).endswith("| `centred_0.5` | context | 2 of 5 | specific, rolls |")
    assert "of the references, by the certified gates" in made.text(made.comparison() | {"relatives": judged})
    assert tables.relatives({}) is None


def test_who_else_beats_copying_and_who_is_forward():
    recipes = {"p1": (0.7, 0.9, 0.3, 0.5), "p2": (0.6, 0.5, -0.1, 0.6), "p3": (0.2, 0.5, -0.1, 0.6)}
    rows = made.comparison(recipes)["rows"]
    for row in rows:
        row["status"] = "forward" if row["name"] == "p1" else "weak"
    found = verdict(rows, reached(made.frontier(reachable=True), rows))
    assert "p2 beats copy_last too." in found.sentences[1]
    assert "p1 is forward" in found.sentences[2]
    assert found.tiles[3].value == "1 of 3"
    assert found.tiles[4].value == "possible"


def test_what_is_tied_or_unknown_is_said_to_be():
    rows = made.comparison({"p1": (0.3, 0.5, -0.1, 0.6), "p9": (0.3, 0.5, -0.1, 0.6)})["rows"]
    for row in rows:
        row |= {"gates_certified": 1, "gates_certified_of": 4, "status": "weak"}
    assert "p1 and p9 come closest with 1 of 4" in verdict(rows, reach(None, "")).sentences[-2]
    for row in rows:
        row |= {"gates_certified": 0, "gates_certified_of": 0, "val_r5_vs_copy_last_lo": None}
    found = verdict(rows, reach(None, ""))
    assert "no certified gate can be told" in found.sentences[-2]
    assert "Nothing else" not in found.sentences[-3]


def test_few_articles_are_warned_of():
    splits = made.comparison()["splits"]
    for articles, says in (
        (50, ""),
        (20, ""),
        (19, "Only 19 articles of val: intervals"),
        (1, "Only 1 article of val: there"),
    ):
        splits["val"]["articles"] = articles
        assert few_articles(splits).startswith(says)
        assert bool(few_articles(splits)) == bool(says)


@pytest.mark.parametrize("reachable", [True, False])
def test_the_frontier_speaks_of_traced_predictors_and_names_what_is_left_out(reachable):
    found = reached(made.frontier(reachable=reachable), made.comparison()["rows"])
    for text in (found.tile.note, found.brief, found.sentences):
        assert not re.search(r"(?<!traced )linear predictor", text)
    assert "traced linear predictor" in found.tile.note
    assert all("3 of the 5 gates" in text for text in (found.brief, found.sentences))


def test_nothing_is_known_without_a_frontier():
    for frontier in (None, made.frontier(empty=True)):
        found = reached(frontier, made.comparison()["rows"])
        assert (found.tile.value, found.tile.tone, dict(found.curves)) == ("–", "open", {})


def test_the_matrix_says_what_the_oracle_fails_and_which_sets_nobody_passes(usual):
    sets = re.split(r"<summary>Gate set ", usual)[1:]
    phases = 2  # of stage_a, by which the recipes are judged
    assert len(sets) == sum(len(frames_of(GATES, name)) for name in GATES.sets) + phases
    published = next(text for text in sets if text.startswith("stage A of the summary, published frame"))
    assert re.search(r"The oracle itself fails margin_val", published)
    certified = next(text for text in sets if text.startswith("certified"))
    assert "The oracle passes all 3 gates that apply to it." in certified
    assert "No trained recipe passes certified." in certified


def test_the_page_says_what_each_recipe_passed_after_each_phase_and_who_was_stopped(usual, stopped):
    without = made.page(comparison=made.comparison() | {"after_phases": {}}, frontier=None)
    assert not re.search("<summary>(After each|[^<]*after) phase", without)
    section = usual[usual.index("<summary>After each phase</summary>") : usual.index('<section id="direction"')]
    assert "every recipe goes through all phases" in section
    assert "stage_a" in section
    assert "after A</td>" not in section
    section = stopped[stopped.index("<summary>After each phase</summary>") : stopped.index('<section id="direction"')]
    assert "goes no further" in section
    lines = {name: next(line for line in section.splitlines() if f">{name}<" in line) for name in ("p1", "p5")}
    assert "after A</td>" in lines["p5"]
    assert "after A</td>" not in lines["p1"]
    assert "margin_val" in lines["p1"]


def test_the_page_leaves_stopped_recipes_out_of_claims_and_variants_and_says_so(stopped):
    claims = stopped[stopped.index('<section id="claims"') :]
    assert "p5 was stopped after phase A." in claims
    assert "no recipe was trained on reversed articles" not in stopped
    assert stopped.count("<p>Left out: p5, stopped after phase A") == 2
    assert {"seeds", "direction"} <= set(Page(stopped).ids)


def test_only_figures_worth_a_mark_are_marked():
    table = tables.ranking(made.comparison()["rows"], "recipe")
    marked = {
        title for line in table.lines for title, cell in zip(table.columns[2:], line.cells, strict=True) if cell.best
    }
    assert {"R@5", "MRR"} <= marked
    assert not {"cosine", "margin"} & marked
    assert not any(
        cell.best for line in tables.ranking(made.comparison()["rows"], "reference").lines for cell in line.cells
    )


def test_phases_meet_between_epochs():
    training = made.training(epochs=(2, 0, 3))
    assert phase_borders(training) == [(2.5, "a", "c")]
    assert phase_borders(made.training(epochs=(4, 0, 0))) == []


def test_names_beside_points_do_not_lie_over_one_another():
    rng = np.random.default_rng(0)
    figure, axes = plt.subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    points = [
        (float(x), float(y), f"name {index}", "#000000") for index, (x, y) in enumerate(rng.uniform(0.2, 0.8, (40, 2)))
    ]
    left_out = place_labels(axes, points)
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) + len(left_out) == 40
    assert len(boxes) > 10
    assert not any(one.overlaps(other) for index, one in enumerate(boxes) for other in boxes[:index])
    plt.close(figure)


def test_two_pictures_share_no_id_and_keep_their_clips():
    pages = []
    for key in ("one", "two"):
        with drawing(key, "a line") as done:
            done.axes.plot([0, 1], [0, 1], "o-")
        pages.append(done.svg)
    one, two = (set(re.findall(r'\bid="([^"]+)"', svg)) for svg in pages)
    assert one
    assert not one & two
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', pages[0])) <= one


def test_the_label_of_a_picture_is_escaped():
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="10pt" height="5pt"><g/></svg>'
    assert 'aria-label="&lt;&quot;&gt;"' in inline_svg(svg, "k", '<">')


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (float("nan"), "–"), (float("inf"), "–"), (-0.1234, "−0.123"), (-0.0001, "0.000"), (0, "0.000")],
)
def test_numbers(value, text):
    assert numbers.number(value) == text


def test_signs_and_sentences():
    assert numbers.signed(0.1) == "+0.100"
    assert numbers.signed(0.0) == "0.000"
    assert numbers.with_minus("from -0.5 to p-5, [-1, +2]") == "from −0.5 to p-5, [−1, +2]"
    assert numbers.with_interval(0.5, None, 1.0) == "0.500"


def test_the_selected_model_and_what_was_tried_are_shown(usual):
    text = Page(usual).text
    assert "The one attempt does not pass its gates on dev, so the fallback takes the best of 2 recipes and 0" in text
    assert "failed: 0 of 1 gates" in text
    assert "model.pos_scalar = 0.1" in text
    assert "not among the recipes of this run: p6" in text


def test_confidence_is_held_against_what_was_observed(usual, stopped):
    text = Page(usual).text
    assert "in 0.110 of cases; the confidence stated is 0.090 on average" in text
    assert "squared error is 0.0900, less than the 0.1000 of always stating the mean" in text
    assert "on articles that the curve was not fitted to" in text
    assert "val has no windows" in Page(stopped).text


def test_the_stage_writes_the_page(tmp_path, monkeypatch, usual):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LvmError, match=r"comparison\.json: cannot be read"):
        stage.main()
    write_json("metrics/comparison.json", made.said(made.comparison(time_direction=True, seeds=True)))
    write_json("metrics/frontier.json", made.frontier())
    write_json("metrics/diagnosis.json", made.diagnosis())
    write_json("metrics/ladder.json", made.ladder())
    write_json("metrics/calibration/selected.json", made.calibration())
    write_csv("plots/reliability/selected.csv", made.reliability().reset_index())
    write_csv("plots/training.csv", made.training())
    write_csv("plots/lag_similarity.csv", made.lags())
    copyfile(ROOT / "params.yaml", "params.yaml")
    stage.main()
    assert "not run by DVC" in Page((tmp_path / "plots/report.html").read_text()).text
    (tmp_path / "dvc.lock").write_text(json.dumps(made.lock()))  # which is YAML
    stage.main()
    assert Page((tmp_path / "plots/report.html").read_text()).text[:500] == Page(usual).text[:500]


def test_the_first_screen_says_what_was_run_and_which_parameters_are_not_the_default(many):
    assert made.run().changed == []
    run = made.run(seed=7, **{"train.epochs.a": 1, "recipes.mine.about": "a recipe of the user's"})
    assert run.changed == [
        ("seed", "42", "7"),
        ("train.epochs.a", "4", "1"),
        ("recipes.mine.about", "–", '"a recipe of the user\'s"'),
    ]
    text = Page(many).text
    for said in (
        "c0de.dir (data/sources)",
        "5e7 (params.yaml)",
        "ec7 (data/bank/vectors.npy)",
        "train.epochs.a: 4 → 1",
    ):
        assert said in text
    assert "not run by DVC" not in text


def test_a_run_that_dvc_did_not_write_down_whole_is_said_to_be_none_of_its():
    params, lock = read_params(ROOT / "params.yaml"), made.lock()
    del lock["stages"]["embed"]
    for left in (lock, {}, {"stages": None}):
        assert ("hashes", "not run by DVC") in what_was_run(params, {}, left, {}).facts


def test_what_the_page_does_not_show_follows_from_what_was_run():
    params = read_params(ROOT / "params.yaml")
    first, second, third = what_was_run(params, {}, {}, {"p1": {"seeds": [42, 43]}}).not_shown
    assert "does not allow for the picking" in third
    assert "sotu; ood: wikipedia" in first
    assert "one seed (but p1 with 42, 43)" in second
    brought = {**params, "data": {**params["data"], "kind": "vectors", "ood": None}}
    assert "ood: none" in what_was_run(brought, {}, {}, {}).not_shown[0]
    assert ("encoder", "not named") in what_was_run(brought, {}, {}, {}).facts


def test_the_commit_and_the_date_stand_in_the_copy_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert tool.commit() == "not in git"
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"]):
        who = ["-c", "user.name=x", "-c", "user.email=x@localhost"]
        subprocess.run(["git", *who, *command], check=True)
    assert re.fullmatch("[0-9a-f]{40}", tool.commit())
    (tmp_path / "new").touch()
    assert tool.commit().endswith(", with uncommitted changes")
    written = []
    monkeypatch.setattr(tool, "write_report", lambda path, beside: written.append((path, dict(beside))))
    tool.main()
    assert written[0][0] == "build/report.html"
    assert set(written[0][1]) == {"commit", "written"}


@pytest.mark.parametrize("template", ["ranking", "curves", "losses", "lines", "frontier"])
def test_templates_of_dvc_plots_are_whole(template):
    text = (ROOT / f".dvc/plots/{template}.json").read_text()
    spec = json.loads(text)
    known = {"DATA", "TITLE", "X", "Y", "X_LABEL", "Y_LABEL", "ZOOM_AND_PAN", "PLOT_WIDTH", "PLOT_HEIGHT"}
    assert set(re.findall(r"<DVC_METRIC_(\w+)>", text)) <= known
    assert spec["data"]["values"] == "<DVC_METRIC_DATA>"
    # A selection above several layers is made once for each of them, which Vega refuses.
    assert not ("layer" in spec and "params" in spec)
