"""tools/repro.py: the order of the work, what is said after each recipe, and the record of what a run cost."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
import yaml

from tests.paths import ROOT
from tools import repro

PIPELINE = """
stages:
  bank:
    cmd: python -m stages.bank
    deps: [stages]
    outs: [bank]
  train_c:
    matrix: {recipe: [other, p1]}
    cmd: cp bank model-${item.recipe}
    deps: [bank]
    outs: ["model-${item.recipe}"]
"""
STAGE = """
from pathlib import Path

from lvm_core.runtime.cli import run_stage

run_stage(lambda: sum(range(10_000_000)) and Path("bank").touch())
"""


def test_the_first_recipes_then_those_trained_once_more_then_the_others():
    names = ("v1", "p1", "gru", "contrast", "p5")
    graph = {f"train_a@{name}": {"bank"} for name in names}
    graph |= {f"train_c@{name}": {f"train_a@{name}"} for name in names}
    graph |= {"train_reversed@p1": {"bank"}, "evaluate_reversed@p1": {"train_reversed@p1"}}
    graph |= {"calibrate@p1": {"train_c@p1"}}
    chains = repro.changed_chains(graph, set(graph))
    assert chains[0] == ["train_a@p1", "train_c@p1", "calibrate@p1"]
    assert chains[3] == ["train_reversed@p1", "evaluate_reversed@p1"]
    assert [repro.trained_recipe(chain) for chain in chains] == ["p1", "p5", "contrast", None, "v1", "gru"]


def test_the_pipeline_s_own_recipes_run_in_this_order():
    dot = subprocess.run(["dvc", "dag", "--dot"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    graph = repro.stage_graph(dot)
    assert "references" in repro.shared_stages(graph)  # before any recipe
    chains = repro.changed_chains(graph, set(graph))
    trained = [repro.trained_recipe(chain) for chain in chains]
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    others = [name for name in params["names"] if name not in repro.FIRST]
    once_more = len(params["time_direction"]) + len(params["train"]["repeat"]) * len(params["train"]["seeds"])
    assert trained == [*repro.FIRST, *[None] * once_more, *others]


@pytest.mark.parametrize(
    ("took", "running", "waiting", "jobs", "left"),
    [
        ([60.0], [], 4, 1, 4 * 60 + 60),  # one after the other, and the comparison
        ([50.0, 70.0], [30.0], 3, 2, (3 * 60 + 30) / 2 + 60),
        ([60.0], [90.0], 0, 2, 60),  # longer than the others took: it may end at any moment
        ([60.0], [20.0], 0, 8, 40 + 60),  # seven have nothing to do
        ([60.0], [], 0, 2, 60),
    ],
)
def test_the_time_left_is_that_of_recipes_as_long_as_those_before(took, running, waiting, jobs, left):
    assert repro.seconds_left(took, running, waiting, jobs) == left


@pytest.mark.parametrize("text", [None, "{", "[]", '{"epoch": 1}', '{"epoch": 1, "history": [{"epoch": 1}]}'])
def test_a_model_without_figures_is_no_reason_to_fail(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        write_model(tmp_path, text)
    assert repro.dev_figures("p1") == "done"


def write_model(folder, text):
    (folder / "data/models/p1").mkdir(parents=True)
    (folder / "data/models/p1/model.json").write_text(text)


@pytest.mark.e2e
def test_each_recipe_is_told_and_each_process_is_recorded(tmp_path):
    """One after the other, as `make repro JOBS=1` does it."""
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/bank.py").write_text(STAGE)
    history = [{"epoch": 1}, {"epoch": 2, "dev_recall_at_5": 0.32849, "dev_cosine": 0.5274}]
    write_model(tmp_path, json.dumps({"epoch": 2, "history": history}))
    subprocess.run(["dvc", "init", "--no-scm", "-q"], cwd=tmp_path, check=True)
    command = [sys.executable, str(ROOT / "tools/repro.py"), "1"]
    said = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert [line for line in said.splitlines() if "recipes left" in line] == [
        "p1: R@5 0.328, cosine 0.527 on dev; 1 of 2 recipes left, about 1 min to the end",
        "other: done; 0 of 2 recipes left, about 1 min to the end",
    ]

    (record,) = (tmp_path / "build/runs").iterdir()
    stage, dvc, tool = [json.loads(line) for line in record.read_text().splitlines()]
    assert stage["argv"] == ["-m", "stages.bank"]
    assert stage["cpu"] > 0.05
    assert stage["rss"] > 5_000
    assert (dvc["argv"], dvc["processes"]) == (["dvc"], 7)  # mend, dag, what is shared, status, two recipes, all
    assert dvc["cpu"] > 1  # seven starts of Python, less the stage
    assert tool["argv"] == ["tools/repro.py", "1"]
    assert tool["wall"] > stage["wall"]


SAID = """\
Running stage 'train_a@p5':
> python -m stages.train p5 a
train p5: epoch 1/20: 15,808/19,488 windows (81 %), 3,160 windows/s, 1s left
train p5 phase a: epoch 1/20, lr 0.001, train_loss 3.2380
p5 on val: 4,916/4,916 windows (100 %), 709 windows/s, 7s in all
gate p5: evaluated after phase A; goes on (policy report)
Updating lock file 'dvc.lock'
To track the changes with git, run:
\tgit add dvc.lock
error: data/bank: no p5 at all
"""


def test_a_log_has_the_stages_with_the_clock_and_no_hints(capsys):
    log = repro.Log("p5")
    for line in SAID.splitlines():
        log(line)
    shown = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"p5: \d\d:\d\d:\d\d train_a", shown[0])
    assert shown[1:] == [
        "p5: train phase a: epoch 1/20, lr 0.001, train_loss 3.2380",
        "p5: gate evaluated after phase A; goes on (policy report)",
        "p5: error: data/bank: no p5 at all",
    ]


def test_progress_is_shown_now_and_then(monkeypatch, capsys):
    clock = iter([0.0, 1.0, 31.0, 31.0, 40.0])
    monkeypatch.setattr(repro.time, "monotonic", lambda: next(clock))
    log = repro.Log()
    for done in (1, 2, 3):
        log(f"embed: {done}/9 chunks ({done} %), 1 chunks/s, 8s left")
    assert capsys.readouterr().out == "embed: 2/9 chunks (2 %), 1 chunks/s, 8s left\n"
