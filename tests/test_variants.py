"""Recipes trained once more: same bytes as the chain of stages, resumable, and the parameters that name them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lvm_core.bank import reversed_bank
from lvm_core.config.figures import COSTLY_TESTS
from lvm_core.config.groups import CurriculumParams, EvaluateParams, Rule
from lvm_core.config.params import load_group, read_params
from lvm_core.config.resolve import resolve_recipes
from lvm_core.curriculum.phases import reversed_windows, score_windows, select_phases
from lvm_core.fivecat.evaluate import evaluate
from lvm_core.models.checkpoint import load_model
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import REVERSED, phase_directory, seed_variant, variant_directory, write_npy
from lvm_core.runtime.readers import read_json
from lvm_core.runtime.resume import ROOT as PROGRESS
from lvm_core.train import phases
from lvm_core.train.phases import run_phase, train_variant
from lvm_core.train.trainer import Trainer
from tests.calling import one_clear_line, run_stage, settle
from tests.paths import ROOT
from tests.training import small_bank, small_recipe, write_inputs


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with everything that the stages read; the bank, the recipe and its windows."""
    bank, recipe = small_bank(), small_recipe()
    write_inputs(tmp_path, bank, recipe)
    monkeypatch.chdir(tmp_path)
    return bank, recipe, {phase: bank.targets("train") for phase in "abc"}


def contents(directory):
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def test_a_variant_with_the_same_seed_is_the_recipe_itself(place):
    bank, recipe, windows = place
    for phase, before in (("a", None), ("b", "a"), ("c", "b")):
        start = phase_directory("small", before) if before else None
        trainer = Trainer(recipe, bank)
        run_phase(trainer, f"train-{phase}", phase, windows[phase], start, phase_directory("small", phase))
    train_variant(Trainer(recipe, bank), seed_variant(0), windows)
    assert contents(variant_directory("seed-0", "small")) == contents(phase_directory("small", "c"))
    assert not PROGRESS.exists()


def test_an_interrupted_variant_goes_on_and_ends_with_the_same_bytes(place, monkeypatch):
    bank, recipe, windows = place
    train_variant(Trainer(recipe, bank), "whole", windows)
    trained, real = [], phases.run_phase

    def interrupted(trainer, work, phase, *rest):
        if phase == "c" and "a" in trained and "stop" not in trained:
            trained.append("stop")
            raise KeyboardInterrupt
        trained.append(phase)
        return real(trainer, work, phase, *rest)

    monkeypatch.setattr(phases, "run_phase", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_variant(Trainer(recipe, bank), "broken", windows)
    assert not variant_directory("broken", "small").exists()
    train_variant(Trainer(recipe, bank), "broken", windows)
    assert trained == ["a", "b", "stop", "c"]  # finished phases are not trained again
    assert contents(variant_directory("broken", "small")) == contents(variant_directory("whole", "small"))
    assert not PROGRESS.exists()


@pytest.mark.parametrize("left", [["model.safetensors"], ["model.json", "model.safetensors"], []])
def test_what_a_kill_left_of_a_finished_phase_is_done_again(place, monkeypatch, capsys, left):
    """Removing a folder is not atomic: a process that is killed at the very end leaves parts of it."""
    bank, recipe, windows = place
    train_variant(Trainer(recipe, bank), "whole", windows)
    real = phases.run_phase

    def killed(trainer, work, phase, *rest):
        if phase == "b":
            raise KeyboardInterrupt
        return real(trainer, work, phase, *rest)

    monkeypatch.setattr(phases, "run_phase", killed)
    with pytest.raises(KeyboardInterrupt):
        train_variant(Trainer(recipe, bank), "broken", windows)
    monkeypatch.setattr(phases, "run_phase", real)
    (phase,) = PROGRESS.glob("train-small-broken-*/a")
    for path in phase.iterdir():
        if path.name not in left:
            path.unlink()
    train_variant(Trainer(recipe, bank), "broken", windows)
    assert "saved work is damaged and will be done again" in capsys.readouterr().err
    assert contents(variant_directory("broken", "small")) == contents(variant_directory("whole", "small"))


def test_the_model_of_reversed_articles_belongs_to_them(place):
    bank, recipe, windows = place
    backwards = reversed_bank(bank)
    train_variant(Trainer(recipe, backwards), REVERSED, windows)
    info = load_model(variant_directory(REVERSED, "small")).info
    assert info.data_sha256 == backwards.info.content_sha256 != bank.info.content_sha256

    for phase, rows in windows.items():  # with the recipe's own seed it is the same model
        write_npy(f"data/curriculum_reversed/small/{phase}.npy", rows)
    variant = seed_variant(recipe.seed, backwards=True)
    done = run_stage(["stages.train_variant", "small", variant], Path.cwd())
    assert done.returncode == 0, done.stderr
    assert contents(variant_directory(variant, "small")) == contents(variant_directory(REVERSED, "small"))


def params_with(**changes):
    params = read_params(ROOT / "params.yaml")
    return params | {key: params[key] | value if isinstance(value, dict) else value for key, value in changes.items()}


def check(params):
    resolve_recipes(params)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time_direction": ["p7"]}, "time_direction = ['p7']: 'p7' is not in names"),
        ({"time_direction": ["p1", "p1"]}, "time_direction = ['p1', 'p1']: a recipe is named twice"),
        ({"train": {"repeat": ["oracle"], "seeds": [1]}}, "train.repeat = ['oracle']: 'oracle' is not in names"),
        (
            {"names": ["p1", "p5"], "time_direction": [], "train": {"repeat": ["contrast"], "seeds": [43]}},
            "'contrast' is not in names = ['p1', 'p5']; add it there, or take it out of train.repeat",
        ),
        (
            {"time_direction": ["p1"], "train": {"repeat": ["contrast"], "seeds": [43]}},
            "'p1' is not in train.repeat = ['contrast']; add it there, or take it out of time_direction",
        ),
        ({"train": {"seeds": [43, 43]}}, "train.seeds = [43, 43]: a seed occurs twice"),
        (
            {"time_direction": [], "train": {"repeat": ["p1"], "seeds": [42]}},
            "train.seeds = [42]: recipes.p1 has the seed 42 itself",
        ),
        ({"train": {"seeds": [-1]}}, "train.seeds.0 = -1"),
        ({"train": {"seeds": 43}}, "train.seeds = 43"),
        ({"time_direction": "p1"}, "time_direction = 'p1'"),
    ],
)
def test_wrong_choices_are_one_line(changes, message):
    with pytest.raises(LvmError) as caught:
        check(params_with(**changes))
    assert message in str(caught.value)


