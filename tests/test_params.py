"""Every mistake in params.yaml is one line that names the key, the value and what is allowed."""

from __future__ import annotations

import re
from copy import deepcopy
from functools import reduce
from operator import getitem
from typing import Any

import pytest
import yaml

from lvm_core.config.params import read_params, shown
from lvm_core.config.resolve import RESERVED, resolve_recipes
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.readers import parse_yaml
from tests.paths import ROOT

SHIPPED = yaml.safe_load((ROOT / "params.yaml").read_text())


def edited(tmp_path, changes):
    """params.yaml of the repository with dotted keys changed (`...` in place of a value removes the key)."""
    params = deepcopy(SHIPPED)
    for dotted, value in changes.items():
        *path, last = dotted.split(".")
        group = params
        for part in path:
            group = group[part]
        if value is ...:
            del group[last]
        else:
            group[last] = value
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    return path


def check(path):
    params = read_params(path)
    return resolve_recipes(params)


def test_the_repositorys_parameters_are_valid(tmp_path):
    recipes, rules = check(edited(tmp_path, {}))
    assert [recipe.name for recipe in recipes] == SHIPPED["names"] == list(rules)


@pytest.mark.parametrize("profile", ["default", "quick", "paper"])
def test_every_profile_is_valid(tmp_path, profile):
    check(edited(tmp_path, {"profile": profile}))


def test_a_profile_is_laid_over_the_other_values(tmp_path):
    plain = read_params(edited(tmp_path, {}))
    params = read_params(edited(tmp_path, {"profile": "quick"}))
    assert params["train"]["epochs"] == {"a": 1, "b": 1, "c": 1} != plain["train"]["epochs"]
    assert params["train"]["lr"] == plain["train"]["lr"]
    assert params["corpus"]["max_train_articles"] == 12


