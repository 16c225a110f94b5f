"""`python -m lvm_core.fivecat`: any model directory on any bank; every mistake is one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lvm_core.config.figures import HEADLINE, headline
from lvm_core.config.groups import EvaluateParams
from lvm_core.config.models import TransformerParams
from lvm_core.fivecat.__main__ import table_text
from lvm_core.fivecat.evaluate import evaluate, judgement_of
from lvm_core.fivecat.measures import Predictor, from_callable
from lvm_core.fivecat.references import context_mean, copy_last
from lvm_core.models import build_model
from lvm_core.models.checkpoint import ModelInfo, load_model, save_model
from lvm_core.runtime.readers import read_json
from tests.calling import Done, one_clear_line, run_stage
from tests.paths import ROOT
from tests.synthetic import make_bank, write_bank
from tests.test_fivecat_edges import assert_no_nan

BANK = make_bank({"train": [20] * 2, "dev": [5], "val": [16, 22, 9], "ood": [18, 25]})


def write_model(directory: Path, dimension: int = 16, encoder: str = "synthetic") -> None:
    params = TransformerParams(
        family="transformer", d_model=16, layers=1, heads=2, ffn=32, dropout=0.1, pos_scalar=None
    )
    module = build_model(params, dimension)
    info = ModelInfo(
        recipe={"name": "p9"},
        phase="c",
        epoch=3,
        dimension=dimension,
        encoder=encoder,
        encoder_sha256="",
        data_sha256=BANK.info.content_sha256,
        precision="fp32",
        processor_features=[],
        n_parameters=0,
        architecture=params.model_dump(),
    )
    save_model(directory, module.state_dict(), info)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("command")
    write_bank(BANK, folder / "bank")
    write_bank(make_bank({"train": [30], "ood": [5, 3]}), folder / "no_windows")
    write_model(folder / "mine")
    write_model(folder / "wide", dimension=24)
    write_model(folder / "other_encoder", encoder="another")
    return folder


def ask(folder: Path, *arguments: str, model: str = "mine", bank: str = "bank") -> Done:
    return run_stage(["lvm_core.fivecat", "--model", model, "--bank", bank, "--threads", "1", *arguments], folder)


def test_the_table_and_the_json_have_the_figures_of_the_library(folder: Path) -> None:
    done = ask(folder, "--json", "figures.json")
    assert (done.returncode, done.stderr) == (0, "")
    written = read_json(folder / "figures.json")
    assert (written["trained"]["recipe"], written["trained"]["epoch"], written["seed"]) == ({"name": "p9"}, 3, 0)
    assert written["trained"]["sees"] == "context"
    model = from_callable(load_model(folder / "mine").predict_raw)
    predictors = {"model": model, "copy_last": copy_last(), "context_mean": context_mean()}
    assert list(written["predictors"]) == list(predictors)
    for name, predictor in predictors.items():
        assert list(written["predictors"][name]) == ["val", "ood"]
        for split, found in written["predictors"][name].items():
            summary = evaluate(BANK, split, predictor).summary
            assert found["summary"] == json.loads(json.dumps(summary))
            assert_no_nan(found)
            for figure, value in headline(summary).items():
                interval = found["figures"][figure]
                assert interval["value"] == pytest.approx(value, abs=1e-9)
                assert value is None or interval["lo"] <= interval["hi"]

    blocks = [block for block in done.stdout.split("\n\n") if block]
    assert blocks[0].startswith("val: 32 windows of 3 articles; ")
    table = [line.split() for line in blocks[1].splitlines()]
    assert table[0] == ["mine", "copy_last", "context_mean"]
    assert [line[0] for line in table[1:]] == list(HEADLINE)
    mine, last = (written["predictors"][name]["val"]["figures"]["cosine"] for name in ("model", "copy_last"))
    shown = [f"{x['value']:.4f} [{x['lo']:.4f}, {x['hi']:.4f}]" for x in (mine, last)]
    assert all(text in blocks[1].splitlines()[1] for text in shown)


@pytest.mark.parametrize(
    ("sees", "said"), [("context", None), ("memory", "chunks before the target"), ("document", "whole article")]
)
def test_the_table_says_what_the_model_sees_beside_the_context(sees: Any, said: str | None) -> None:
    done = evaluate(BANK, "val", Predictor("mine", lambda contexts, rows, memory: contexts[:, -1], sees))
    head, table = table_text("val", done.summary, {"model": judgement_of({"val": done})}, "mine").split("\n\n")[:2]
    assert (said or "centred") in head
    assert ("mine sees the mean of the" in head) is (said is not None)
    for reading in ("forward", "centred"):
        line = next(line for line in table.splitlines() if line.startswith(f"recall_at_5_{reading} "))
        assert f"{done.summary[f'recall_at_5_{reading}']:.4f}" in line


def test_the_same_command_writes_the_same_bytes(folder: Path) -> None:
    texts = []
    for name in ("one.json", "two.json"):
        assert ask(folder, "--json", name, "--split", "ood").returncode == 0
        texts.append((folder / name).read_bytes())
    assert texts[0] == texts[1]


def test_parameters_and_seed(folder: Path) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["evaluate"]["rollout_steps"] = 2
    (folder / "mine.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    ask(folder, "--params", "mine.yaml", "--split", "val", "--json", "two_steps.json")
    written = read_json(folder / "two_steps.json")
    assert written["seed"] == params["seed"]
    assert list(written["predictors"]["model"]["val"]["summary"]["rollout_by_step"]) == ["1", "2"]
    ask(folder, "--params", "mine.yaml", "--split", "val", "--seed", "8", "--json", "seed.json")
    found = read_json(folder / "seed.json")["predictors"]["model"]["val"]["summary"]
    predictor, settings = load_model(folder / "mine").predict_raw, EvaluateParams(**params["evaluate"])
    whole = evaluate(BANK, "val", predictor, settings, seed=8).summary
    assert found["order_shuffle"] == whole["order_shuffle"]


def test_splits_without_windows(folder: Path) -> None:
    """`dev` of this bank has one article, of five chunks."""
    done = ask(folder, "--split", "dev", "--split", "val", "--split", "val")
    assert done.returncode == 0
    assert done.stderr == "note: dev has no window in bank (no article of 6 chunks) and is left out\n"
    assert [line for line in done.stdout.splitlines() if "windows of" in line] == [done.stdout.splitlines()[0]]
    assert "no window in val or ood" in one_clear_line(ask(folder, bank="no_windows"))


def test_another_encoder_is_said_and_another_dimension_refused(folder: Path) -> None:
    done = ask(folder, "--split", "ood", model="other_encoder")
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "warning: other_encoder reads 16-d vectors of another, bank holds 16-d vectors of synthetic: "
        "not the same encoder"
    ]
    line = one_clear_line(ask(folder, model="wide"))
    assert "wide: reads 24-d vectors of synthetic, bank holds 16-d vectors of synthetic" in line


def test_a_model_of_another_bank_is_said(folder: Path) -> None:
    write_bank(make_bank({"val": [12]}, seed=5), folder / "elsewhere")
    done = ask(folder, "--split", "val", bank="elsewhere")
    assert done.returncode == 0
    assert done.stderr.startswith("note: mine was trained on another bank")
    assert "[" not in done.stdout.splitlines()[2]  # one article: there is no interval to show


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--split", "test"], "--split test: there are train, dev, val, ood"),
        (["--threads", "0"], "--threads = 0"),
        (["--threads", "many"], "--threads: invalid int value: 'many'"),
        (["--seed", "-1"], "--seed = -1"),
        (["--device", "tpu"], "--device = 'tpu'"),
        (["--params", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["--json", "nowhere/figures.json"], "--json nowhere/figures.json"),
        (["--json", "bank"], "--json bank"),
        (["--frame", "published"], "unrecognized arguments: --frame published; usage: "),
        (["--model", "bank"], "bank/model.json: cannot be read"),
        (["--bank", "mine"], "mine/bank.json: cannot be read"),
    ],
)
def test_mistakes_are_one_line(folder: Path, arguments: list[str], part: str) -> None:
    before = sorted(folder.rglob("*"))
    assert part in one_clear_line(ask(folder, *arguments))
    assert sorted(folder.rglob("*")) == before


def test_what_is_missing_is_named(folder: Path) -> None:
    line = one_clear_line(run_stage(["lvm_core.fivecat"], folder))
    assert "required: --model, --bank; usage: python -m lvm_core.fivecat --model DIR --bank DIR" in line


def test_help_loads_no_numeric_library() -> None:
    code = (
        "import sys\n"
        "from lvm_core.fivecat.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        "sys.exit(any(name in sys.modules for name in ('numpy', 'torch', 'pandas', 'pydantic')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--bank DIR" in done.stdout
