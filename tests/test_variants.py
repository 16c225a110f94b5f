"""Recipes trained once more: same bytes as the chain of stages, resumable, and the parameters that name them."""

from __future__ import annotations

import pytest

from lvm_core import variants
from lvm_core.checkpoint import load_model
from lvm_core.errors import LvmError
from lvm_core.fivecat.params import EvaluateParams
from lvm_core.layout import REVERSED, evaluation_directory, phase_directory, seed_variant, variant_directory
from lvm_core.params import read_params
from lvm_core.phases import run_phase
from lvm_core.resolve import resolve_recipes, validate_all
from lvm_core.resume import ROOT as PROGRESS
from lvm_core.reversal import reversed_bank
from lvm_core.variants import make_variant
from tests.calling import one_clear_line, run_stage
from tests.imports import ROOT
from tests.training import small_bank, small_recipe, write_inputs

PARAMS = EvaluateParams(contrastive_targets=10)


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
        run_phase(f"train-{phase}", recipe, phase, bank, windows[phase], start, phase_directory("small", phase))
    make_variant(seed_variant(0), recipe, bank, windows, PARAMS, 0)
    assert contents(variant_directory("seed-0", "small")) == contents(phase_directory("small", "c"))
    assert set(contents(evaluation_directory("seed-0") / "small")) == {"val.parquet", "ood.parquet", "summary.json"}
    assert not PROGRESS.exists()


def test_an_interrupted_variant_goes_on_and_ends_with_the_same_bytes(place, monkeypatch):
    bank, recipe, windows = place
    make_variant("whole", recipe, bank, windows, PARAMS, 0)
    trained, real = [], variants.run_phase

    def interrupted(work, recipe, phase, *rest):
        if phase == "c" and "a" in trained and "stop" not in trained:
            trained.append("stop")
            raise KeyboardInterrupt
        trained.append(phase)
        return real(work, recipe, phase, *rest)

    monkeypatch.setattr(variants, "run_phase", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_variant("broken", recipe, bank, windows, PARAMS, 0)
    assert not variant_directory("broken", "small").exists()
    make_variant("broken", recipe, bank, windows, PARAMS, 0)
    assert trained == ["a", "b", "stop", "c"]  # finished phases are not trained again
    for directory in (lambda name: variant_directory(name, "small"), lambda name: evaluation_directory(name) / "small"):
        assert contents(directory("broken")) == contents(directory("whole"))
    assert not PROGRESS.exists()


def test_the_model_of_reversed_articles_belongs_to_them(place):
    bank, recipe, windows = place
    backwards = reversed_bank(bank)
    make_variant(REVERSED, recipe, backwards, windows, PARAMS, 0)
    info = load_model(variant_directory(REVERSED, "small")).info
    assert info.data_sha256 == backwards.info.content_sha256 != bank.info.content_sha256


def params_with(**changes):
    params = read_params(ROOT / "params.yaml")
    return params | {key: params[key] | value if isinstance(value, dict) else value for key, value in changes.items()}


def check(params):
    validate_all(params)
    resolve_recipes(params)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time_direction": ["p7"]}, "time_direction = ['p7']: 'p7' is not in names"),
        ({"time_direction": ["p1", "p1"]}, "time_direction = ['p1', 'p1']: a recipe is named twice"),
        ({"train": {"repeat": ["oracle"]}}, "train.repeat = ['oracle']: 'oracle' is not in names"),
        ({"train": {"seeds": [43, 43]}}, "train.seeds = [43, 43]: a seed occurs twice"),
        ({"train": {"seeds": [42]}}, "train.seeds = [42]: a seed occurs twice, or is `seed` itself"),
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


def test_the_seed_of_the_command_line_must_be_a_number(tmp_path):
    assert "SEED = 'x' is not a whole number" in one_clear_line(run_stage(["stages.repeat", "small", "x"], tmp_path))
