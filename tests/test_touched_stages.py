"""A change to one parameter touches the rows that use it and no other: in the resolved files, and under real DVC."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo
from dvc.utils.hydra import apply_overrides

from lvm_core.config.params import read_params
from lvm_core.config.recipe import write_recipe
from lvm_core.config.resolve import resolve_recipes
from tests.paths import ROOT
from tests.shell import sh, stages_run

RECIPES = list(yaml.safe_load((ROOT / "params.yaml").read_text())["recipes"])
SHOWN = ("p1", "p5_1", "contrast")


def resolved(params, folder):
    """Bytes of each recipe's file, and each curriculum's rule: what training depends on."""
    recipes, rules = resolve_recipes(params)
    folder.mkdir(exist_ok=True)
    for recipe in recipes:
        write_recipe(folder, recipe)
    return {name: (folder / f"{name}.yaml").read_bytes() for name in rules}, rules


def touched(before, after):
    """Names of the recipes whose file is another, and of those whose rule is."""
    assert list(before[0]) == list(after[0])
    return tuple({name for name in one if one[name] != other[name]} for one, other in zip(before, after, strict=True))


@pytest.fixture
def every_recipe(tmp_path):
    """params.yaml with every recipe in `names`, and what it resolves to."""
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    apply_overrides(path, [f"names=[{','.join(RECIPES)}]"])
    return path, resolved(read_params(path), tmp_path / "recipes")


# amn has none
OWN_DROPOUT = {"lstm", "gru", "amn", "contrast", "memory", "memory_bank", "document", "storylines"}


@pytest.mark.parametrize(
    ("change", "files", "rules"),
    [
        ("pos_scalar=0.2", {"p5"}, set()),
        ("recipes.p5.model.pos_scalar=0.2", {"p5"}, set()),
        ("recipes.p5_1.model.pos_scalar=0.2", {"p5_1"}, set()),
        ("recipes.p5_1.model.last_slot_bias.beta_max=0.8", {"p5_1"}, set()),
        ("recipes.p5_1.losses.micro_ranking.weight=0.5", {"p5_1"}, set()),
        ("recipes.p5_1.curriculum.score=forward_gain", set(), {"p5_1"}),
        ("recipes.p5_1.about=other", set(), set()),
        ("score.name=forward_gain", set(), {"p5"}),
        ("curriculum.top.a=0.2", set(), set()),  # the curriculum stage reads it itself
        ("model.dropout=0.3", set(RECIPES) - OWN_DROPOUT, set()),
        ("train.seeds=[]", set(), set()),
        ("evaluate.rollout_steps=4", set(), set()),
        ("gates.policy=enforce", set(), set()),
        ("recipes.p5_1.gates=certified", set(), set()),
        ("seed=7", set(RECIPES), set()),
    ],
)
def test_a_change_reaches_the_recipes_that_use_it(every_recipe, tmp_path, change, files, rules):
    path, before = every_recipe
    apply_overrides(path, [change])
    assert touched(before, resolved(read_params(path), tmp_path / "recipes")) == (files, rules)


def test_a_change_to_a_recipe_is_a_change_to_that_one_alone(every_recipe, tmp_path):
    path, before = every_recipe
    params = read_params(path)
    for name in RECIPES:
        changed = params["recipes"] | {name: params["recipes"][name] | {"seed": 7}}
        after = resolved(params | {"recipes": changed}, tmp_path / "recipes")
        assert touched(before, after) == ({name}, set())


def test_the_recipes_of_make_quick_agree_with_the_other_parameters(tmp_path):
    (line,) = re.findall(r"^\tcd \$\(QUICK\) && (dvc exp run .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    words = shlex.split(line)
    changes = [words[place + 1] for place, word in enumerate(words) if word == "-S"]
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    apply_overrides(path, changes)
    params = read_params(path)
    files, _ = resolved(params, tmp_path / "recipes")
    assert (params["profile"], list(files), params["train"]["seeds"]) == ("quick", ["p1", "p5", "contrast"], [])


@pytest.fixture(scope="module")
def as_after_a_run(tmp_path_factory):
    """A clone that DVC takes for one with a finished run: every output that is not there holds its own path."""
    folder = tmp_path_factory.mktemp("touched") / "clone"
    sh(f"git clone --quiet --no-hardlinks {ROOT} {folder}", ROOT)
    sh(f"git diff --binary HEAD | git -C {folder} apply --allow-empty", ROOT)
    choice = (f"names=[{','.join(SHOWN)}]", "time_direction=[contrast]", "train.repeat=[contrast]", "train.seeds=[43]")
    apply_overrides(folder / "params.yaml", choice)
    sh("python -m stages.sources && python -m stages.resolve", folder)
    with Repo(folder) as repo:
        paths = sorted({Path(path.fs_path) for stage in repo.index.stages for path in (*stage.deps, *stage.outs)})
    for path in sorted(paths, key=lambda path: path.suffix == ""):  # files first: some are in folders of the list
        if not path.exists():
            file = path if path.suffix else path / "made"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(str(path.relative_to(folder)))
    sh("dvc commit --force --quiet", folder)
    assert not stages_run(sh("dvc repro --dry", folder))
    return folder


@pytest.mark.e2e
@pytest.mark.soak
def test_dvc_would_train_the_row_that_is_touched_and_no_other(as_after_a_run):
    """`--dry` names the stages whose own inputs are others; what depends on their outputs follows in a real run.

    Beside the row: what reads all resolved recipes. With `make test` the same is seen in the files that resolve writes
    (above) and, of one parameter, in a real run (test_e2e).
    """
    apply_overrides(as_after_a_run / "params.yaml", ["recipes.p5_1.losses.micro_ranking.weight=0.5"])
    assert stages_run(sh("dvc repro --single-item resolve", as_after_a_run)) == {"resolve"}
    waiting = stages_run(sh("dvc repro --dry", as_after_a_run))
    assert waiting == {f"train_{phase}@p5_1" for phase in "abc"} | {"ladder", "compare"}