def test_the_published_size_has_the_published_batches_and_rate(tmp_path):
    recipes = {one.name: one for one in resolve_recipes(read_params(edited(tmp_path, {"profile": "paper"})))[0]}
    before_p5 = ("p1", "v1", "v3", "p2", "p2_free", "p3", "p4", "p4_published")
    from_p5_on = ("p5", "p5_nuclear", "p5_forward_gain", "p5_1", "p5_1_sim", "p6", "p6_shifted")
    for size, names in ((64, before_p5), (32, from_p5_on)):
        for name in names:
            found: Any = recipes[name]
            assert (found.train.batch_size, found.train.lr) == (size, 0.0005), name
            assert (found.model.d_model, found.model.ffn) == (512, 2048), name


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pos_scaler": 0.2}, ["pos_scaler", "0.2", "unknown key", "pos_scalar"]),
        ({"seed": ...}, ["seed is missing"]),
        ({"seed": -1}, ["seed", "-1", "greater than or equal to 0"]),
        ({"threads": 0}, ["threads", "0", "greater than or equal to 1"]),
        ({"threads": "2"}, ["threads", "'2'", "integer"]),
        ({"precision": "fp16"}, ["precision", "'fp16'", "'bf16'"]),
        ({"device": "gpu"}, ["device", "'gpu'"]),
        ({"launch": "mpirun"}, ["launch", "'mpirun'", "torchrun"]),
        ({"launch": "torchrun; reboot"}, ["launch", "reboot"]),
        ({"train.bank": "disk"}, ["train.bank", "'disk'", "'mapped'"]),
        ({"train.compile": True}, ["train.compile", "True", "'default'"]),
        ({"pos_scalar": "strong"}, ["pos_scalar = 'strong'", "number"]),
        ({"pos_scalar": float("nan")}, ["pos_scalar = nan", "finite"]),
        ({"profile": "fast"}, ["profile", "'fast'", "default", "paper", "quick"]),
        (
            {"profile": "quick", "profiles.quick.corpus.max_articles": 5},
            ["profiles.quick.corpus.max_articles", "max_tr"],
        ),
        ({"train.lr": "1e-3"}, ["train.lr = '1e-3'", "0.001 or 1.0e-3"]),
        ({"train.lr": "0.5"}, ["train.lr = '0.5'", "the quotes make it text: write 0.5 without them"]),
        ({"recipes.p1.losses": {"mse": "1"}}, ["recipes.p1.losses.mse = '1'", "write 1 without them"]),
        ({"train.lr": 0.0}, ["train.lr", "0.0", "greater than 0"]),
        ({"train.learning_rate": 0.1}, ["train.learning_rate", "unknown key", "batch_size, lr"]),
        ({"train.epochs.a": 0}, ["train.epochs.a", "0"]),
        ({"train.epochs.a": 2**31}, ["train.epochs.a", "2147483648", "10000"]),
        ({"data.train": "a\0b"}, ["data.train", "null character"]),
        ({"train.epochs.d": 3}, ["train.epochs.d", "unknown key", "allowed are a, b, c"]),
        ({"train.schedule.name": "step"}, ["train.schedule", "'plateau'"]),
        ({"train.best_by": "margin"}, ["train.best_by", "'margin'", "'cosine'"]),
        ({"model.heads": 5}, ["model", "multiple of heads = 5"]),
        ({"corpus.min_chunks": 3}, ["corpus.min_chunks", "3"]),
        ({"corpus.max_chars": 100}, ["corpus.max_chars", "100"]),
        ({"split.val": 1.0}, ["split.val", "1.0"]),
        ({"encoder.batch_size": 2.5}, ["encoder.batch_size", "2.5", "integer"]),
        ({"encoder.model": None}, ["encoder.model", "None", "string"]),
        ({"data.kind": "numbers"}, ["data.kind", "'numbers'", "'text'"]),
        ({"score.name": "margin"}, ["score.name", "'margin'", "'distinctness'"]),
        ({"curriculum.top.a": 0.8}, ["curriculum.top", "must not exceed"]),
        ({"diagnosis.max_lag": 2}, ["diagnosis.max_lag", "2"]),
        ({"evaluate.batch_size": 0}, ["evaluate.batch_size", "0"]),
        ({"names": []}, ["names", "at least 1"]),
        ({"names": ["p1", "p9"]}, ["names has 'p9'", "defined are p1"]),
        ({"names": ["p1", "p1"]}, ["names", "twice"]),
        ({"names": "p1"}, ["names = 'p1': must be a list of recipe names, e.g. [p1]"]),
        ({"names": "p1,p5"}, ["names = 'p1,p5': must be a list of recipe names, e.g. [p1]"]),
        ({"names": None}, ["names = None: must be a list of recipe names, e.g. [p1]"]),
        ({"names": {"p1": 1}}, ["names = {'p1': 1}: must be a list"]),  # DVC takes its keys
        ({"names": [""]}, ["names has ''", "defined are p1"]),
        ({"names": [["p1"]]}, ["names.0 = ['p1']", "string"]),
        ({"names": ["${seed}"]}, ["names has '${seed}'"]),
        ({"train.seeds": 43}, ["train.seeds = 43: must be a list of whole numbers, e.g. [43, 44]; [] for none"]),
        ({"train.seeds": None}, ["train.seeds = None: must be a list"]),
        ({"train.seeds": [43.0]}, ["train.seeds.0 = 43.0", "integer"]),
        ({"train.seeds": [43, 43]}, ["train.seeds = [43, 43]: a seed occurs twice"]),
        ({"train.repeat": "contrast"}, ["train.repeat = 'contrast': must be a list of recipe names"]),
        ({"time_direction": "p1"}, ["time_direction = 'p1': must be a list of recipe names"]),
        ({"time_direction": ["contrast"] * 2}, ["time_direction", "twice"]),
        ({"service.models": "p1"}, ["service.models = 'p1': must be a list of recipe names"]),
        ({"profiles": {"default": {}, "a.b": {}}}, ["profiles.a.b: a profile's name is letters"]),  # a path to DVC
        ({"recipes.ridge": {"about": "x"}}, ["recipes.ridge", "none of"]),
        ({"recipes.p1.loss": 1}, ["recipes.p1.loss", "unknown key", "losses"]),
        ({"recipes.p1.losses": {"msee": 1.0}}, ["recipes.p1.losses", "msee", "known are mse"]),
        ({"recipes.p1.losses": ...}, ["recipes.p1.losses is missing"]),
        ({"recipes.p1.losses": {"mse": "1e0"}}, ["recipes.p1.losses.mse", "'1e0'", "1.0e-3"]),
        (
            {"recipes.p5.model.pos_scalar": {"param": "pos_scaler"}},
            ["recipes.p5.model.pos_scalar", "pos_scaler", "no such"],
        ),
        ({"recipes.p5.curriculum.rule": "best"}, ["recipes.p5.curriculum.rule", "'best'", "'top'"]),
        ({"recipes.p5.train": {"lr": -1.0}}, ["recipes.p5.train.lr", "-1.0"]),
        ({"recipes.p5.model": 3}, ["recipes.p5.model = 3", "mapping"]),
    ],
)
def test_each_mistake_is_one_clear_line(tmp_path, changes, words):
    path = edited(tmp_path, changes)
    with pytest.raises(LvmError) as error:
        check(path)
    message = str(error.value)
    assert "\n" not in message
    for word in [*words, "params.yaml"]:
        assert word in message


