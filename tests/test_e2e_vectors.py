"""The commands of docs/import.md in a fresh clone under real DVC, and Ctrl-C in the middle of them: `make soak`.

With `make test` the same pipeline runs from vectors without DVC (test_pipeline), from texts with it (test_e2e).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from contextlib import contextmanager

import pandas as pd
import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from lvm_core.bank import load_bank
from lvm_core.models.checkpoint import load_model
from lvm_core.runtime.interrupts import MESSAGE
from tests.documents import examples
from tests.paths import ROOT
from tests.shell import environment, sh, stages_run

pytestmark = [pytest.mark.e2e, pytest.mark.soak]

EXAMPLES = examples("docs/import.md")


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone in which the commands of docs/import.md have run."""
    folder = tmp_path_factory.mktemp("e2e") / "vectors"
    sh(f"git clone --quiet --no-hardlinks {ROOT} {folder}", ROOT)
    sh(f"git diff --binary HEAD | git -C {folder} apply --allow-empty", ROOT)
    sh("git config user.name test && git config user.email test@localhost", folder)
    # each recipe, and each training on reversed articles, costs the test some ten seconds
    apply_overrides(folder / "params.yaml", ["names=[p1]", "time_direction=[]", "train.seeds=[]", "service.models=[]"])
    (folder / "dvc.lock").unlink()  # of other inputs; DVC writes the whole file anew after each stage
    sh("git commit --all --quiet --message 'one recipe'", folder)
    sh("python data/example/write_forms.py", folder)
    output = sh(
        "dvc exp run -S profile=quick -S 'names=[p1]' -S 'time_direction=[]' -S 'train.seeds=[]' -S data.kind=vectors "
        "-S data.train=corpora/example/sequences_train.npz -S data.ood=corpora/example/sequences_ood.npz",
        folder,
    )
    assert {"import_vectors", "embed", "train_c@p1", "compare"} <= stages_run(output)
    return folder


def test_the_metrics_are_those_of_the_vectors(clone):
    bank = load_bank(clone / "data/bank")
    assert bank.articles["article_id"].tolist() == [str(number) for number in range(11)]
    shown = json.loads(sh("dvc metrics show --json", clone))[""]["data"]
    corpus = shown["metrics/corpus.json"]["data"]
    assert corpus["train"]["crossing_windows"] == 7 * 5
    assert corpus["splits"]["val"]["windows"] > 0
    assert "recall_at_5" in sh("dvc metrics show", clone)
    table = pd.read_csv(clone / "metrics/comparison.csv", index_col="name")
    assert table["val_recall_at_5"].notna()["p1"]
    assert table.loc["oracle", "val_recall_at_5"] == 1


@contextmanager
def other_data(clone, **values):
    """params.yaml with other values of `data`, for a while."""
    path = clone / "params.yaml"
    before = path.read_text()
    params = yaml.safe_load(before)
    path.write_text(yaml.safe_dump(params | {"data": params["data"] | values}, sort_keys=False))
    try:
        yield
    finally:
        path.write_text(before)


@pytest.mark.parametrize("form", ["plain_{}.npz", "table_{}.parquet", "documents_{}.parquet"])
def test_other_forms_give_the_same_vectors(clone, form):
    """Up to the bank, since the stages after it read nothing else (the others: tests/test_import.py)."""
    expected = load_bank(clone / "data/bank").info.content_sha256
    train, ood = (f"corpora/example/{form.format(name)}" for name in ("train", "ood"))
    with other_data(clone, train=train, ood=ood):
        output = sh("dvc repro import_vectors", clone)
    assert "import_vectors" in stages_run(output)
    imported = json.loads((clone / "data/imported/import.json").read_text())
    assert (imported["content_sha256"] == expected) == (not form.startswith("plain"))
    shown = [line for example in EXAMPLES if train in example.data.values() for line in example.printed]
    assert set(shown) <= set(output.splitlines())
    assert bool(shown) == form.startswith("documents")


def test_texts_are_read_as_the_page_says(clone):
    """One of its examples; all of them, without DVC: test_import_page."""
    sh("python data/example/write_texts.py", clone)
    example = EXAMPLES[0]
    with other_data(clone, kind="text", **example.data):
        output = sh("dvc repro corpus", clone)
    assert "corpus" in stages_run(output)
    assert set(example.printed) <= set(output.splitlines())


def test_ctrl_c_under_dvc_loses_nothing(clone):
    params = clone / "params.yaml"
    values = yaml.safe_load(params.read_text())
    values["train"]["epochs"]["a"] = 400
    values["profiles"]["quick"]["train"]["epochs"]["a"] = 400
    params.write_text(yaml.safe_dump(values, sort_keys=False))
    command = ["dvc", "repro", "train_a@p1"]
    output = clone.parent / "interrupted.log"
    with open(output, "w") as log:
        process = subprocess.Popen(
            command, cwd=clone, env=environment(), stdout=log, stderr=log, start_new_session=True
        )
        deadline = time.monotonic() + 120
        while not list(clone.glob(".resume/train-p1-a-*/state.*.safetensors")):
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does
        assert process.wait(timeout=30) != 0
    text = output.read_text()
    assert text.count(MESSAGE) == 1
    assert "Traceback" not in text
    assert not (clone / "data/phases/a/p1/model.json").exists()
    again = sh("dvc repro train_a@p1", clone)
    assert re.search(r"train-p1-a: going on after epoch \d+, step \d+", again)
    assert stages_run(again) == {"train_a@p1"}
    assert not (clone / ".resume").exists()
    assert "up to date" in sh("dvc repro train_a@p1", clone)


def test_the_paper_profile_takes_vectors_of_its_size(clone):
    sh("git checkout --quiet params.yaml", clone)
    sh("python -m benchmarks.published_size corpora/published --chunks 2000", clone)
    output = sh(
        "dvc exp run -S profile=paper -S data.kind=vectors -S data.train=corpora/published/noise.npy -S data.ood=null "
        "train_a@p1",
        clone,
    )
    assert "train_a@p1" in stages_run(output)
    info = load_model(clone / "data/phases/a/p1").info
    assert info.dimension == 768
    assert info.n_parameters == 17_867_520
