"""dvc.yaml says what is true: each stage depends on exactly the modules that it imports."""

from __future__ import annotations

import pytest
import yaml

from lvm_core.params import TOP_LEVEL
from tests.imports import ROOT, used_files

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
STAGES = PIPELINE["stages"]


def script_of(stage: str) -> str:
    return STAGES[stage]["cmd"].split()[2].removeprefix("stages.")


@pytest.mark.parametrize("stage", STAGES)
def test_declared_modules_are_the_imported_ones(stage):
    declared = {dep for dep in STAGES[stage]["deps"] if dep.startswith(("lvm_core", "stages"))}
    used = used_files(script_of(stage))

    def covers(dep, file):
        return file == dep or file.startswith(f"{dep}/")

    assert not [file for file in used if not any(covers(dep, file) for dep in declared)], "imported, not declared"
    assert not [dep for dep in declared if not any(covers(dep, file) for file in used)], "declared, not imported"


@pytest.mark.parametrize("stage", ["train_a", "train_b", "train_c", "embed", "score"])
def test_an_edit_to_a_figure_or_the_comparison_does_not_retrain(stage):
    deps = STAGES[stage]["deps"]
    assert "lvm_core/figures.py" not in deps
    assert "lvm_core/comparison.py" not in deps
    assert "lvm_core" not in deps


def test_training_reads_its_recipe_and_no_parameter():
    for phase in "abc":
        stage = STAGES[f"train_{phase}"]
        assert "params" not in stage
        assert "data/recipes/${item.recipe}.yaml" in stage["deps"]


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


def test_artifacts_are_models_of_recipes():
    """Not every recipe has to be one: adding a recipe is an edit of params.yaml alone. `selected` is the ladder's."""
    names = yaml.safe_load((ROOT / "params.yaml").read_text())["names"]
    assert PIPELINE["artifacts"]
    for name, entry in PIPELINE["artifacts"].items():
        assert name in [*names, "selected"]
        assert (entry["path"], entry["type"]) == (f"data/models/{name}", "model")
