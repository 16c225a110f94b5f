"""What the whole pipeline leaves behind, from texts and from vectors: the contracts of its outputs."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from lvm_core.bank import load_bank
from lvm_core.comparison.rows import columns
from lvm_core.config.figures import ROW_FIGURES, SPLITS, measured_headlines
from lvm_core.config.references import DIRECTION_REFERENCES, REFERENCES, rivals_of
from lvm_core.models.checkpoint import load_model
from lvm_core.runtime.files import AFTER_B
from lvm_core.runtime.readers import read_npy, read_parquet
from lvm_core.runtime.sources import code_line
from tests.calling import run_line
from tests.documents import blocks
from tests.paths import ROOT
from tests.pipeline import ELSEWHERE, HOME, RECIPES, SEED, undefined_is_said

pytestmark = pytest.mark.xdist_group("forked")  # with what loads the same libraries


def comparison(folder):
    return pd.read_csv(folder / "metrics/comparison.csv").set_index("name")


def test_the_bank_keeps_its_contract(text_run):
    bank = load_bank(text_run / "data/bank")
    assert bank.info.dimension == 384
    for place, splits in ((HOME, {"train", "dev", "val"}), (ELSEWHERE, {"ood"})):
        own = bank.articles[bank.articles["split"].isin(splits)]
        assert set(own["split"]) == splits
        assert set(own["title"]) <= {path.stem for path in (text_run / place).iterdir()}
    chunks = read_parquet(text_run / "data/bank/chunks.parquet")
    assert chunks.columns.tolist() == ["article_id", "chunk_index", "text"]
    repeated = np.repeat(bank.articles["article_id"].to_numpy(), bank.articles["n_chunks"])
    assert chunks["article_id"].tolist() == repeated.tolist()
    assert (bank.articles["n_chunks"] >= 9).all()


def test_every_phase_leaves_what_the_next_one_needs(text_run):
    rows = {phase: read_npy(text_run / f"data/curriculum/p5/{phase}.npy") for phase in "abc"}
    train = load_bank(text_run / "data/bank").targets("train")
    assert set(rows["a"]) < set(rows["b"]) < set(rows["c"]) == set(train)
    for phase in "ab":
        names = {path.name for path in (text_run / f"data/phases/{phase}/p5").iterdir()}
        assert names == {"model.safetensors", "model.json", "last.safetensors", "optimizer.safetensors"}
    model = load_model(text_run / "data/models/p5")
    assert [epoch["phase"] for epoch in model.info.history] == ["a", "b", "c"]
    assert model.info.recipe["losses"] == yaml.safe_load((text_run / "data/recipes/p5.yaml").read_text())["losses"]
    curves = pd.read_csv(text_run / "plots/training/p5.csv")
    assert curves["epoch"].tolist() == [1, 2, 3]


def test_files_that_stages_read_once_a_recipe_name_their_code(text_run):
    files = {"train": "data/recipes/p1.yaml", "gate": "data/settings/gate/p1.yaml"}
    for stage, file in {**files, "evaluate": "data/settings/evaluate.yaml"}.items():
        assert code_line(stage, text_run) in (text_run / file).read_text()


def test_the_comparison_keeps_its_contract(text_run):
    table = comparison(text_run)
    sets = yaml.safe_load((text_run / "params.yaml").read_text())["gates"]["sets"]
    assert (table.index.name, *table.columns) == columns(list(sets))
    assert set(table.index) == {*RECIPES, *REFERENCES}
    assert set(table[table["kind"] == "recipe"].index) == set(RECIPES)
    for split in ("val", "ood"):
        assert table.loc["oracle", f"{split}_cosine"] == pytest.approx(1.0, abs=1e-5)
        assert table.loc["oracle", f"{split}_recall_at_5"] == pytest.approx(1.0)
        assert table.loc["oracle", f"{split}_rollout"] == pytest.approx(1.0, abs=1e-5)
        assert table.loc["copy_last", f"{split}_recall_at_1_unmasked"] == 0.0
    for name in RECIPES:
        for phase, folder in (("a", f"a/{name}"), ("b", f"c/{name}/{AFTER_B}")):
            summary = json.loads((text_run / f"data/evaluation/{folder}/summary.json").read_text())
            written = json.loads((text_run / f"metrics/stage_{phase}/{name}.json").read_text())
            assert written == measured_headlines({split: summary[split] for split in SPLITS})
    for name in (*RECIPES, *REFERENCES):
        figures = json.loads((text_run / f"metrics/{name}.json").read_text())
        assert tuple(figures) == ROW_FIGURES
        assert figures["r5"] == pytest.approx(table.loc[name, "val_recall_at_5"], abs=1e-6)
        rivals = table.loc[[rival for rival in rivals_of(name, REFERENCES.get(name, "context"))], "val_recall_at_5"]
        assert figures["r5_vs_rival"] == pytest.approx(figures["r5"] - rivals.max(), abs=1e-6)
        detailed = json.loads((text_run / f"metrics/details/{name}.json").read_text())
        assert (detailed["val"]["recall_at_5"], detailed["ood"]["recall_at_5"]) == (figures["r5"], figures["ood_r5"])
    curves = pd.read_csv(text_run / "plots/training.csv")
    assert curves["name"].unique().tolist() == sorted(RECIPES)
    details = json.loads((text_run / "metrics/comparison.json").read_text())
    assert details["frame"] == "corrected"
    assert [row["name"] for row in details["rows"]] == table.index.tolist()
    assert "Is this the right metric?" in (text_run / "metrics/curriculum_check.md").read_text()


def test_no_date_duration_host_or_path_in_any_output(text_run):
    host = os.uname().nodename
    folders = (text_run / name for name in ("metrics", "plots", "data"))
    written = [path for folder in folders for path in folder.rglob("*.*") if path.is_file()]
    for path in written:
        if path.suffix in (".json", ".md", ".csv", ".svg", ".html", ".yaml"):
            text = path.read_text()
            assert str(text_run) not in text
            assert str(ROOT) not in text
            assert not re.search(r"\b20[2-9]\d-\d\d-\d\d", text), path
            assert len(host) < 4 or host not in text


def test_time_direction_frontier_and_report(text_run):
    details = json.loads((text_run / "metrics/comparison.json").read_text())
    assert set(details["time_direction"]) == {"p1", *DIRECTION_REFERENCES}
    cell = details["time_direction"]["p1"]["val_cosine"]
    assert cell["difference"] == pytest.approx(cell["forward"] - cell["reversed"])
    assert cell["difference"] == pytest.approx(np.mean(cell["by_seed"]))
    assert (len(cell["by_seed"]), set(cell["beyond"])) == (2, set(DIRECTION_REFERENCES))
    reversed_model = load_model(text_run / "data/variants/reversed/p1").info
    assert reversed_model.data_sha256 != load_model(text_run / "data/models/p1").info.data_sha256
    assert {row["status"] for row in details["rows"]} <= {"forward", "copies", "blurs", "lost", "weak"}
    assert set(json.loads((text_run / "metrics/frontier.json").read_text())["families"]) == {"linear5", "affine"}
    page = (text_run / "plots/report.html").read_text()
    assert "measured" in page
    assert "The selected model and how it was chosen" in page
    assert "https://" not in page.replace("http://www.w3.org", "").replace("https://www.w3.org", "")


def test_a_further_seed_is_a_model_of_its_own_and_the_table_shows_the_spread(text_run):
    table = comparison(text_run)
    assert table.loc["p1", "seeds"] == 2
    assert table["val_cosine_sd"].notna().to_dict() == {name: name == "p1" for name in table.index}
    assert "## Spread over seeds" in (text_run / "metrics/comparison.md").read_text()
    other = load_model(text_run / f"data/variants/seed-{SEED}/p1").info
    assert other.history != load_model(text_run / "data/models/p1").info.history


def test_a_model_is_selected_and_its_folder_is_a_copy_or_a_formula(text_run):
    ladder = json.loads((text_run / "metrics/ladder.json").read_text())
    chosen, name = ladder["selected"], ladder["selected"]["recipe"]
    assert name in ladder["candidates"]
    info = load_model(text_run / "data/models/selected").info
    assert info.recipe["name"] == name
    assert chosen["reference"] == (name in REFERENCES)
    assert chosen["reference"] or info == load_model(text_run / f"data/models/{name}").info
    assert f"Selected: `{name}`" in (text_run / "metrics/ladder.md").read_text()


def test_the_gates_can_be_asked(text_run):
    refused = run_line("python -m lvm_core.gates --recipe p1 --set certified", text_run)
    assert refused.returncode == 1
    assert "ranks_next" in refused.stdout
    assert "Traceback" not in refused.stderr


def test_any_model_directory_can_be_judged(text_run):
    done = run_line("python -m lvm_core.fivecat --model data/models/p1 --bank data/bank", text_run)
    assert done.returncode == 0, done.stderr
    for name in ("copy_last", "context_mean"):
        assert name in done.stdout
    assert f"{comparison(text_run)['val_recall_at_5'].to_dict()['p1']:.4f}" in done.stdout


def test_the_python_of_the_documents_runs(text_run, monkeypatch):
    monkeypatch.chdir(text_run)
    names: dict[str, Any] = {"np": np}
    documents = ("README.md", "docs/how-to-read-the-numbers.md")
    exec("\n".join(code for document in documents for code in blocks(document, "python")), names)
    assert names["answer"].candidates[0].text in load_bank("data/bank").texts()
    assert -1 <= names["evaluation"].summary["cosine"] <= 1


def test_the_metrics_are_those_of_the_vectors_and_empty_for_a_source_there_is_not(vector_run):
    bank = load_bank(vector_run / "data/bank")
    assert bank.articles["article_id"].tolist() == [str(number) for number in range(8)]
    corpus = json.loads((vector_run / "metrics/corpus.json").read_text())
    assert corpus["train"]["crossing_windows"] == 7 * 5
    assert corpus["splits"]["val"]["windows"] > 0
    table = comparison(vector_run)
    assert table[["val_recall_at_5", "val_cosine"]].notna().all(axis=None)
    assert table.loc["oracle", "val_recall_at_5"] == 1
    assert table[["ood_recall_at_5", "ood_cosine"]].isna().all(axis=None)
    undefined_is_said(vector_run)
