"""The real pipeline under real DVC, in a clone, on the quick profile: `make quick`, and what users do next."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from lvm_core import load_model
from lvm_core.bank import load_bank
from lvm_core.comparison.columns import columns
from lvm_core.layout import REFERENCES
from lvm_core.reading import read_npy, read_parquet
from tests.documents import blocks
from tests.paths import ROOT
from tests.shell import sh, stages_run

pytestmark = pytest.mark.e2e

QUICK = ("p1", "p5", "contrast")
"""The recipes of `make quick`."""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone of this repository in which `make quick` has run."""
    folder = tmp_path_factory.mktemp("e2e") / "quick"
    sh(f"make quick QUICK={folder}", ROOT)
    sh("git add --all && git commit --quiet --message 'quick profile'", folder)
    return folder


def test_the_bank_keeps_its_contract(clone):
    bank = load_bank(clone / "data/bank")
    assert bank.info.dimension == 384
    counts = bank.articles.groupby("split").size().to_dict()
    assert counts["train"] + counts["dev"] + counts["val"] == 12
    assert counts["ood"] == 4
    chunks = read_parquet(clone / "data/bank/chunks.parquet")
    assert chunks.columns.tolist() == ["article_id", "chunk_index", "text"]
    repeated = np.repeat(bank.articles["article_id"].to_numpy(), bank.articles["n_chunks"])
    assert chunks["article_id"].tolist() == repeated.tolist()
    assert (bank.articles["n_chunks"] >= 9).all()


def test_every_phase_leaves_what_the_next_one_needs(clone):
    rows = {phase: read_npy(clone / f"data/curriculum/p5/{phase}.npy") for phase in "abc"}
    train = load_bank(clone / "data/bank").targets("train")
    assert set(rows["a"]) < set(rows["b"]) < set(rows["c"]) == set(train)
    for phase in "ab":
        names = {path.name for path in (clone / f"data/phases/{phase}/p5").iterdir()}
        assert names == {"model.safetensors", "model.json", "last.safetensors", "optimizer.safetensors"}
    model = load_model(clone / "data/models/p5")
    assert [epoch["phase"] for epoch in model.info.history] == ["a", "b", "c"]
    assert model.info.recipe == yaml.safe_load((clone / "data/recipes/p5.yaml").read_text())
    curves = pd.read_csv(clone / "plots/training/p5.csv")
    assert curves["epoch"].tolist() == [1, 2, 3]


def test_the_comparison_keeps_its_contract(clone):
    table = pd.read_csv(clone / "metrics/comparison.csv").set_index("name")
    sets = yaml.safe_load((clone / "params.yaml").read_text())["gates"]["sets"]
    assert (table.index.name, *table.columns) == columns(list(sets))
    assert set(table.index) == {*QUICK, *REFERENCES}
    assert set(table[table["kind"] == "recipe"].index) == set(QUICK)
    for split in ("val", "ood"):
        assert table.loc["oracle", f"{split}_cosine"] == pytest.approx(1.0, abs=1e-5)
        assert table.loc["oracle", f"{split}_recall_at_5"] == pytest.approx(1.0)
        assert table.loc["oracle", f"{split}_rollout"] == pytest.approx(1.0, abs=1e-5)
        assert table.loc["copy_last", f"{split}_recall_at_1_unmasked"] == 0.0
    for name in QUICK:
        metrics = json.loads((clone / f"metrics/{name}.json").read_text())
        assert metrics["val"]["recall_at_5"] == pytest.approx(table.loc[name, "val_recall_at_5"], abs=1e-6)
        assert (clone / f"metrics/stage_a/{name}.json").is_file()
        assert (clone / f"metrics/stage_b/{name}.json").is_file()
    details = json.loads((clone / "metrics/comparison.json").read_text())
    assert details["frame"] == "corrected"
    assert [row["name"] for row in details["rows"]] == table.index.tolist()
    assert "Is this the right metric?" in (clone / "metrics/curriculum_check.md").read_text()


def test_no_date_duration_host_or_path_in_any_output(clone):
    host = os.uname().nodename
    for path in [*(clone / "metrics").rglob("*.*"), *(clone / "plots").rglob("*.*"), *(clone / "data").rglob("*.json")]:
        text = path.read_text()
        assert str(clone) not in text
        assert str(ROOT) not in text
        assert not re.search(r"\b20[2-9]\d-\d\d-\d\d", text), path
        assert len(host) < 4 or host not in text


def test_a_second_repro_does_nothing(clone):
    assert "Data and pipelines are up to date" in sh("dvc repro", clone)


def test_an_edit_to_a_figure_does_not_retrain(clone):
    figures = clone / "lvm_core/figures.py"
    before = figures.read_text()
    figures.write_text(before + "\n# another colour\n")
    try:
        sh("dvc repro sources", clone)
        assert stages_run(sh("dvc repro --dry", clone)) == {"diagnose", "compare", "report"}
    finally:
        figures.write_text(before)
        sh("dvc repro sources", clone)


