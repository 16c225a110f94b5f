"""The pipeline under real DVC, in a clone with a few texts: `make repro`, and what users do next.

What the outputs hold is in test_pipeline. With `make soak`: `make quick`, a queued sweep, further seeds, two processes.
"""

from __future__ import annotations

import random
import re
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import yaml

from lvm_core.config.figures import ROW_FIGURES
from lvm_core.config.references import REFERENCES
from lvm_core.models.checkpoint import load_model
from tests import shell
from tests.faults.kills import POINTS, kill_at
from tests.faults.others import truncated_output
from tests.faults.project import finish_repro, leftovers, make_project, results
from tests.paths import ROOT
from tests.pipeline import ELSEWHERE, HOME, TINY
from tests.shell import stages_run
from tests.small_encoder import write_bag_of_words

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("warm")]

SHOWN = ("p1", "p5")
UNCALIBRATED = "Confidence of the selected model on val against the observed rate"
"""A picture that is missing: dev has too few articles."""
LESS = TINY | {"names": list(SHOWN), "time_direction": [], "service": {"models": []}, "encoder": {"model": "words"}}

sh = partial(shell.sh, warm=True)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone in which the command of `make repro` has run, with an encoder of its own."""
    folder = tmp_path_factory.mktemp("e2e") / "clone"
    make_project(folder, LESS | {"train": LESS["train"] | {"seeds": [], "repeat": []}})
    texts = [path.read_text() for place in (HOME, ELSEWHERE) for path in (folder / place).iterdir()]
    write_bag_of_words(folder / "encoders/words", texts, 16)
    sh("python tools/repro.py 2", folder)
    sh("git add --all && git commit --quiet --message 'a run'", folder)
    return folder


def weights(folder: Path) -> dict[str, bytes]:
    return {name: (folder / f"data/models/{name}/model.safetensors").read_bytes() for name in SHOWN}


@contextmanager
def edited(path: Path, old: str, new: str):
    """A file with another text, for a while."""
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new))
    try:
        yield
    finally:
        path.write_text(before)


def test_a_second_repro_does_nothing(clone):
    assert "Data and pipelines are up to date" in sh("dvc repro", clone)
    assert not sh("git status --porcelain", clone)


def test_an_experiment_with_pos_scalar_runs_p5_alone(clone):
    before = weights(clone)
    vectors = (clone / "data/bank/vectors.npy").stat().st_mtime_ns
    ran = stages_run(sh("dvc exp run -S pos_scalar=0.2", clone))
    assert {"train_a@p5", "gate_a@p5", "train_b@p5", "train_c@p5", "evaluate@p5"} <= ran
    if_selected = {"calibrate_selected"}  # when p5 was or becomes the selected model
    shared = {stage for stage in ran if not stage.endswith("@p5")}
    assert shared - if_selected == {"resolve", "ladder", "compare", "report"}
    after = weights(clone)
    assert {name for name in SHOWN if after[name] != before[name]} == {"p5"}
    assert (clone / "data/bank/vectors.npy").stat().st_mtime_ns == vectors
    assert load_model(clone / "data/models/p5").module.pos_scalar == 0.2

    moved = sh("git diff --name-only metrics", clone)
    assert "metrics/p5.json" in moved
    assert "p1.json" not in moved
    diff = sh("dvc metrics diff", clone).splitlines()
    assert {line.split()[0] for line in diff[1:]} == {"metrics/p5.json"}
    assert len(diff) <= 1 + len(ROW_FIGURES)
    assert "val.cosine" in sh("dvc metrics diff --targets metrics/details/p5.json", clone)
    assert "val.cosine" in sh("dvc metrics diff --targets metrics/stage_a/p5.json", clone)
    table = sh("dvc exp show --only-changed --drop '[^:]*(/|yaml)[^:]*$|.*(mrr|cosine|ood)'", clone)
    assert "pos_scalar" in table
    assert "0.2" in table
    assert max(map(len, table.splitlines())) <= 120

    sh("git checkout --quiet . && dvc checkout", clone)
    assert weights(clone) == before


def test_metrics_pictures_and_the_graph_are_shown(clone):
    lines = sh("dvc metrics show", clone).splitlines()
    assert all(key in lines[0] for key in ROW_FIGURES)
    assert {*SHOWN, *REFERENCES} == {Path(line.split()[0]).stem for line in lines[1:]}
    assert all(len(line) <= 100 for line in lines)
    sh(f"dvc plots show --out {clone.parent / 'plots_html'}", clone)
    page = (clone.parent / "plots_html/index.html").read_text()
    plots = yaml.safe_load((clone / "dvc.yaml").read_text())["plots"]
    assert {title for plot in plots for title in plot if title not in page} == {UNCALIBRATED}
    assert "at least 20 are needed" in (clone / "metrics/calibration/selected.json").read_text()
    for name in (*SHOWN, "copy_last"):
        assert name in page
    graph = sh("dvc dag --mermaid", clone)
    for stage in ("corpus", "embed", "train_a@p1", "evaluate@p5", "compare"):
        assert stage in graph


def test_an_edit_to_a_figure_does_not_retrain(clone):
    figures = clone / "lvm_core/report/drawing.py"
    with edited(figures, "\nimport ", "\n# another colour\nimport "):
        sh("dvc repro resolve", clone)
        assert stages_run(sh("dvc repro --dry", clone)) == {"diagnose", "compare", "report"}


def test_a_new_score_touches_p5_and_not_p1(clone):
    with edited(clone / "params.yaml", "name: distinctness", "name: forward_gain"):
        sh("dvc repro curriculum", clone)
        waiting = stages_run(sh("dvc repro --dry", clone))
        assert not {stage for stage in waiting if stage.endswith("@p1")}
        assert "train_a@p5" in waiting


def test_a_mistake_in_params_stops_before_anything_is_lost(clone):
    with edited(clone / "params.yaml", "min_chunks: 9", "min_chunks: 2"):
        output = sh("dvc repro", clone, ok=False)
        assert "error: params.yaml: corpus.min_chunks = 2" in output
        assert "Traceback" not in output
        assert stages_run(output) - {"sources"} == {"resolve"}
        assert (clone / "data/bank/vectors.npy").is_file()
        assert (clone / "metrics/comparison.csv").is_file()


def test_an_empty_folder_stops_and_dvc_brings_the_old_corpus_back(clone):
    empty = clone / "corpora/empty"
    empty.mkdir()
    with edited(clone / "params.yaml", f"train: {HOME}", "train: corpora/empty"):
        output = sh("dvc repro", clone, ok=False)
        assert re.search(r"error: .*corpora/empty", output)
        assert "Traceback" not in output
    empty.rmdir()
    sh("git checkout --quiet . && dvc checkout", clone)
    assert not stages_run(sh("dvc repro", clone))
    assert not sh("git status --porcelain", clone)


def test_a_kill_that_empties_the_lock_and_an_output_cut_off_leave_no_trace(clone):
    before = results(clone)
    with edited(clone / "params.yaml", "pos_scalar: 0.03\n", "pos_scalar: 0.3\n"):
        assert kill_at(clone, POINTS["with dvc.lock just emptied"], 1, 0.0, "train_a@p5")
        assert (clone / "dvc.lock").read_text() == ""
    truncated_output(clone, random.Random(0))
    assert finish_repro(clone, warm=True), "DVC refuses the empty lock until it is mended"
    assert results(clone) == before
    assert not leftovers(clone)


@pytest.mark.soak
def test_the_quick_profile_from_nothing(tmp_path):
    folder = tmp_path / "quick"
    sh(f"make quick QUICK={folder}", ROOT)
    table = pd.read_csv(folder / "metrics/comparison.csv").set_index("name")
    assert set(table[table["kind"] == "recipe"].index) == {"p1", "p5", "contrast"}
    assert "Data and pipelines are up to date" in sh("dvc repro", folder)


@pytest.mark.soak
def test_further_seeds_run_alone_and_the_table_shows_the_spread(clone):
    output = sh("dvc exp run -S 'train.seeds=[43, 44]' -S 'train.repeat=[p1]' -S 'time_direction=[]'", clone)
    again = {f"{stage}@p1-{seed}" for stage in ("train_seed", "evaluate_seed") for seed in (43, 44)}
    assert stages_run(output) == {"resolve", "compare", "report", *again}
    table = pd.read_csv(clone / "metrics/comparison.csv").set_index("name")
    assert table.loc["p1", "seeds"] == 3
    sh("git checkout --quiet . && dvc checkout", clone)


@pytest.mark.soak
def test_a_queued_sweep_runs_and_is_listed(clone):
    sh("dvc exp run --queue -S 'pos_scalar=0.05,0.1,0.2' train_a@p5", clone)
    sh("dvc queue start --jobs 2", clone)
    output = sh("while dvc queue status | grep -qE 'Queued|Running'; do sleep 1; done; dvc queue status", clone)
    assert output.count("Success") == 3, output
    table = pd.read_csv(_as_file(clone, sh("dvc exp show --csv", clone)))
    assert {0.05, 0.1, 0.2} <= set(table["pos_scalar"].dropna())


def _as_file(clone: Path, text: str) -> Path:
    path = clone.parent / "experiments.csv"
    path.write_text(text[text.index("Experiment,") :])
    return path


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
    sh("git checkout --quiet . && dvc checkout", clone)
