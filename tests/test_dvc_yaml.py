"""dvc.yaml says what is true."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from lvm_core.config.references import REFERENCES
from lvm_core.config.resolve import SETTINGS_OF, Params
from lvm_core.config.settings import EvaluateSettings
from lvm_core.runtime.sources import code_line, stage_scripts, used_files
from tests.calling import list_code, one_clear_line, run_stage
from tests.paths import ROOT

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
STAGES = PIPELINE["stages"]
ONCE_A_RECIPE = [stage for stage, kind in SETTINGS_OF.items() if issubclass(kind, EvaluateSettings)]


def script_of(stage: str) -> str:
    return STAGES[stage]["cmd"].split()[2].removeprefix("stages.")


SEEN = (
    *("corpora/x/build/a.txt", "corpora/build/a.txt", "corpora/dist/a.txt", "corpora/books.egg-info/a.txt"),
    *("corpora/.resume/a.txt", "corpora/.venv/a.txt", "corpora/__pycache__/a.txt", "corpora/x/.hypothesis/a.txt"),
    *("corpora/lvm_core/__pycache__/a.txt", "corpora/texts.pyc", "corpora/linked.txt", "lvm_core/a.py", "stages/a.py"),
)
UNSEEN = (
    *(
        "lvm_core/__pycache__/a.pyc",
        "lvm_core/x/y/__pycache__/a.pyc",
        "stages/__pycache__/a.pyc",
        "build/quick/dvc.yaml",
    ),
    *(".venv/lib/x.py", "lvm_lab.egg-info/x", ".resume/x", ".mypy_cache/x", ".git/x", "corpora/.git/x"),
)


def test_dvc_sees_every_folder_of_texts_and_no_caches(tmp_path):
    shutil.copy(ROOT / ".dvcignore", tmp_path)
    for name in (*SEEN, *UNSEEN, "elsewhere/a.txt", "corpora/other_repo/.dvc/x", "corpora/other_repo/a.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "corpora/folder").symlink_to(tmp_path / "elsewhere")  # corpora/README.md says that these are not seen
    with Repo.init(tmp_path, no_scm=True) as repo:
        parts = [tmp_path / part for part in ("corpora", "lvm_core", "stages")]
        found = [Path(path) for part in parts for path in repo.dvcignore.find(repo.fs, str(part))]
        assert {path.relative_to(tmp_path).as_posix() for path in found} == set(SEEN)
        ignored = {name for name in UNSEEN if repo.dvcignore.is_ignored_file(str(tmp_path / name))}
        assert ignored == set(UNSEEN)


@pytest.fixture(scope="module")
def resolved(tmp_path_factory):
    """A folder in which the stage `resolve` has run, with listings that stand for the code."""
    folder = tmp_path_factory.mktemp("resolved")
    shutil.copy(ROOT / "params.yaml", folder)
    list_code(folder)
    resolve(folder)
    return folder


def resolve(folder: Path) -> dict[str, str]:
    """Run the stage; the texts that it has written."""
    done = run_stage(["stages.resolve"], folder)
    assert done.returncode == 0, done.stderr
    return written(folder)


def written(folder: Path) -> dict[str, str]:
    outs = [path for out in STAGES["resolve"]["outs"] for path in (folder / out, *(folder / out).rglob("*"))]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in outs if path.is_file()}


def listing(script: str) -> str:
    return f"data/sources/{script}.txt"


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "sources"])
def test_a_stage_depends_on_its_own_code_in_one_way_and_on_no_code_directly(resolved, stage):
    """On the listing; of what runs once for every recipe, by its hash in the file that `resolve` writes for it."""
    script, deps = script_of(stage), STAGES[stage]["deps"]
    code = [dep for dep in deps if dep.startswith(("lvm_core", "stages", "data/sources"))]
    one_of_each = [resolved / dep.replace("${item.recipe}", "p1") for dep in deps]
    named = [path for path in one_of_each if path.is_file() and code_line(script, resolved) in path.read_text()]
    if script == "resolve":  # it writes the hashes of them all
        assert code == ["data/sources"]
    elif STAGES[stage].get("matrix", {}).get("recipe") == "${names}" or script in ONCE_A_RECIPE:
        assert (code, len(named)) == ([], 1)
    else:
        whole = ["data/sources"] if script == "report" else []  # it names the hash of all code
        assert (code, named) == ([listing(script), *whole], [])


def test_an_edit_to_the_code_changes_the_files_of_its_own_stages_and_no_others(resolved, tmp_path):
    shutil.copytree(resolved, tmp_path, dirs_exist_ok=True)
    before = written(tmp_path)
    of_recipes = {name for name in before if name.startswith("data/recipes/")}
    of_gates = {name for name in before if name.startswith("data/settings/gate/")}
    touched = {"train": of_recipes, "gate": of_gates, "evaluate": {"data/settings/evaluate.yaml"}, "report": set()}
    assert {"train", *ONCE_A_RECIPE} <= touched.keys()
    for script, own in touched.items():
        (tmp_path / listing(script)).write_text("edited")
        after = resolve(tmp_path)
        assert before.keys() == after.keys()
        assert {name for name in before if before[name] != after[name]} == own
        assert {name: yaml.safe_load(after[name]) for name in sorted(own)[:2]} == {
            name: yaml.safe_load(before[name]) for name in sorted(own)[:2]
        }
        before = after


def test_a_listing_that_is_missing_is_named(resolved, tmp_path):
    shutil.copytree(resolved, tmp_path, dirs_exist_ok=True)
    before = written(tmp_path)
    for script in ("train", *ONCE_A_RECIPE):
        (tmp_path / listing(script)).rename(tmp_path / "away")
        assert listing(script) in one_clear_line(run_stage(["stages.resolve"], tmp_path))
        (tmp_path / "away").rename(tmp_path / listing(script))
    assert written(tmp_path).keys() == before.keys()


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
    assert not [
        file
        for file in used_files("train", ROOT)
        if file.as_posix().startswith(("lvm_core/gates", "lvm_core/selection"))
    ]


def test_a_recipe_has_at_most_five_stages():
    """DVC reads and writes all of dvc.lock after each; variants of a recipe are further models."""
    assert len([stage for stage in STAGES.values() if stage.get("matrix", {}).get("recipe") == "${names}"]) <= 5


@pytest.mark.parametrize("stage", [stage for stage in STAGES if script_of(stage) in SETTINGS_OF])
def test_what_is_read_from_settings_is_no_parameter(stage):
    """A file is one hash in dvc.lock, in which parameters would stand in full for each recipe."""
    script = script_of(stage)
    name = "gate/${item.recipe}" if script == "gate" else script
    assert f"data/settings/{name}.yaml" in STAGES[stage]["deps"]
    assert "params" not in STAGES[stage]


@pytest.mark.parametrize("stage", STAGES)
def test_every_parameter_declared_exists(stage):
    for key in STAGES[stage].get("params", []):
        assert key.split(".")[0] in Params.model_fields


def test_metrics_and_plots_are_in_git_and_the_rest_is_cached():
    for stage in STAGES.values():
        for out in [*stage.get("outs", []), *stage.get("metrics", [])]:
            ((path, options),) = out.items() if isinstance(out, dict) else [(out, {})]
            assert path.startswith(("metrics/", "plots/")) == (options.get("cache") is False)


def test_the_metrics_of_dvc_are_one_small_file_a_row():
    declared = [path for stage in STAGES.values() for out in stage.get("metrics", []) for path in out]
    assert declared.count("metrics/${item.recipe}.json") == 1
    assert sorted(declared) == sorted(["metrics/${item.recipe}.json", *(f"metrics/{name}.json" for name in REFERENCES)])


def test_the_plots_of_dvc_are_few_and_drawn_from_what_stages_write():
    written = {path for stage in STAGES.values() for out in stage["outs"] if isinstance(out, dict) for path in out}
    assert not [name for name, stage in STAGES.items() if "plots" in stage]
    assert len(PIPELINE["plots"]) <= 10
    for plot in PIPELINE["plots"]:
        ((options),) = plot.values()
        assert (ROOT / f".dvc/plots/{options['template']}.json").is_file()
        assert set(options["y"]) <= written


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
