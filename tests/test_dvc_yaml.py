"""dvc.yaml says what is true."""

from __future__ import annotations

import pytest
import yaml

from lvm_core.params import TOP_LEVEL
from lvm_core.settings import KEYS
from lvm_core.sources import stage_scripts
from tests.paths import ROOT

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
STAGES = PIPELINE["stages"]


def script_of(stage: str) -> str:
    return STAGES[stage]["cmd"].split()[2].removeprefix("stages.")


CODE_NAMED_IN = {
    "resolve": "data/sources",  # the listings of all
    "train": "data/recipes/${item.recipe}.yaml",
    "gate": "data/settings/gate/${item.recipe}.yaml",
    "evaluate": "data/settings/evaluate.yaml",
}
"""Of what runs once a recipe `resolve` names the code in a file that the stage reads anyway (test_pipeline)."""


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "sources"])
def test_a_stage_depends_on_the_listing_of_its_own_code_and_on_no_code_directly(stage):
    script = script_of(stage)
    named = CODE_NAMED_IN.get(script, f"data/sources/{script}.txt")
    listings = [dep for dep in STAGES[stage]["deps"] if dep.startswith(("lvm_core", "stages", "data/sources"))]
    assert named in STAGES[stage]["deps"]
    assert listings in ([named], [])


def test_the_listings_are_made_from_all_of_the_code():
    assert set(STAGES["sources"]["deps"]) == {"stages", "lvm_core"}
    assert {script_of(stage) for stage in STAGES} == set(stage_scripts(ROOT))


def test_training_reads_its_recipe_and_no_parameter():
    for phase in "abc":
        stage = STAGES[f"train_{phase}"]
        assert "params" not in stage
        assert "data/recipes/${item.recipe}.yaml" in stage["deps"]


def test_training_knows_of_the_gates_only_what_they_decided():
    """Neither thresholds nor policy: under `report` the decision is always the same file."""
    decision = "data/gates/a/${item.recipe}.json"
    assert [name for name, stage in STAGES.items() if decision in stage.get("outs", [])] == ["gate_a"]
    assert "data/settings/gate/${item.recipe}.yaml" in STAGES["gate_a"]["deps"]
    assert [name for name, stage in STAGES.items() if decision in stage["deps"]] == ["train_b"]
    assert not [dep for phase in "abc" for dep in STAGES[f"train_{phase}"]["deps"] if dep.startswith("lvm_core/gates")]


@pytest.mark.parametrize("stage", [stage for stage in STAGES if script_of(stage) in KEYS])
def test_what_is_read_from_settings_is_no_parameter(stage):
    """A file is one hash in dvc.lock, in which parameters would stand in full for each recipe."""
    script = script_of(stage)
    name = "gate/${item.recipe}" if script == "gate" else script
    assert f"data/settings/{name}.yaml" in STAGES[stage]["deps"]
    assert "params" not in STAGES[stage]


@pytest.mark.parametrize("stage", STAGES)
def test_every_parameter_declared_exists(stage):
    for key in STAGES[stage].get("params", []):
        assert key.split(".")[0] in TOP_LEVEL


def test_metrics_and_plots_are_in_git_and_the_rest_is_cached():
    for stage in STAGES.values():
        for out in [*stage.get("metrics", []), *stage.get("plots", [])]:
            ((path, options),) = out.items()
            assert path.startswith(("metrics/", "plots/"))
            assert options["cache"] is False


def test_every_recipe_has_an_artifact():
    recipes = yaml.safe_load((ROOT / "params.yaml").read_text())["recipes"]
    wanted = {
        name: {"path": f"data/models/{name}", "type": "model", "desc": recipe["about"]}
        for name, recipe in recipes.items()
    }
    there = {name: PIPELINE["artifacts"].get(name) for name in recipes}
    assert there == wanted, "artifacts in dvc.yaml: one a recipe, desc is its about"


def test_an_artifact_that_is_no_recipe_is_what_a_stage_makes():
    recipes = yaml.safe_load((ROOT / "params.yaml").read_text())["recipes"]
    outs = {out for stage in STAGES.values() for out in stage.get("outs", []) if isinstance(out, str)}
    assert {entry["path"] for name, entry in PIPELINE["artifacts"].items() if name not in recipes} <= outs
