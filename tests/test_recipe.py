from __future__ import annotations

import re

import numpy as np
import pytest
import torch
import yaml

from lvm_core.config.params import read_params
from lvm_core.config.recipe import read_recipe, write_recipe
from lvm_core.config.resolve import resolve_recipes
from lvm_core.runtime.errors import LvmError
from lvm_core.train.phases import fit
from lvm_core.train.trainer import Trainer
from tests.paths import ROOT
from tests.synthetic import make_bank


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


def test_a_recipes_file_names_the_code_that_trains_it(params, tmp_path):
    """Its hash is the stage's only dependency on code: other code is another file, of the same recipe."""
    recipe = resolved(params)["p1"]
    texts = []
    for code in ("# one\n", "# other\n"):
        write_recipe(tmp_path, recipe, code)
        assert read_recipe(tmp_path / "p1.yaml") == recipe
        texts.append((tmp_path / "p1.yaml").read_text())
    assert texts[0] != texts[1] == texts[0].replace("# one\n", "# other\n")


def test_a_damaged_recipe_file_is_named(params, tmp_path):
    write_recipe(tmp_path, resolve_recipes(params)[0][0])
    path = tmp_path / "p1.yaml"
    content = yaml.safe_load(path.read_text())
    del content["train"]["lr"]
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(LvmError, match=r"p1\.yaml: recipe\.train\.lr is missing"):
        read_recipe(path)


ROWS = {
    *("p1", "v1", "v3", "p2", "p2_free", "p3", "p4", "p4_published", "p5", "p5_nuclear", "p5_forward_gain"),
    *("p5_1", "p5_1_sim", "p6", "p6_shifted", "lstm", "gru", "amn", "optimized"),
    *("contrast", "balanced", "energy", "mse_norm", "memory", "memory_bank", "document", "storylines"),
}


def with_every_row(params):
    return params | {"names": list(params["recipes"])}


def test_every_system_of_the_summary_is_a_recipe(params):
    assert set(params["recipes"]) == ROWS


def test_every_recipe_survives_its_file(params, tmp_path):
    for recipe in resolve_recipes(with_every_row(params))[0]:
        write_recipe(tmp_path, recipe)
        assert read_recipe(tmp_path / f"{recipe.name}.yaml") == recipe


@pytest.mark.parametrize("name", sorted(ROWS))
def test_every_recipe_trains_and_predicts(params, name):
    """At a small size, long enough for every loss and ramp to be in force."""
    bank = make_bank({"train": [30] * 4, "dev": [25] * 2}, dimension=12)
    epochs = {"a": 4, "b": 3, "c": 1}
    small = {"d_model": 16, "ffn": 32, "layers": 1, "heads": 2}
    params |= {
        "names": [name],
        "time_direction": [],
        "service": params["service"] | {"models": []},
        "model": params["model"] | small,
        "precision": "fp32",
    }
    params["train"] |= {"epochs": epochs, "repeat": []}
    recipe = resolve_recipes(params)[0][0]
    trainer = Trainer(recipe, bank)
    state = trainer.start()
    fit(trainer, state.model)
    for phase in "abc":
        trainer.train(state, phase, bank.targets("train"))
    assert state.history[-1]["epoch"] == 8
    figures = [past[figure] for past in state.history for figure in ("train_loss", "dev_cosine", "dev_recall_at_5")]
    assert np.isfinite(figures).all()
    contexts = torch.from_numpy(np.array(bank.vectors[:5]))[None]
    assert state.model.eval()(contexts).isfinite().all()


def test_converted_weights_are_384_times_the_published_ones_that_the_file_names():
    """Of the guards and of micro-ranking, which acted on an MSE averaged over 768 dimensions."""
    found = re.findall(
        r"(?:guard_\w+|micro_ranking): \{weight: ([\d.]+),.*# published (?:[\d.]+ -> )?([\d.]+)",
        (ROOT / "params.yaml").read_text(),
    )
    assert len(found) == 11
    for converted, published in found:
        assert float(converted) == pytest.approx(384 * float(published))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"corruption": {"last_slot": {"kind": "blank", "probability": 0.1}}}, "corruption.last_slot"),
        ({"corruption": {"last_slot": {"kind": "random_unit", "probability": 1.5}}}, "probability = 1.5"),
        ({"corruption": {"last_slot": {"kind": "random_unit", "probability": 0.1, "norm": 0.8}}}, "norm"),
        ({"losses": {"mse": {"weight": 1.0, "ramp": [3, 2]}}}, "in this order"),
        ({"losses": {"mse": {"weight": 1.0, "until": 3}}}, "unknown key 'until'"),
        ({"train": {"early_stop": 0}}, "early_stop = 0"),
        ({"train": {"batches": "pages"}}, "'articles'"),
        ({"losses": {"article_softmax": {"weight": 1.0, "temperature": 0.1}}}, "needs train.batches: articles"),
    ],
)
def test_mistakes_are_one_clear_line(params, changes, words):
    params["recipes"]["p1"] |= changes
    with pytest.raises(LvmError) as error:
        resolve_recipes(params)
    assert words in str(error.value)
    assert "recipes.p1" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("over", "path"),
    [
        ({"names": ["p1"]}, "names"),
        ({"train": {"seeds": [45]}}, "train.seeds"),
        ({"time_direction": []}, "time_direction"),
        ({"encoder": {"model": "mine"}}, "encoder.model"),
    ],
)
def test_a_profile_cannot_set_what_the_stages_are_made_from(params, over, path):
    """DVC reads these itself: it would plan other stages than `resolve` writes recipes for."""
    with pytest.raises(LvmError, match=rf"profiles\.quick\.{path} cannot be set by a profile") as caught:
        resolve_recipes(params | {"profiles": params["profiles"] | {"quick": over}})
    assert f"-S {path}=" in str(caught.value)