def test_a_new_score_touches_p5_and_not_p1(clone):
    params = clone / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("name: distinctness", "name: forward_gain"))
    try:
        sh("dvc repro curriculum", clone)
        waiting = stages_run(sh("dvc repro --dry", clone))
        assert not {stage for stage in waiting if stage.endswith(("@p1", "@contrast"))}
        assert "train_a@p5" in waiting
    finally:
        params.write_text(before)
        sh("dvc repro curriculum", clone)  # comes back from DVC's cache
    assert "up to date" in sh("dvc repro", clone)


def test_an_experiment_with_pos_scalar_runs_p5_alone(clone):
    models = {name: (clone / f"data/models/{name}/model.safetensors").read_bytes() for name in QUICK}
    vectors = (clone / "data/bank/vectors.npy").stat().st_mtime_ns
    output = sh("dvc exp run -S pos_scalar=0.2", clone)
    stages = ("train_a", "gate_a", "train_b", "train_c", "evaluate_a", "evaluate_b", "evaluate")
    of_p5 = {f"{stage}@p5" for stage in stages}
    if_selected = {"calibrate_selected"}  # when p5 was or becomes the selected model
    assert stages_run(output) - if_selected == {"resolve", "ladder", "compare", "report", *of_p5}
    changed = {name for name in QUICK if (clone / f"data/models/{name}/model.safetensors").read_bytes() != models[name]}
    assert changed == {"p5"}
    assert (clone / "data/bank/vectors.npy").stat().st_mtime_ns == vectors
    assert load_model(clone / "data/models/p5").module.pos_scalar == 0.2

    moved = json.loads(sh("dvc metrics diff --json", clone))
    assert "metrics/p5.json" in moved
    assert "val.cosine" in moved["metrics/p5.json"]
    assert not [path for path in moved if "p1" in path or "contrast" in path]
    assert "val.cosine" in sh("dvc metrics diff --targets metrics/p5.json", clone)
    shown = sh(
        "dvc exp show --only-changed --drop '.*(stage_|calibration|unmasked|margin|ood|State|Executor|data/|plots/).*'",
        clone,
    )
    assert "pos_scalar" in shown
    assert "0.2" in shown

    sh("git checkout . && dvc checkout", clone)
    assert (clone / "data/models/p5/model.safetensors").read_bytes() == models["p5"]


def test_further_seeds_run_alone_and_the_table_shows_the_spread(clone):
    output = sh("dvc exp run -S 'train.seeds=[43, 44]' -S 'train.repeat=[p1]'", clone)
    repeated = ["p1"]
    again = {
        f"{stage}@{name}-{seed}" for stage in ("train_seed", "evaluate_seed") for name in repeated for seed in (43, 44)
    }
    assert stages_run(output) == {"resolve", "compare", "report", *again}
    table = pd.read_csv(clone / "metrics/comparison.csv").set_index("name")
    assert table.loc[repeated, "seeds"].tolist() == [3] * len(repeated)
    assert table["val_cosine_sd"].notna().to_dict() == {name: name in repeated for name in table.index}
    assert "## Spread over seeds" in (clone / "metrics/comparison.md").read_text()
    sh("git checkout . && dvc checkout", clone)


def test_time_direction_frontier_and_report(clone):
    details = json.loads((clone / "metrics/comparison.json").read_text())
    assert set(details["time_direction"]) == {"p1", "copy_last", "context_mean"}
    cell = details["time_direction"]["p1"]["val_cosine"]
    assert cell["difference"] == pytest.approx(cell["forward"] - cell["reversed"])
    reversed_model = load_model(clone / "data/variants/reversed/p1").info
    assert reversed_model.data_sha256 != load_model(clone / "data/models/p1").info.data_sha256
    assert {row["status"] for row in details["rows"]} <= {"forward", "copies", "blurs", "weak"}
    assert set(json.loads((clone / "metrics/frontier.json").read_text())["families"]) == {"linear5", "affine"}
    page = (clone / "plots/report.html").read_text()
    assert "measured" in page
    assert "The selected model and how it was chosen" in page
    assert "https://" not in page.replace("http://www.w3.org", "").replace("https://www.w3.org", "")


def test_a_model_is_selected_and_its_folder_is_a_copy(clone):
    ladder = json.loads((clone / "metrics/ladder.json").read_text())
    recipe = ladder["selected"]["recipe"]
    assert recipe in ladder["candidates"]
    assert load_model(clone / "data/models/selected").info == load_model(clone / f"data/models/{recipe}").info
    assert f"Selected: `{recipe}`" in (clone / "metrics/ladder.md").read_text()
    assert "selected" in sh("dvc metrics show metrics/ladder.json", clone)


