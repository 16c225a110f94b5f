"""Windows without ids: articles of their own, no leaks, figures that are undefined; and all stages after the import."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lvm_core.bank import load_bank
from tests.forms import run_import, sample, set_data, use, write_samples
from tests.pipeline import TINY, change_params, copy_project, undefined_is_said, walk


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms")
    return folder, *write_samples(folder)


def test_windows_without_ids_become_articles_and_the_report_says_what_is_undefined(written, tmp_path):
    folder = use(written, tmp_path, "plain_train.npz", "plain_ood.npz")
    done = run_import(folder, "corpus", "embed", "diagnose")
    assert done.returncode == 0, done.stderr
    bank = load_bank(folder / "data/bank")
    _, train, _ = written
    assert len(bank.articles) == 8 * 35 + 3 * 25
    assert set(bank.articles["n_chunks"]) == {6}
    np.testing.assert_array_equal(bank.vectors[6:12], train.vectors[1:7])
    # overlapping windows are never divided between splits
    seen = {
        split: {
            bank.vectors[row].tobytes()
            for first in bank.articles_of(split)["first_row"]
            for row in range(first, first + 6)
        }
        for split in ("train", "dev", "val")
    }
    assert not seen["train"] & seen["val"]
    assert not seen["train"] & seen["dev"]
    assert not seen["dev"] & seen["val"]
    report = (folder / "metrics/diagnosis.md").read_text()
    assert (
        "`train`, `val`, `ood`: retrieval in the article (R@1, R@5, MRR), because no article has the 15 chunks"
        in report
    )
    assert "`train`, `val`, `ood`: rollout" in report
    assert json.loads((folder / "metrics/diagnosis.json").read_text())["val"]["windows_of"]["cosine"] > 0


@pytest.mark.parametrize("way", ["shuffled", "every second", "a random half", "twice"])
def test_windows_without_ids_never_leak_between_splits(tmp_path, way):
    data = sample([40] * 20)
    rows = (np.arange(5, 40)[None] + 40 * np.arange(20)[:, None]).ravel()
    rng = np.random.default_rng(0)
    chosen = {
        "shuffled": rng.permutation(rows),
        "every second": rows[::2],
        "a random half": np.sort(rng.permutation(rows)[: len(rows) // 2]),
        "twice": np.concatenate([rows, rows]),
    }[way]
    windows = {"contexts": data.vectors[chosen[:, None] + np.arange(-5, 0)], "targets": data.vectors[chosen]}
    np.savez(tmp_path / "w.npz", **windows)
    set_data(tmp_path, "w.npz", None)
    assert run_import(tmp_path, "corpus", "embed").returncode == 0
    bank = load_bank(tmp_path / "data/bank")
    splits = np.repeat(bank.articles["split"].to_numpy(), bank.articles["n_chunks"])
    rows_of = {split: set(map(bytes, bank.vectors[splits == split])) for split in ("train", "dev", "val")}
    assert all(rows_of.values())
    assert not rows_of["train"] & rows_of["dev"]
    assert not rows_of["train"] & rows_of["val"]
    assert not rows_of["dev"] & rows_of["val"]


def test_all_stages_run_on_them_and_figures_that_are_undefined_are_empty(written, tmp_path):
    copy_project(tmp_path, TINY | {"names": ["p5"], "time_direction": [], "service": {"models": []}})
    files = {name: f"corpora/plain_{name}.npz" for name in ("train", "ood")}
    (tmp_path / "corpora").mkdir()
    for file in files.values():
        shutil.copy(written[0] / Path(file).name, tmp_path / file)
    small = {"model": {"d_model": 16, "ffn": 16}, "train": {"seeds": [], "repeat": []}}
    change_params(tmp_path, small | {"data": {"kind": "vectors", **files}})
    walk(tmp_path)
    table = pd.read_csv(tmp_path / "metrics/comparison.csv", index_col="name")
    assert table[["val_cosine", "ood_cosine"]].notna().all(axis=None)
    assert table["val_recall_at_5"].isna().all()
    undefined_is_said(tmp_path)
