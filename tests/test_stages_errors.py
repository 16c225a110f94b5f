"""Stages stop with one clear line and leave what was there before untouched."""

from __future__ import annotations

import pytest

from lvm_core.bank.imported import ImportInfo
from lvm_core.config.params import read_params
from lvm_core.runtime.files import write_json, write_text
from lvm_core.runtime.readers import read_parquet
from tests.calling import list_code, one_clear_line, run_stage, settle
from tests.paths import ROOT
from tests.synthetic import make_bank, write_bank

LR = read_params(ROOT / "params.yaml")["train"]["lr"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    write_bank(
        make_bank({"train": [60] * 6, "dev": [20] * 2, "val": [20] * 2, "ood": [20] * 2}), tmp_path / "data/bank"
    )
    ImportInfo("text").write(tmp_path / "data/imported")
    list_code(tmp_path)
    return tmp_path


def change(folder, old, new):
    text = (folder / "params.yaml").read_text()
    assert old in text
    (folder / "params.yaml").write_text(text.replace(old, new))


def test_data_stages_in_a_row(folder):
    for stage in ("resolve", "score", "curriculum", "diagnose"):
        done = run_stage([f"stages.{stage}"], folder)
        assert done.returncode == 0, done.stderr
    scores = read_parquet(folder / "data/scores.parquet")
    assert scores.columns.tolist() == [
        *("row", "distinctness", "forward_gain", "similarity", "sim_prev", "sim_prev2", "sim_other_max", "adv_prev"),
        "delta_prev2",
    ]
    assert len(scores) == 6 * 55
    assert scores["forward_gain"].isna().sum() == 6
    made = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {
        *(f"data/curriculum/{recipe}/{phase}.npy" for recipe in ("p1", "p5") for phase in "abc"),
        "data/curriculum/p5/in_force.json",
        "metrics/curriculum_check.md",
        "metrics/diagnosis.json",
        "metrics/diagnosis.md",
        "plots/lag_similarity.csv",
        "plots/lag_similarity.svg",
    } <= made
    before = (folder / "plots/lag_similarity.svg").read_bytes()
    assert run_stage(["stages.diagnose"], folder).returncode == 0
    assert (folder / "plots/lag_similarity.svg").read_bytes() == before

    # a phase that would be too small: nothing of what is there changes
    change(folder, "min_windows: 64", "min_windows: 640")
    kept = (folder / "data/curriculum/p5/a.npy").read_bytes()
    assert "phase A" in one_clear_line(run_stage(["stages.curriculum"], folder))
    assert (folder / "data/curriculum/p5/a.npy").read_bytes() == kept


@pytest.mark.parametrize(
    ("stage", "old", "new", "words"),
    [
        ("resolve", f"lr: {LR}", "lr: 5e-4", "train.lr = '5e-4'"),
        ("resolve", "pos_scalar: 0.03", "pos_scaler: 0.03", "pos_scaler = 0.03: unknown key"),
        ("embed", "batch_size: 16 #", "batch_size: 0 #", "encoder.batch_size = 0"),
        ("embed", "model: all-MiniLM-L6-v2", "model: all-mpnet-base-v9", "encoder.model = 'all-mpnet-base-v9'"),
        ("score", "threads: 2", "threads: two", "threads = 'two'"),
        ("diagnose", "near_duplicate: 0.95", "near_duplicate: 95", "diagnosis.near_duplicate = 95"),
        ("references", "rollout_steps: 5", "rollout_steps: 0", "evaluate.rollout_steps = 0"),
        ("resolve", "- p5\n", "- p7\n", "p7"),
    ],
)
def test_every_stage_checks_its_parameters_first(folder, stage, old, new, words):
    change(folder, old, new)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert words in one_clear_line(run_stage([f"stages.{stage}"], folder))
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_bank_without_training_windows(folder):
    write_bank(make_bank({"train": [5], "dev": [20], "val": [20], "ood": [20]}), folder / "data/bank")
    assert "train split has no window" in one_clear_line(run_stage(["stages.score"], folder))


def test_curricula_that_are_missing_or_damaged(folder):
    assert "data/curricula.yaml: cannot be read" in one_clear_line(run_stage(["stages.curriculum"], folder))
    (folder / "data/curricula.yaml").write_text("p1: {rule: best, score: null}")
    line = one_clear_line(run_stage(["stages.curriculum"], folder))
    assert "data/curricula.yaml: curricula.p1.rule = 'best'" in line


def test_an_evaluation_that_is_missing(folder):
    settle(folder, "compare")
    write_json(folder / "data/evaluation/a/p1/summary.json", {})
    assert "summary.json: cannot be read" in one_clear_line(run_stage(["stages.compare"], folder))


@pytest.mark.parametrize(
    ("stage", "file"),
    [
        (["stages.evaluate", "p1", "c"], "evaluate"),
        (["stages.gate", "p1"], "gate/p1"),
        (["stages.compare"], "compare"),
        (["stages.ladder"], "ladder"),
    ],
)
def test_settings_that_are_missing_or_of_another_version(folder, stage, file):
    path = folder / f"data/settings/{file}.yaml"
    assert f"data/settings/{file}.yaml: cannot be read" in one_clear_line(run_stage(stage, folder))
    write_text(path, "seed: 1")
    line = one_clear_line(run_stage(stage, folder))
    assert f"data/settings/{file}.yaml: must be a mapping with the keys seed, threads, " in line
    assert line.endswith("; run `dvc repro resolve`")
    assert run_stage(["stages.resolve"], folder).returncode == 0
    assert "data/settings" not in one_clear_line(run_stage(stage, folder))
