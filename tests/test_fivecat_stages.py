"""The two stages as DVC runs them, in a folder with params.yaml and data/bank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import stages.evaluate
from lvm_core.checkpoint import ModelInfo, load_model, save_model
from lvm_core.errors import LvmError
from lvm_core.fivecat.evaluate import evaluate
from lvm_core.fivecat.headline import HEADLINE, headline
from lvm_core.layout import REFERENCES
from lvm_core.models import build_model
from lvm_core.models.transformer import TransformerParams
from lvm_core.params import TOP_LEVEL
from lvm_core.reading import read_json, read_parquet
from lvm_core.references import copy_last
from tests.calling import Done, run_stage, settle
from tests.synthetic import make_bank, write_bank

BANK = make_bank({"train": [20] * 4, "dev": [14, 16], "val": [16, 22, 9], "ood": [18, 25]})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_bank(BANK, tmp_path / "data" / "bank")
    write_params(tmp_path)
    return tmp_path


def write_params(folder: Path, **changes: Any) -> None:
    params: dict[str, Any] = dict.fromkeys(TOP_LEVEL, 0)
    params |= {"profile": "default", "profiles": {"default": {}}, "seed": 3, "threads": 1, "device": "cpu"}
    params |= {"names": ["p1", "p5"], "evaluate": {"batch_size": 32}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params | changes), encoding="utf-8")
    settle(folder, "evaluate")


def assert_one_line_error(done: Done, *parts: str) -> None:
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert all(part in done.stderr for part in ("error: ", *parts)), done.stderr


def test_references_stage(folder: Path) -> None:
    done = run_stage(["stages.references"], folder)
    assert done.returncode == 0, done.stderr
    metrics = read_json(folder / "metrics" / "references.json")
    assert tuple(metrics) == REFERENCES
    assert metrics["oracle"]["val"]["cosine"] == pytest.approx(1.0, abs=1e-6)
    for name in REFERENCES:
        output = folder / "data" / "evaluation" / "references" / name
        summary = read_json(output / "summary.json")
        for split in ("val", "ood"):
            assert tuple(metrics[name][split]) == HEADLINE
            assert metrics[name][split] == headline(summary[split])
            assert len(read_parquet(output / f"{split}.parquet")) == len(BANK.targets(split))
    direct = evaluate(BANK, "ood", copy_last(), seed=3)
    assert metrics["copy_last"]["ood"]["mrr"] == pytest.approx(headline(direct.summary)["mrr"])
    first = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert run_stage(["stages.references"], folder).returncode == 0
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == first


def test_references_stage_says_what_is_wrong(folder: Path) -> None:
    write_params(folder, evaluate={"coherence_cuts": [0.6, 0.5]})
    assert_one_line_error(run_stage(["stages.references"], folder), "evaluate.coherence_cuts")
    write_params(folder)
    assert not (folder / "metrics").exists()


def write_model(directory: Path, dimension: int) -> None:
    torch.manual_seed(0)
    params = TransformerParams(
        family="transformer", d_model=16, layers=1, heads=2, ffn=32, dropout=0.1, pos_scalar=None
    )
    module = build_model(params, dimension)
    info = ModelInfo(
        recipe={},
        phase="c",
        epoch=1,
        dimension=dimension,
        encoder="synthetic",
        encoder_sha256="",
        data_sha256="",
        precision="fp32",
        processor_features=[],
        n_parameters=0,
        architecture=params.model_dump(),
    )
    save_model(directory, module.state_dict(), info)


def check_evaluation(folder: Path, phase: str, models: str, metrics: str) -> None:
    summary = read_json(folder / "data" / "evaluation" / phase / "p5" / "summary.json")
    assert read_json(folder / metrics / "p5.json") == {split: headline(summary[split]) for split in ("val", "ood")}
    assert len(read_parquet(folder / "data" / "evaluation" / phase / "p5" / "ood.parquet")) == len(BANK.targets("ood"))
    direct = evaluate(BANK, "val", load_model(folder / models / "p5").predict_raw, seed=3).summary
    assert summary["val"]["cosine"] == pytest.approx(direct["cosine"], abs=1e-6)
    assert summary["val"]["order"]["shuffle"] == pytest.approx(direct["order"]["shuffle"], abs=1e-6)


def test_evaluate_stage(folder: Path) -> None:
    write_model(folder / "data" / "models" / "p5", 16)
    done = run_stage(["stages.evaluate", "p5", "c"], folder)
    assert done.returncode == 0, done.stderr
    check_evaluation(folder, "c", "data/models", "metrics")


def call_evaluate(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> None:
    """The stage's `main` in this process (a new one takes seconds), which keeps its own number of threads."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("lvm_core.hardware.use_threads", lambda threads: None)
    stages.evaluate.main(*arguments)


@pytest.mark.parametrize("phase", ["a", "b"])
def test_evaluate_stage_after_a_phase(folder: Path, phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(folder / "data" / "phases" / phase / "p5", 16)
    call_evaluate(monkeypatch, folder, "p5", phase)
    check_evaluation(folder, phase, f"data/phases/{phase}", f"metrics/stage_{phase}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("p9", "c"), "data/models/p9/model.json"),
        (("p5", "d"), "phases are a, b, c"),
        (("p1", "c"), "data/models/p1/model.json"),
        (("p5", "c"), "data/models/p5: reads 8-d .* data/bank holds 16-d"),
    ],
)
def test_evaluate_stage_says_what_is_wrong(
    folder: Path, arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(folder / "data" / "models" / "p5", 8)
    with pytest.raises(LvmError, match=message):
        call_evaluate(monkeypatch, folder, *arguments)
    assert not (folder / "data" / "evaluation").exists()
    assert not (folder / "metrics").exists()
