"""The comparison table: every figure with an interval, differences paired, undefined figures empty."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from lvm_core.bank import reversed_bank
from lvm_core.comparison import remove_left_over
from lvm_core.comparison.direction import DIRECTED, time_direction
from lvm_core.comparison.rivals import RECALLS, best_two, paired, steps_vs, vs_rivals
from lvm_core.comparison.rows import (
    BASELINES,
    ENDS,
    FIGURES,
    SHARED,
    beside_the_table,
    columns,
    comparison_csv,
    comparison_rows,
    pos_scalars,
    seed_spread,
    with_gates,
    with_intervals,
    with_spread,
)
from lvm_core.config.figures import ROW_FIGURES
from lvm_core.config.gates import GatesParams
from lvm_core.config.groups import EvaluateParams
from lvm_core.config.params import load_group, read_params
from lvm_core.config.recipe import write_recipe
from lvm_core.config.resolve import resolve_recipes
from lvm_core.fivecat.evaluate import evaluate_splits, write_evaluations
from lvm_core.fivecat.measures import from_callable
from lvm_core.fivecat.references import copy_last, fit_references, oracle
from lvm_core.fivecat.statistics import Judgement, has_five_after, judge, judge_both_ways
from lvm_core.report import tables, words
from lvm_core.report.drawing import write_svg
from lvm_core.report.ranking import ranking_picture
from lvm_core.report.tables import markdown
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import write_json
from lvm_core.runtime.readers import read_parquet
from lvm_core.selection.judge import judge_gates
from tests import report_data as made
from tests.paths import ROOT
from tests.synthetic import bank_of, make_bank

ABOUT = {"p1": "the last two chunks", "tiny": "another"}
GATES = load_group(read_params(Path(ROOT) / "params.yaml"), "gates", GatesParams)
SETS = list(GATES.sets)


def judgement(bank, predictor, resamples=200):
    done = evaluate_splits(bank, predictor, EvaluateParams(batch_size=64))
    return judge({split: one.windows for split, one in done.items()}, resamples, 0)


def slot(back, contexts):
    return contexts[:, -back]


def table(bank, recipes, references):
    """Rows and summaries of these predictors."""
    done = {p.name: evaluate_splits(bank, p, EvaluateParams(batch_size=64)) for p in (*recipes, *references)}
    summaries = {name: {split: one.summary for split, one in both.items()} for name, both in done.items()}
    judged = {name: judge({split: one.windows for split, one in both.items()}, 2000, 0) for name, both in done.items()}
    names = [predictor.name for predictor in recipes]
    rows = comparison_rows({name: summaries[name] for name in names}, {p.name: summaries[p.name] for p in references})
    rows = with_gates(with_intervals(rows, judged), judged, judge_gates(GATES, judged))
    return with_spread(rows, {}), summaries


@pytest.fixture(scope="module")
def usual():
    bank = make_bank({"train": [30] * 4, "dev": [20], "val": [30] * 12, "ood": [40] * 12})
    recipes = [from_callable(lambda c: c[:, -1] + c[:, -2], "p1"), from_callable(lambda c: c[:, 0], "tiny")]
    return table(bank, recipes, fit_references(bank, EvaluateParams(), 0))


def test_every_figure_has_an_interval_around_it(usual):
    rows, _ = usual
    for row in rows:
        for figure in FIGURES:
            assert row[f"{figure}_lo"] <= row[figure] + 1e-9, (row["name"], figure)
            assert row[figure] <= row[f"{figure}_hi"] + 1e-9, (row["name"], figure)
    frame = comparison_csv(rows, SETS)
    assert tuple(frame.columns) == columns(SETS)
    assert frame[[column for x in FIGURES for column in (x, *(f"{x}_{end}" for end in ENDS))]].notna().all().all()
    assert rows[0]["name"] == "oracle"  # sorted by masked R@5 on val


def test_differences_are_paired_and_exact(usual):
    rows, _ = usual
    by_name = {row["name"]: row for row in rows}
    for row in rows:
        for baseline in BASELINES:
            difference = row["val_recall_at_5"] - by_name[baseline]["val_recall_at_5"]
            assert row[f"val_r5_vs_{baseline}"] == pytest.approx(difference)
    own = by_name["copy_last"]
    assert (own["val_r5_vs_copy_last_lo"], own["val_r5_vs_copy_last_hi"]) == (0, 0)
    width = by_name["p1"]["val_r5_vs_copy_last_hi"] - by_name["p1"]["val_r5_vs_copy_last_lo"]
    alone = [by_name[name]["val_recall_at_5_hi"] - by_name[name]["val_recall_at_5_lo"] for name in ("p1", "copy_last")]
    assert width < np.hypot(*alone)


def page(rows, summaries):
    """metrics/comparison.md of these rows."""
    details = [{**row, "about": ABOUT.get(row["name"]), **beside_the_table(summaries[row["name"]])} for row in rows]
    splits = {split: {key: found[key] for key in SHARED} for split, found in summaries["copy_last"].items()}
    return made.text(made.comparison() | {"rows": details, "splits": splits, "gates": {}, "after_phases": {}})


def test_the_page_shows_intervals_and_who_was_drawn(usual):
    rows, summaries = usual
    text = page(rows, summaries)
    assert "95 % interval of a bootstrap over articles (12 of `val`, 12 of `ood`;\n2,000 draws)" in text
    row = next(row for row in rows if row["name"] == "tiny")
    low, high = row["val_recall_at_5_lo"], row["val_recall_at_5_hi"]
    assert f"{row['val_recall_at_5']:.3f} [{low:.3f}, {high:.3f}]" in text
    assert all(f"| {title} |" in text for title in words.RANKING.values() if "−" not in title)
    assert "**Only 12 articles of val: intervals are too narrow" in text
    recipes = text[text.index("## Recipes") : text.index("## Reference predictors")]
    best = [column for column in words.RANKING if column.partition("_")[2] not in words.BLURRED]
    best = [column for column in best if row.get(column) is not None]
    assert recipes.count("**") == 2 * len(best)  # one best value a column, among the recipes only
    assert "**" not in text[text.index("## Reference predictors") : text.index("## All figures")]


def test_without_p1_and_with_articles_of_one_window(tmp_path):
    bank = make_bank({"train": [30] * 4, "val": [6] * 5, "ood": []})
    rows, summaries = table(bank, [from_callable(lambda c: c[:, 0], "tiny")], [oracle(bank), copy_last()])
    for row in rows:
        assert row["val_cosine_lo"] <= row["val_cosine"] <= row["val_cosine_hi"]
        for figure in ("val_recall_at_5", "val_margin", "val_r5_vs_copy_last", "val_r5_vs_p1", "ood_cosine"):
            assert (row[figure], row[f"{figure}_lo"], row[f"{figure}_hi"]) == (None, None, None)
    assert "nan" not in comparison_csv(rows, SETS).to_csv(index=False)
    assert "| `tiny` | weak | context | - | - | - | - | - | - |" in page(rows, summaries)
    write_svg(tmp_path / "comparison.svg", ranking_picture(rows, ("recall_at_5", "cosine")).svg)
    drawn = ElementTree.parse(tmp_path / "comparison.svg").getroot()
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(" not in (tmp_path / "comparison.svg").read_text()


def test_two_rows_of_one_name_are_refused(usual):
    _, summaries = usual
    with pytest.raises(LvmError, match="copy_last has the name of a reference predictor"):
        comparison_rows({"copy_last": summaries["copy_last"]}, {"copy_last": summaries["copy_last"]})


def test_the_table_says_what_each_row_is_and_which_gates_it_passes(usual):
    rows, _ = usual
    by_name = {row["name"]: row for row in rows}
    assert by_name["oracle"]["status"] == "forward"
    assert by_name["copy_last"]["status"] == "copies"
    assert by_name["tiny"]["status"] in ("blurs", "lost", "weak")
    for row in rows:
        for name in SETS:
            assert 0 <= row[f"gates_{name}"] <= row[f"gates_{name}_of"]
        assert row["seeds"] == (1 if row["kind"] == "recipe" else None)
    assert by_name["oracle"]["gates_certified"] == by_name["oracle"]["gates_certified_of"] > 0


def test_spread_over_seeds(usual):
    rows, _ = usual
    bank = make_bank({"train": [30], "val": [30] * 4})
    by_seed = {seed: judgement(bank, from_callable(partial(slot, seed), "p1")) for seed in (1, 2, 4)}
    copying = judgement(bank, copy_last())
    spread = {"p1": seed_spread(by_seed, copying)}
    values = [judged.value["val_cosine"] for judged in by_seed.values()]
    figures = spread["p1"]["figures"]
    assert figures["val_cosine"]["mean"] == pytest.approx(np.mean(values))
    assert figures["val_cosine"]["sd"] == pytest.approx(np.sqrt(np.sum((np.array(values) - np.mean(values)) ** 2) / 2))
    assert figures["ood_cosine"]["sd"] is None  # no ood windows
    row = next(row for row in with_spread(rows, spread) if row["name"] == "p1")
    assert (row["seeds"], row["val_cosine_sd"], row["ood_cosine_sd"]) == (3, figures["val_cosine"]["sd"], None)
    chapter = markdown(tables.seeds(spread))
    assert "| `p1` | 1, 2, 4 |" in chapter
    cosine = figures["val_cosine"]
    assert f"{cosine['mean']:.3f} ± {cosine['sd']:.3f} {cosine['min']:.3f} to {cosine['max']:.3f}" in chapter
    assert chapter.splitlines()[2].endswith("| - |")  # R@5 on ood
    against = spread["p1"]["against_copy_last"]
    for judged, one in zip(by_seed.values(), against, strict=True):
        assert one["difference"] == judged.value["val_recall_at_5"] - copying.value["val_recall_at_5"]
        assert one["lo"] <= one["difference"] <= one["hi"]
    each = markdown(tables.each_seed(spread))
    assert f"| `p1` | 2 | {against[1]['recall_at_5']:.3f} | {against[1]['difference']:+.3f} [" in each
    assert tables.seeds({}) is None


@pytest.mark.parametrize(("key", "title"), [("time_direction", "Time direction"), ("seeds", "Spread over seeds")])
def test_recipes_that_were_stopped_are_said_to_be_left_out(key, title):
    assert f"## {title}" not in made.text()
    text = made.text(made.comparison() | {"left_out": {key: ["p1", "p5"]}})
    assert f"## {title}\n\nLeft out: p1, p5, stopped after phase A" in text


def test_positional_scalars_are_those_of_the_resolved_recipes(tmp_path, monkeypatch):
    params = read_params(Path(ROOT) / "params.yaml") | {"pos_scalar": 0.07}
    resolved, _ = resolve_recipes(params)
    for recipe in resolved:
        write_recipe(tmp_path / "data/recipes", recipe)
    monkeypatch.chdir(tmp_path)
    found = pos_scalars(params["names"])
    assert (found["p5"], found["p5_nuclear"], found["p1"], found["lstm"]) == (0.07, 0.2, None, None)
    (tmp_path / "data/recipes/p5.yaml").write_text("model: [")
    with pytest.raises(LvmError, match=r"p5\.yaml: is not valid YAML.*run `dvc repro resolve`"):
        pos_scalars(["p5"])


def directions(folder, bank, predictor):
    """Both directions of a predictor and of `copy_last`, through the files, over the targets that both have."""
    ways = {}
    for way, its_bank in (("forward", bank), ("backward", reversed_bank(bank))):
        for one in (predictor, copy_last()):
            write_evaluations(folder / way / one.name, evaluate_splits(its_bank, one, EvaluateParams(full_bank=False)))
        ways[way] = judge_both_ways(folder / way, [predictor.name, "copy_last"], 0)
    recipe, control = ({name: ([ways["forward"][name]], [ways["backward"][name]])} for name in ways["forward"])
    return time_direction(recipe, control)


def test_time_direction_is_nothing_where_time_has_no_direction(tmp_path):
    """A predictor judged forwards and backwards on walks that are the same in law both ways."""
    bank = make_bank({"train": [30], "val": [40] * 12, "ood": []})
    found: Any = directions(tmp_path, bank, from_callable(lambda c: c[:, -1] + 0.5 * c[:, -2], "p1"))
    cell = found["p1"]["val_cosine"]
    assert cell["difference"] == pytest.approx(cell["forward"] - cell["reversed"])
    assert cell["lo"] < 0 < cell["hi"]
    assert abs(cell["beyond"]["copy_last"]["difference"]) < 0.01
    assert (cell["direction"], cell["by_seed"]) == (None, [cell["difference"]])
    nothing = found["p1"]["ood_cosine"]
    assert {nothing[key] for key in ("forward", "reversed", "difference", "lo", "hi", "direction")} == {None}
    own = found["copy_last"]["val_cosine"]
    # of the same pairs of neighbours, but for the first and the last six of an article
    assert own["difference"] == pytest.approx(0, abs=0.02)
    assert "beyond" not in own
    chapter = markdown(tables.time_direction(found))
    assert f"| `p1, cosine on val` | {cell['forward']:.3f} |" in chapter
    assert "| `p1, cosine on ood` | - | - | - | - | - | not shown |" in chapter
    assert tables.time_direction({}) is None


def test_both_directions_are_judged_on_the_same_targets(tmp_path):
    bank = make_bank({"train": [30], "val": [10, 11, 13, 40], "ood": [9]})
    seen = {}
    for way, its_bank in (("forward", bank), ("backward", reversed_bank(bank))):
        write_evaluations(tmp_path / way / "m", evaluate_splits(its_bank, oracle(its_bank), EvaluateParams()))
        table = read_parquet(tmp_path / way / "m" / "val.parquet")
        kept = table[has_five_after(table)]
        seen[way] = sorted(its_bank.vectors[row].tobytes() for row in kept["row"])
    assert seen["forward"] == seen["backward"]
    assert len(seen["forward"]) == 0 + 1 + 3 + 30


def test_time_direction_shows_where_a_law_runs_one_way(tmp_path):
    """Each chunk is the one before it, rotated: the rotation predicts forwards only."""
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.standard_normal((16, 16)))[0].astype(np.float32)

    def article():
        rows = [rng.standard_normal(16)]
        for _ in range(39):
            rows.append(rotation @ rows[-1] + 0.3 * rng.standard_normal(16))
        return np.array(rows)

    bank = bank_of([(f"{i}", split, article()) for i, split in enumerate(["train", "val", "ood"] * 6)])
    turned = torch.from_numpy(rotation.T.copy())
    found: Any = directions(tmp_path, bank, from_callable(lambda contexts: contexts[:, -1] @ turned, "law"))
    for key in ("val_recall_at_5", "val_cosine", "ood_cosine"):
        assert found["law"][key]["lo"] > 0.2, key
        assert found["law"][key]["beyond"]["copy_last"]["lo"] > 0.2, key
        assert found["law"][key]["direction"] == "forward"


def test_reversing_a_bank_twice_gives_it_back():
    bank = make_bank({"train": [7, 12], "val": [1, 9]})
    once, twice = reversed_bank(bank), reversed_bank(reversed_bank(bank))
    np.testing.assert_array_equal(twice.vectors, bank.vectors)
    assert twice.info == bank.info
    assert once.info.content_sha256 != bank.info.content_sha256
    for first, count in zip(bank.articles["first_row"], bank.articles["n_chunks"], strict=True):
        np.testing.assert_array_equal(once.vectors[first : first + count], bank.vectors[first : first + count][::-1])


def test_the_difference_of_the_best_two_recipes_is_paired():
    bank = make_bank({"train": [30], "val": [30] * 12, "ood": [25] * 3})
    several = [from_callable(partial(slot, back), f"r{back}") for back in (1, 2, 3)]
    judged = {one.name: judgement(bank, one) for one in several}
    rows = [
        {"name": name, "kind": "recipe", "sees": "context", "val_recall_at_5": one.value["val_recall_at_5"]}
        for name, one in judged.items()
    ]
    found = best_two(rows, judged)
    assert found is not None
    assert found["names"] == ["r1", "r2"]
    assert found["difference"] == pytest.approx(rows[0]["val_recall_at_5"] - rows[1]["val_recall_at_5"])
    assert found["lo"] < found["difference"] < found["hi"]
    assert best_two(rows[:1], judged) is None
    document = best_two([rows[0] | {"sees": "document"}, *rows[1:]], judged)
    assert document is not None
    assert document["names"] == ["r2", "r3"]
    assert best_two([rows[0], rows[1] | {"val_recall_at_5": None}], judged) is None


def test_files_of_recipes_that_are_not_compared_go_and_nobody_elses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row = json.dumps(dict.fromkeys(ROW_FIGURES))
    kept = {
        "metrics/p1.json": row,
        "metrics/mine.json": '{"a": 1}',
        "metrics/half.json": "{",
        "metrics/corpus.json": "[]",
    }
    kept |= {"plots/training/p1.csv": "", "plots/reliability/selected.csv": "", "plots/training.csv": ""}
    gone = {"metrics/p9.json": row, "metrics/calibration/p9.json": "{}", "plots/training/p9.csv": ""}
    for path, text in {**kept, **gone}.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
    assert remove_left_over(["p1"]) == sorted(gone)
    assert {str(path) for path in Path().rglob("*") if path.is_file()} == set(kept)


NOISE = np.linspace(-0.1, 0.1, 101)
"""Of the drawn articles: the same for all, so that differences have none."""


def known(sees="context", **figures):
    """A judgement of these figures; of the ones that it does not have, None."""
    value = dict.fromkeys(f"{split}_{reading}" for split in ("val", "ood") for reading in RECALLS) | figures
    return Judgement(value, {key: one + NOISE for key, one in value.items() if one is not None}, sees)


def test_every_row_is_held_against_the_best_that_sees_no_more_in_each_reading_and_split():
    figures = {"p1": ("context", 0.5, 0.3, 0.6), "p2": ("memory", 0.56, 0.56, 0.6), "oracle": ("answer", 1.0, 1.0, 1.0)}
    figures |= {"decay": ("context", 0.45, 0.2, 0.65), "copy_last": ("context", 0.4, 0.35, 0.6)}
    figures |= {"decay_memory": ("memory", 0.55, 0.55, 0.6), "article_centroid": ("document", 0.9, 0.1, 0.1)}
    keys = ("val_recall_at_5", "ood_recall_at_5", "val_recall_at_5_forward")
    judged = {name: known(sees, **dict(zip(keys, values, strict=True))) for name, (sees, *values) in figures.items()}
    found = {name: vs_rivals(name, judged) for name in judged}
    for name, splits in {
        "p1": (("decay", 0.05), ("copy_last", -0.05), ("decay", -0.05)),
        "p2": (("decay_memory", 0.01), ("decay_memory", 0.01), ("decay", -0.05)),
        "copy_last": (("decay", -0.05), ("decay", 0.15), ("decay", -0.05)),  # itself excluded
        "oracle": (("article_centroid", 0.1), ("decay_memory", 0.45), ("decay", 0.35)),
    }.items():
        for key, (rival, difference) in zip(keys, splits, strict=True):
            split, _, reading = key.partition("_")
            one = found[name][split][reading]
            assert one["rival"] == rival
            assert [one[end] for end in ("difference", "lo", "hi")] == pytest.approx([difference] * 3)
    assert found["p1"]["ood"]["full_bank_recall_at_5"] == dict.fromkeys(("rival", "difference", "lo", "hi"))
    assert paired(judged["p1"], None, "val_recall_at_5")["lo"] is None


@pytest.mark.parametrize(
    ("seeds", "controls", "direction"),
    [
        ([0.2, 0.25], [0.0, 0.05], "forward"),
        ([-0.2, -0.25], [0.0, 0.05], "backward"),
        ([0.3, -0.01], [0.0], None),  # one seed is of the other sign
        ([0.2, 0.25], [0.0, 0.22], None),  # one control goes as far
        ([0.2, 0.25], [-0.3, 0.0], "forward"),
        ([0.2, 0.25], [None], None),
    ],
)
def test_a_direction_is_that_of_all_seeds_and_beyond_every_control(seeds, controls, direction):
    noise = np.random.default_rng(0).normal(0, 0.005, (9, 400))

    def both(differences, first):
        sides = []
        for way in (1, 0):
            values = [None if one is None else 0.4 + way * one for one in differences]
            # NaN where undefined, as the files have it
            draws = [np.nan if value is None else value + noise[first + at] * way for at, value in enumerate(values)]
            sides.append(
                [
                    Judgement(
                        dict.fromkeys(DIRECTED, value),
                        dict.fromkeys(DIRECTED, np.full(400, np.nan) + draw if value is None else draw + np.zeros(400)),
                    )
                    for value, draw in zip(values, draws, strict=True)
                ]
            )
        return tuple(sides)

    others = {f"c{at}": both([one], 3 + at) for at, one in enumerate(controls)}
    cell = time_direction({"p1": both(seeds, 0)}, others)["p1"]["val_recall_at_5"]
    assert cell["direction"] == direction
    assert cell["by_seed"] == pytest.approx(seeds)
    assert cell["difference"] == pytest.approx(np.mean(seeds))
    alone = np.quantile(noise[0], 0.975) - np.quantile(noise[0], 0.025)
    assert cell["hi"] - cell["lo"] < 0.85 * alone  # of the mean of two seeds
    for name, own in zip(others, controls, strict=True):
        beyond = None if own is None else pytest.approx(np.mean(seeds) - own)
        assert cell["beyond"][name]["difference"] == beyond


def test_the_file_of_the_comparison_has_a_row_a_line(tmp_path):
    whole = {"rows": [{"name": "p1", "val": {"profile": {"0": float("nan")}}}, {"name": "p2"}], "empty": {}, "one": 1}
    write_json(tmp_path / "a.json", whole, unfolded=2)
    lines = (tmp_path / "a.json").read_text().splitlines()
    assert lines[1:5] == [
        '  "rows": [',
        '    {"name": "p1", "val": {"profile": {"0": null}}},',
        '    {"name": "p2"}',
        "  ],",
    ]
    assert json.loads("".join(lines)) == {
        **whole,
        "rows": [{"name": "p1", "val": {"profile": {"0": None}}}, {"name": "p2"}],
    }


def test_each_rollout_step_is_held_against_copying_in_each_reading():
    key = "val_rollout_recall_at_5_3_forward"
    own = Judgement({key: 0.5, "val_recall_at_5": 0.6}, {key: np.array([0.4, 0.5, 0.6]), "val_recall_at_5": np.ones(3)})
    copied = Judgement({key: 0.3}, {key: np.array([0.3, 0.3, 0.3])})
    found = steps_vs(own, copied)
    assert found.keys() == {"val", "ood"}
    assert found["val"].keys() == {"rollout_recall_at_5_3_forward"}
    assert found["val"]["rollout_recall_at_5_3_forward"]["difference"] == pytest.approx(0.2)
    assert found["val"]["rollout_recall_at_5_3_forward"]["lo"] == pytest.approx(0.105)
