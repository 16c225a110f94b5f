"""The seven bugs that the summary lists, each in the form in which that kind of bug could come back here."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
import yaml

from lvm_core.config.groups import CurriculumParams, Rule
from lvm_core.config.models import TransformerParams
from lvm_core.config.params import read_params
from lvm_core.config.recipe import read_recipe
from lvm_core.config.resolve import resolve_recipes
from lvm_core.curriculum.phases import score_windows, select_phases
from lvm_core.models import build_model
from lvm_core.models.checkpoint import load_model
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import phase_directory
from tests.calling import one_clear_line, run_stage
from tests.paths import ROOT
from tests.training import small_bank, small_recipe, train, write_inputs

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


COMMANDS = sorted({stage["cmd"].replace("${launch}", "python") for stage in STAGES.values()})


@pytest.mark.parametrize("command", COMMANDS)
def test_bug_1_every_command_of_the_pipeline_fits_its_script(command, tmp_path):
    """It passed `--arch` to a script that had `--model-type`: too many or too few arguments are refused at once."""
    python, flag, module, *arguments = command.split()
    assert (python, flag) == ("python", "-m")
    assert "usage" not in one_clear_line(run_stage([module, *arguments], tmp_path))  # these fit; inputs are missing
    assert "usage" in one_clear_line(run_stage([module, *arguments, "--model-type"], tmp_path))


def test_bug_2_a_missing_input_is_named_and_has_no_default(tmp_path):
    """It left out `--data`: each input of training that is taken away is named."""
    write_inputs(tmp_path, small_bank(), small_recipe())
    command = ["stages.train", "small", "a"]
    inputs = ["data/recipes/small.yaml", "data/curriculum/small/a.npy", "data/bank/vectors.npy", "data/bank/bank.json"]
    for path in inputs:
        shutil.move(tmp_path / path, tmp_path / "aside")
        assert path in one_clear_line(run_stage(command, tmp_path))
        shutil.move(tmp_path / "aside", tmp_path / path)
        assert not (tmp_path / "data/phases").exists()
    assert run_stage(command, tmp_path).returncode == 0


@pytest.mark.parametrize(("key", "value"), [("pos_scalar", "yes"), ("pos_scalar", "on"), ("threads", "yes")])
def test_bug_3_a_word_for_a_flag_is_not_a_number(tmp_path, key, value):
    """It wrote `--adaptive-dir yes`: YAML reads yes as true, which must not pass for the number 1."""
    text = (ROOT / "params.yaml").read_text()
    old = next(line for line in text.splitlines() if line.startswith(f"{key}:"))
    (tmp_path / "params.yaml").write_text(text.replace(old, f"{key}: {value}"))
    with pytest.raises(LvmError, match=rf"params\.yaml: {key} = True"):
        resolve_recipes(read_params(tmp_path / "params.yaml"))


def test_bug_4_an_array_of_objects_is_refused_not_unpickled(tmp_path):
    """It lacked `allow_pickle=True`; ours never has it, and a planted pickle is not executed."""

    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    write_inputs(tmp_path, small_bank(), small_recipe())
    planted = np.array([Payload()], dtype=object)
    np.save(tmp_path / "data/curriculum/small/a.npy", planted, allow_pickle=True)
    assert "data/curriculum/small/a.npy" in one_clear_line(run_stage(["stages.train", "small", "a"], tmp_path))
    assert not (tmp_path / "executed").exists()


def test_bug_5_the_positional_scalar_reaches_training_and_evaluation(tmp_path):
    """It read `args.*` instead of the computed value, and 5CAT always applied 0.03: the model carries its own."""
    params = read_params(ROOT / "params.yaml") | {"pos_scalar": 0.2}
    resolved = {recipe.name: recipe for recipe in resolve_recipes(params)[0]}
    assert resolved["p5"].model.model_dump()["pos_scalar"] == 0.2

    write_inputs(tmp_path, small_bank(), small_recipe(model={"pos_scalar": 0.2}))
    for phase in "abc":
        assert run_stage(["stages.train", "small", phase], tmp_path).returncode == 0
    model = load_model(tmp_path / phase_directory("small", "c"))
    assert model.module.pos_scalar == 0.2
    contexts = torch.zeros(1, 5, 16)
    other = build_model(TransformerParams.model_validate(model.info.architecture | {"pos_scalar": 0.03}), 16).eval()
    other.load_state_dict(model.module.state_dict())
    assert not torch.equal(model.predict_raw(contexts), other(contexts))


def test_bug_6_without_positional_scalar_nothing_is_undefined(tmp_path):
    """`pos_weight` was undefined when the encoding was off."""
    write_inputs(tmp_path, small_bank(), small_recipe(model={"pos_scalar": None}))
    done = run_stage(["stages.train", "small", "a"], tmp_path)
    assert done.returncode == 0, done.stderr
    info = json.loads((tmp_path / "data/phases/a/small/model.json").read_text())
    assert info["architecture"]["pos_scalar"] is None
    assert read_recipe(tmp_path / "data/recipes/small.yaml").model.model_dump()["pos_scalar"] is None


def test_bug_7_a_subset_is_named_by_bank_rows_and_split_by_article():
    """It split the 131k windows of a subset by positions in the 438k of the whole, then fell back on a leaky draw."""
    bank = small_bank()
    scores = score_windows(bank.vectors, bank.targets("train"), bank.article_of_row)
    params = CurriculumParams.model_validate(
        {
            "top": {"a": 0.3, "b": 0.7},
            "thresholds": {"sim_a": 0.0, "adv_a": 0.0, "sim_b": 0.0, "adv_b": 0.0},
            "min_windows": 1,
            "near_duplicate": None,
        }
    )
    rows = select_phases(scores, Rule(rule="top", score="distinctness"), params)["a"].rows
    assert len(rows) < len(scores)
    split_of_row = bank.articles["split"].to_numpy()[bank.article_of_row]
    assert set(split_of_row[rows]) == {"train"}
    held_out = set(bank.targets("dev")) | set(bank.targets("val"))
    reach = {row + offset for row in rows.tolist() for offset in range(-5, 1)}
    assert not reach & held_out
    state = train(bank, small_recipe(), "a")
    assert state.history[-1]["dev_cosine"] > 0