def test_further_seeds_do_not_change_a_recipe():
    """Nothing is trained again that was trained before."""
    before, after = (resolve_recipes(params_with(train=train))[0] for train in ({}, {"seeds": [1, 2]}))
    assert before == after


def test_a_variant_is_reversed_or_a_seed(tmp_path):
    done = run_stage(["stages.train_variant", "small", "x"], tmp_path)
    assert "VARIANT = 'x' is none of reversed, seed-<number> and reversed-seed-<number>" in one_clear_line(done)


def test_a_further_seed_must_differ_from_the_recipes_own():
    """It would be compared with itself."""
    params = params_with(time_direction=[], train={"repeat": ["p1"], "seeds": [43]})
    params["recipes"] = params["recipes"] | {"p1": params["recipes"]["p1"] | {"seed": 43}}
    with pytest.raises(LvmError, match=r"recipes\.p1 has the seed 43 itself"):
        check(params)


def test_windows_of_reversed_articles_follow_the_rule_there():
    bank = small_bank()
    limits = {"sim_a": -1.0, "adv_a": -1.0, "sim_b": -1.0, "adv_b": -1.0}
    settings = CurriculumParams.model_validate(
        {"top": {"a": 0.3, "b": 0.7}, "thresholds": limits, "min_windows": 1, "near_duplicate": None}
    )
    rule = Rule(rule="top", score="distinctness")
    assert reversed_windows(bank, {}, settings) == {}
    found = reversed_windows(bank, {"p5": rule}, settings)["p5"]
    backwards = reversed_bank(bank)
    expected = select_phases(
        score_windows(backwards.vectors, bank.targets("train"), bank.article_of_row), rule, settings
    )
    forwards = select_phases(score_windows(bank.vectors, bank.targets("train"), bank.article_of_row), rule, settings)
    for phase in "abc":
        np.testing.assert_array_equal(found[phase], expected[phase].rows)
    assert not np.array_equal(found["a"], forwards["a"].rows)


def test_a_reversed_model_is_evaluated_on_reversed_articles(place):
    bank, recipe, windows = place
    (Path("params.yaml")).write_text((ROOT / "params.yaml").read_text())
    train_variant(Trainer(recipe, reversed_bank(bank)), REVERSED, windows)
    settle(Path.cwd(), "evaluate")
    assert run_stage(["stages.evaluate", "small", REVERSED], Path.cwd()).returncode == 0
    model = load_model(variant_directory(REVERSED, "small"))
    params = load_group(read_params(), "evaluate", EvaluateParams)
    backwards = reversed_bank(bank)
    expected = evaluate(backwards, "val", model.predict_raw, params, seed=42, leave_out=COSTLY_TESTS).summary
    assert expected["recall_at_5"] is not None
    assert read_json("data/evaluation/reversed/small/summary.json")["val"] == expected
    assert not Path("metrics").exists()
