"""Gates as data: the shipped sets are what the design says, and each mistake is one line that names it."""

from __future__ import annotations

import pytest
import yaml

from lvm_core.config.gates import GatesParams, frames_of
from lvm_core.config.params import load_group, read_params, validate
from lvm_core.runtime.errors import LvmError
from tests.paths import ROOT

ALWAYS = {"all_of": [{"split": "val", "figure": "cosine", "at_least": -1.0}]}


def shipped():
    return yaml.safe_load((ROOT / "params.yaml").read_text())["gates"]


def test_the_shipped_sets_are_sound():
    params: GatesParams = load_group(read_params(ROOT / "params.yaml"), "gates", GatesParams)
    assert list(params.sets["certified"]) == [
        *("ranks_next", "goes_forward", "specific", "uses_order", "transfers", "rolls"),
    ]
    assert (len(params.sets["stage_a"]), len(params.sets["published_5cat"])) == (7, 5)
    assert frames_of(params, "certified") == ("corrected",)  # nothing in it belongs to the other frame
    assert frames_of(params, "stage_a") == frames_of(params, "published_5cat") == ("corrected", "published")
    for gate in params.sets["published_5cat"].values():  # each wants val and ood
        splits = {split for one in gate.all_of for split in (one.split, one.distance_to)} - {None}
        assert splits == {"val", "ood"}


CERTIFIED = "sets.certified.ranks_next.all_of.0"


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        (f"{CERTIFIED}.figure", "recal_at_5", ["ranks_next.all_of.0.figure = 'recal_at_5'", "unknown", "recall_at_5"]),
        (f"{CERTIFIED}.published", "recall", ["published = 'recall'", "unknown figure"]),
        (f"{CERTIFIED}.split", "dev", ["split = 'dev'", "'val' or 'ood'"]),
        (f"{CERTIFIED}.bound", "low", ["bound = 'low'", "'lo'"]),
        (f"{CERTIFIED}.at_least", 0.1, ["exactly one limit", "at_least, above, at_most, below"]),
        (f"{CERTIFIED}.above", None, ["exactly one limit"]),
        (f"{CERTIFIED}.above", "0", ["above = '0'", "number"]),
        (f"{CERTIFIED}.bound", "hi", ["'hi' with 'above'", "other end"]),
        (f"{CERTIFIED}.minus.best_of", ["copy_lst"], ["best_of", "'copy_lst' is no reference predictor", "copy_last"]),
        (f"{CERTIFIED}.minus.best_of", [], ["best_of = []", "at least 1"]),
        (f"{CERTIFIED}.minus.best_of", "rival", ["best_of = 'rival'", "list"]),
        (f"{CERTIFIED}.minus.best_of", ["rivals", "random"], ["'rivals' is no reference", "give rivals alone"]),
        (f"{CERTIFIED}.distance_to", "ood", ["distance_to", "does not go with minus"]),
        (f"{CERTIFIED}.set", "stage_a", ["a condition on a set has no figure"]),
        (f"{CERTIFIED}.figure", None, ["needs a split and a figure"]),
        (f"{CERTIFIED}.color", "red", ["color = 'red'", "unknown key"]),
        ("sets.certified.ranks_next.all_of", [], ["at least 1"]),
        ("sets.certified.ranks_next.report", True, ["report = True", "unknown key"]),
        ("sets.certified", {}, ["certified = {}", "at least 1"]),
        ("sets.stage_a.five_cat.all_of.0.set", "mine", ["stage_a: there is no set mine"]),
        ("sets.stage_a.five_cat.all_of.0.set", "stage_a", ["gates of stage_a cannot be counted"]),
        ("sets.Mine", {"a": ALWAYS}, ["Mine", "pattern"]),
        ("set", {}, ["gates.set", "unknown key"]),
    ],
)
def test_each_mistake_is_one_clear_line(where, value, words):
    gates = shipped()
    *path, last = where.split(".")
    group = gates
    for part in path:
        group = group[int(part) if isinstance(group, list) else part]
    group[last] = value
    with pytest.raises(LvmError) as error:
        validate(gates, GatesParams, "gates")
    assert "\n" not in str(error.value)
    for word in ["params.yaml: gates", *words]:
        assert word in str(error.value)


@pytest.mark.parametrize("name", ["certified", "stage_a", "published_5cat"])
def test_sets_that_the_table_needs_cannot_be_left_out(name):
    gates = shipped()
    del gates["sets"][name]
    with pytest.raises(LvmError, match=name):
        validate(gates, GatesParams, "gates")
