"""`make recipes`: every recipe at a glance, as a command; mistakes are one line."""

from __future__ import annotations

import re

import pytest
import yaml

from lvm_core.config.params import read_params
from lvm_core.config.recipe import LossTerm
from tests.calling import run_stage
from tests.paths import ROOT
from tools.recipes import NARROWEST, WIDEST, loss_text, recipe_table

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


def recipes_command(folder):
    return run_stage(["tools.recipes"], folder)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    return tmp_path


@pytest.mark.parametrize(("columns", "width"), [("20", NARROWEST), ("500", WIDEST)])
def test_every_recipe_is_there_within_the_width(folder, columns, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    done = recipes_command(folder)
    assert (done.returncode, done.stderr) == (0, "")
    table, _ = done.stdout.split("\n\n")
    assert max(map(len, done.stdout.splitlines())) <= width
    stars = {name: mark == "*" for mark, name in re.findall(r"^([* ]) ([a-z]\w*) ", table, re.MULTILINE)}
    assert stars == {"recipe": False} | {name: name in PARAMS["names"] for name in PARAMS["recipes"]}
    assert list(stars)[1:] == list(PARAMS["recipes"])
    words = " ".join(table.split())
    for recipe in PARAMS["recipes"].values():
        assert " ".join(recipe["about"].split()) in words


def test_parameters_are_counted_at_the_dimension_of_the_bank(folder):
    (folder / "data/bank").mkdir(parents=True)
    (folder / "data/bank/bank.json").write_text('{"dimension": 768}')
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace("profile: default", "profile: paper", 1))
    done = recipes_command(folder)
    assert re.search(r"^. p1 +transformer +17,867,520 ", done.stdout, re.MULTILINE)  # prior results, section 2
    assert "D = 768, of data/bank/bank.json" in done.stdout
    (folder / "data/bank/bank.json").write_text('{"dimension": "768"}')
    done = recipes_command(folder)
    assert done.returncode == 1
    assert re.fullmatch(r"error: data/bank/bank.json: dimension = '768': [^\n]*\n", done.stderr)


def test_a_mistake_is_one_line(folder):
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace("      mse: 1.0", '      mse: "1.0"', 1))
    done = recipes_command(folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"error: params.yaml: recipes.p1.losses.mse = '1.0': [^\n]*\n", done.stderr)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "x 2"),
        ({"first_epoch": 6}, "x 2 from epoch 6"),
        ({"ramp": [1, 6]}, "x 0 -> 2 over epochs 1-6"),
        ({"ramp": [4, 10], "start": 1.0, "first_epoch": 4}, "x 1 -> 2 over epochs 4-10"),
        ({"ramp": [4, 10], "start": 1.0, "first_epoch": 2}, "x 1 -> 2 over epochs 4-10 (from epoch 2)"),
        ({"ramp": 7, "start": 1.0, "first_epoch": 4}, "x 1 from epoch 4 and 2 from 7"),
        ({"ramp": 7, "first_epoch": 4}, "x 2 from epoch 7"),
        ({"ramp": 3, "first_epoch": 4, "start": 1.0}, "x 2 from epoch 4"),
    ],
)
def test_when_a_loss_is_in_force(options, text):
    assert loss_text("x", LossTerm(weight=2.0, **options)) == text


def test_only_recipes_in_names_have_a_star():
    params = read_params(ROOT / "params.yaml")
    params |= {
        "names": ["p1"],
        "time_direction": [],
        "service": params["service"] | {"models": []},
        "train": params["train"] | {"seeds": []},
    }
    whole = recipe_table(params, 384, WIDEST).splitlines()
    assert sum(line.startswith("*") for line in whole) == 1


def test_make_knows_it():
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^recipes: env ## .+\n\t@python -m tools.recipes$", makefile, re.MULTILINE)
