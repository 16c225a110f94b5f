from __future__ import annotations

import pytest
import yaml

from lvm_core.errors import LvmError
from lvm_core.params import read_params
from lvm_core.recipe import read_recipe, write_recipe
from lvm_core.resolve import resolve_recipes
from tests.imports import ROOT


@pytest.fixture
def params():
    return read_params(ROOT / "params.yaml")


def resolved(params):
    return {recipe.name: recipe for recipe in resolve_recipes(params)[0]}


def test_top_level_pos_scalar_reaches_p5_and_nothing_else(params):
    before = resolved(params)
    after = resolved(params | {"pos_scalar": 0.2})
    assert after["p5"].model.pos_scalar == 0.2
    assert before["p5"].model.pos_scalar == 0.03
    assert after["p1"] == before["p1"]


def test_score_name_changes_the_rule_but_not_the_training(params):
    recipes, rules = resolve_recipes(params)
    other_recipes, other_rules = resolve_recipes(params | {"score": {"name": "forward_gain"}})
    assert recipes == other_recipes
    assert rules["p1"] == other_rules["p1"]
    assert (rules["p5"].score, other_rules["p5"].score) == ("distinctness", "forward_gain")


def test_a_better_description_does_not_retrain(params):
    before = resolve_recipes(params)
    params["recipes"]["p1"]["about"] = "described in other words"
    assert resolve_recipes(params) == before


def test_a_recipe_is_laid_over_the_defaults(params):
    params["recipes"]["p1"]["train"] = {"lr": 0.01, "epochs": {"a": 7}}
    p1 = resolved(params)["p1"]
    assert p1.train.lr == 0.01
    assert (p1.train.epochs.a, p1.train.epochs.b) == (7, params["train"]["epochs"]["b"])


def test_another_schedule_replaces_the_default_one(params):
    params["recipes"]["p1"]["train"] = {"schedule": {"name": "cosine", "warmup_epochs": 1.0, "floor": 0.0}}
    assert resolved(params)["p1"].train.schedule.model_dump() == {"name": "cosine", "warmup_epochs": 1.0, "floor": 0.0}


def test_a_resolved_recipe_survives_its_file(params, tmp_path):
    for recipe in resolve_recipes(params)[0]:
        write_recipe(tmp_path, recipe)
        assert read_recipe(tmp_path / f"{recipe.name}.yaml") == recipe


def test_a_damaged_recipe_file_is_named(params, tmp_path):
    write_recipe(tmp_path, resolve_recipes(params)[0][0])
    path = tmp_path / "p1.yaml"
    content = yaml.safe_load(path.read_text())
    del content["train"]["lr"]
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(LvmError, match=r"p1\.yaml: recipe\.train\.lr is missing"):
        read_recipe(path)
