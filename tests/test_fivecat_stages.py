"""The stages `references` and `evaluate`, in a folder with params.yaml and data/bank."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

import stages.evaluate
from lvm_core.config.figures import ABLATIONS
from lvm_core.config.gates import REQUIRED_SETS
from lvm_core.config.groups import EvaluateParams
from lvm_core.config.references import REFERENCES, rivals_of
from lvm_core.fivecat.evaluate import evaluate, evaluate_splits, write_evaluations
from lvm_core.fivecat.references import copy_last
from lvm_core.models.checkpoint import load_model
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import AFTER_B, phase_directory
from lvm_core.runtime.readers import read_json, read_parquet
from tests.calling import COMMON, Done, run_stage, settle
from tests.synthetic import make_bank, write_bank
from tests.training import write_untrained

BANK = make_bank({"train": [20] * 4, "dev": [14, 16], "val": [16, 22, 9], "ood": [18, 25]})


GATES: dict[str, Any] = {
    "policy": "report",
    "in_force": "certified",
    "sets": {
        name: {"a": {"all_of": [{"split": "val", "figure": "order_shuffle", "below": 0}]}} for name in REQUIRED_SETS
    },
}
"""Gates that read order, and no other test that could be left out after phase B."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_bank(BANK, tmp_path / "data" / "bank")
    write_params(tmp_path)
    return tmp_path


def write_params(folder: Path, **changes: Any) -> None:
    params: dict[str, Any] = COMMON | {"names": ["p1", "p5"], "evaluate": {"batch_size": 32}}
    params |= {"recipes": {"p1": {}, "p5": {}}, "gates": GATES}
    params["train"] = {"threads": 1}
    (folder / "params.yaml").write_text(yaml.safe_dump(params | changes), encoding="utf-8")
    settle(folder, "evaluate")


def assert_one_line_error(done: Done, *parts: str) -> None:
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert all(part in done.stderr for part in ("error: ", *parts)), done.stderr


def test_references_stage(folder: Path) -> None:
    done = run_stage(["stages.references"], folder)
    assert done.returncode == 0, done.stderr
    metrics = {name: read_json(folder / "metrics" / f"{name}.json") for name in REFERENCES}
    assert metrics["oracle"]["cosine"] == pytest.approx(1.0, abs=1e-6)
    best = max(rivals_of("oracle", "answer"), key=lambda name: metrics[name]["r5"])
    assert all(metrics[name]["r5_vs_rival"] <= 0 for name in rivals_of(best, "answer"))
    assert metrics["oracle"]["r5_vs_rival"] == pytest.approx(metrics["oracle"]["r5"] - metrics[best]["r5"])
    assert metrics["copy_last"]["ood_r5_vs_copy"] == 0
    for name in REFERENCES:
        output = folder / "data" / "evaluation" / "references" / name
        summary = read_json(output / "summary.json")
        for split in ("val", "ood"):
            assert metrics[name]["r5" if split == "val" else "ood_r5"] == summary[split]["recall_at_5"]
            assert len(read_parquet(output / f"{split}.parquet")) == len(BANK.targets(split))
    direct = evaluate(BANK, "ood", copy_last(), seed=3)
    assert metrics["copy_last"]["ood_r5"] == pytest.approx(direct.summary["recall_at_5"])
    first = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert run_stage(["stages.references"], folder).returncode == 0
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == first


def test_references_stage_says_what_is_wrong(folder: Path) -> None:
    write_params(folder, evaluate={"coherence_cuts": [0.6, 0.5]})
    assert_one_line_error(run_stage(["stages.references"], folder), "evaluate.coherence_cuts")
    write_params(folder)
    assert not (folder / "metrics").exists()


def assert_values_of(model: Path, summary: Any, leave_out: Sequence[str] = ()) -> None:
    """A summary on disk is that of this model."""
    predict = load_model(model).predict_raw
    for split in ("val", "ood"):
        direct = evaluate(BANK, split, predict, EvaluateParams(batch_size=32), seed=3, leave_out=leave_out)
        assert summary[split] == direct.summary