def test_the_gates_can_be_asked(clone):
    output = sh("python -m lvm_core.gates --recipe p1 --set certified", clone, ok=False)
    assert "ranks_next" in output
    assert "Traceback" not in output
    sh("python -m lvm_core.gates --recipe oracle --set certified", clone)


def test_any_model_directory_can_be_judged(clone):
    output = sh("python -m lvm_core.fivecat --model data/models/p1 --bank data/bank", clone)
    table = pd.read_csv(clone / "metrics/comparison.csv").set_index("name")
    for name in ("copy_last", "context_mean"):
        assert name in output
    assert f"{table['val_recall_at_5'].to_dict()['p1']:.4f}" in output


def test_a_queued_sweep_runs_and_is_listed(clone):
    sh("dvc exp run --queue -S 'pos_scalar=0.05,0.1,0.2' train_a@p5", clone)
    sh("dvc queue start --jobs 2", clone)
    output = sh("while dvc queue status | grep -qE 'Queued|Running'; do sleep 1; done; dvc queue status", clone)
    assert output.count("Success") == 3, output
    table = pd.read_csv(_as_file(clone, sh("dvc exp show --csv", clone)))
    assert {0.05, 0.1, 0.2} <= set(table["pos_scalar"].dropna())


@pytest.mark.soak
def test_two_processes_embed_the_same_bytes_and_train_the_same_model(clone):
    vectors = clone / "data/bank/vectors.npy"
    one = vectors.read_bytes(), load_model(clone / "data/phases/a/p1").info.history
    output = sh("""dvc exp run -S "launch='torchrun --standalone --nproc-per-node 2'" train_a@p1""", clone)
    assert {"embed", "train_a@p1"} <= stages_run(output)
    two = vectors.read_bytes(), load_model(clone / "data/phases/a/p1").info.history
    assert two[0] == one[0]
    for before, now in zip(one[1], two[1], strict=True):
        assert now["train_loss"] == pytest.approx(before["train_loss"], rel=0.01)
        assert now["dev_cosine"] == pytest.approx(before["dev_cosine"], abs=0.01)
    sh("git checkout . && dvc checkout", clone)


def _as_file(clone: Path, text: str) -> Path:
    path = clone.parent / "experiments.csv"
    path.write_text(text[text.index("Experiment,") :])
    return path


def test_the_python_of_the_readme_runs(clone):
    given = "import numpy as np\ncontexts = np.load('data/bank/vectors.npy')[:10].reshape(2, 5, -1)\n"
    asked = "\nassert prediction.shape == (2, 384)\nassert evaluation.summary['cosine'] > 0.3\n"
    (clone.parent / "readme.py").write_text(given + "\n".join(blocks("README.md", "python")) + asked)
    sh(f"PYTHONPATH=. python {clone.parent / 'readme.py'}", clone)


def test_pictures_and_graph(clone):
    sh(f"dvc plots show --out {clone.parent / 'plots_html'}", clone)
    page = (clone.parent / "plots_html/index.html").read_text()
    titles = [
        *("R@5 on dev by epoch", "R@5 on val with 95 % intervals", "R@5 on ood of all rows", "Offset profile on val"),
        *("Cosine on dev by epoch", "Margin against cosine (val)", "Margin against R@5 (val)"),
    ]
    for words in (*titles, "Training loss by epoch", "comparison.svg", "lag_similarity.svg"):
        assert words in page
    for name in ("p1", "p5", "copy_last"):
        assert name in page
    graph = sh("dvc dag --mermaid", clone)
    for stage in ("corpus", "embed", "train_a@p1", "evaluate@p5", "compare"):
        assert stage in graph


def test_a_mistake_in_params_stops_before_anything_is_lost(clone):
    params = clone / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("min_chunks: 9", "min_chunks: 2"))
    try:
        output = sh("dvc repro", clone, ok=False)
        assert "error: params.yaml: corpus.min_chunks = 2" in output
        assert "Traceback" not in output
        assert stages_run(output) == {"resolve"}
        assert (clone / "data/bank/vectors.npy").is_file()
        assert (clone / "metrics/comparison.csv").is_file()
    finally:
        params.write_text(before)
    sh("dvc repro", clone)
    assert not sh("git status --porcelain", clone)


def test_an_empty_folder_stops_and_dvc_brings_the_old_corpus_back(clone):
    empty = clone / "corpora/empty"
    empty.mkdir()
    params = clone / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("train: sotu", "train: corpora/empty"))
    try:
        output = sh("dvc repro", clone, ok=False)
        assert re.search(r"error: .*corpora/empty", output)
        assert "Traceback" not in output
    finally:
        params.write_text(before)
        empty.rmdir()
    sh("git checkout --quiet metrics && dvc checkout", clone)
    assert not stages_run(sh("dvc repro", clone))
    assert not sh("git status --porcelain", clone)