@pytest.mark.parametrize("value", ["fast", "nan", [0.5], {"value": "0.5"}])
def test_no_hint_where_the_value_is_no_number(tmp_path, value):
    with pytest.raises(LvmError) as error:
        check(edited(tmp_path, {"train.lr": value}))
    assert "quotes" not in str(error.value)
    assert "YAML reads" not in str(error.value)


def test_a_text_that_happens_to_be_a_number_is_no_hint_where_no_number_is_wanted(tmp_path):
    with pytest.raises(LvmError) as error:
        check(edited(tmp_path, {"precision": "16"}))
    assert "quotes" not in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"train.lr": "x" * 500},
        {"train.lr": [1.0] * 500},
        {"train.extra": {"x": "y" * 500}},
        {"pos_scaler": "z" * 500},
        {"recipes.p1.loss": "y" * 500},
        {"recipes.p1.model": "y" * 500},
        {"time_direction": [f"p{number}" for number in range(500)]},
    ],
)
def test_a_very_long_value_is_shortened(tmp_path, changes):
    with pytest.raises(LvmError) as error:
        check(edited(tmp_path, changes))
    ((key, value),) = changes.items()
    assert f"{key} = {repr(value)[:77]}...: " in str(error.value)


def test_a_value_that_just_fits_is_shown_whole():
    assert shown("x" * 78) == repr("x" * 78)
    assert shown("x" * 79) == "'" + "x" * 76 + "..."


@pytest.mark.parametrize("number", ["010", "-017", "0_1", "1:30", "1:30.5"])
def test_a_number_that_dvc_reads_as_another_one_is_refused(number):
    """DVC reads YAML 1.2, where 010 is ten; to YAML 1.1 it is eight."""
    with pytest.raises(LvmError, match=rf"params\.yaml: line 2: {number} is one number to us and another to DVC"):
        parse_yaml(f"a: [0, -0.5, 1_000, 0x10, '010', 2026-01-01]\nseed: {number}\n", "params.yaml")


@pytest.mark.parametrize(("text", "word"), [("a: [", "valid YAML"), ("- 1", "mapping"), ("", "mapping")])
def test_a_file_that_is_no_mapping(tmp_path, text, word):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(LvmError, match=word):
        read_params(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(LvmError, match=r"nothing\.yaml: cannot be read"):
        read_params(tmp_path / "nothing.yaml")


def test_every_list_can_be_emptied_from_the_command_line(tmp_path):
    """ruamel, with which DVC writes params.yaml, loses the line end after a comment beside a key whose list goes."""
    from dvc.utils.hydra import apply_overrides

    def lists(value, where):
        if isinstance(value, list):
            yield where
        elif isinstance(value, dict):
            for key, item in value.items():
                yield from lists(item, f"{where}.{key}" if where else key)

    def without_lists(value):
        if isinstance(value, dict):
            return {key: without_lists(item) for key, item in value.items()}
        return None if isinstance(value, list) else value

    def follow(value, path):
        return reduce(getitem, path.split("."), value)

    text = (ROOT / "params.yaml").read_text()
    keys = [key for key in lists(yaml.safe_load(text), "") if not key.startswith("gates.")]
    assert {"names", "time_direction", "train.repeat", "train.seeds", "evaluate.ridge_strengths"} <= set(keys)
    path = tmp_path / "params.yaml"
    path.write_text(text)
    for value in ("[]", "[1, 2]", "[]"):
        apply_overrides(path, [f"{key}={value}" for key in keys])  # takes a second, for one key too
        after = yaml.safe_load(path.read_text())
        assert without_lists(after) == without_lists(yaml.safe_load(text))
        assert [follow(after, key) for key in keys] == [yaml.safe_load(value)] * len(keys)


def test_no_recipe_may_have_the_name_of_a_file_in_metrics():
    pipeline = (ROOT / "dvc.yaml").read_text()
    files = set(re.findall(r"metrics/([a-z_]+)\.(?:json|csv|md)", pipeline)) | {"bench"}
    assert files - {"curriculum_check"} <= RESERVED