def test_evaluate_stage(folder: Path) -> None:
    """The final model as a whole, and in the same folder the model after phase B as far as a gate reads it."""
    final, after_b = folder / phase_directory("p5", "c"), folder / "data/phases/b/p5"
    for seed, directory in enumerate((final, after_b)):
        write_untrained(directory, 16, seed)
    copying = evaluate_splits(BANK, copy_last(), EvaluateParams(batch_size=32), seed=3)
    for name in rivals_of("p5", "context"):
        write_evaluations(folder / "data/evaluation/references" / name, copying)
    done = run_stage(["stages.evaluate", "p5", "c"], folder)
    assert done.returncode == 0, done.stderr
    evaluation = folder / "data/evaluation/c/p5"
    of_final, of_b = (read_json(evaluation / name / "summary.json") for name in ("", AFTER_B))
    assert_values_of(final, of_final)
    assert_values_of(after_b, of_b, ["rollout", "contrastive", "full_bank"])
    assert None not in [of_b["val"][f"order_{name}"] for name in ABLATIONS]
    assert of_b["val"]["rollout"] is None
    for name in ("", AFTER_B):
        assert len(read_parquet(evaluation / name / "ood.parquet")) == len(BANK.targets("ood"))
    val, ood = of_final["val"], of_final["ood"]
    assert read_json(folder / "metrics/p5.json") == {
        "r5": val["recall_at_5"],
        "r5_vs_rival": val["recall_at_5"] - copying["val"].summary["recall_at_5"],
        "mrr": val["mrr"],
        "cosine": val["cosine"],
        "ood_r5": ood["recall_at_5"],
        "ood_r5_vs_copy": ood["recall_at_5"] - copying["ood"].summary["recall_at_5"],
    }
    assert [path.name for path in folder.glob("metrics/**/*")] == ["p5.json"]
    published = folder / "data/models/p5"
    assert {path.name for path in published.iterdir()} == {"model.json", "model.safetensors", "README.md"}
    assert (published / "model.safetensors").read_bytes() == (final / "model.safetensors").read_bytes()
    assert f"| p5 | {val['recall_at_5']:.4f} [" in (published / "README.md").read_text()
    assert f"p5 on ood: R@5 {ood['recall_at_5']:.3f}, cosine {ood['cosine']:.3f}" in done.stdout


def call_evaluate(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> None:
    """The stage's `main`, which keeps this process's number of threads."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("lvm_core.runtime.hardware.use_threads", lambda threads: None)
    stages.evaluate.main(*arguments)


@pytest.mark.parametrize("phase", ["a", "b"])
def test_what_another_stage_evaluates_is_refused_in_one_line(folder: Path, phase: str) -> None:
    write_untrained(folder / "data/phases" / phase / "p5", 16)
    done = run_stage(["stages.evaluate", "p5", phase], folder)
    assert_one_line_error(done, f"KIND = '{phase}'", "after phase A stages.gate evaluates", "kind c")
    assert not (folder / "data/evaluation").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("p9", "c"), "data/phases/c/p9/model.json"),
        (("p5", "d"), "phases are a, b, c"),
        (("p1", "c"), "data/phases/c/p1/model.json"),
        (("p5", "c"), "data/phases/c/p5: reads 8-d .* data/bank holds 16-d"),
        (("p3", "c"), "data/phases/b/p3: reads 8-d .* data/bank holds 16-d"),
        (("p4", "c"), "data/phases/b/p4/model.json"),
    ],
)
def test_evaluate_stage_says_what_is_wrong(
    folder: Path, arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_untrained(folder / phase_directory("p5", "c"), 8)
    write_untrained(folder / "data/phases/b/p3", 8)
    for name in ("p3", "p4"):
        write_untrained(folder / phase_directory(name, "c"), 16)
    with pytest.raises(LvmError, match=message):
        call_evaluate(monkeypatch, folder, *arguments)
    assert not (folder / "data" / "evaluation").exists()
    assert not (folder / "metrics").exists()
