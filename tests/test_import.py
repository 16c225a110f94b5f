"""`stages/import_vectors.py`: every published form becomes the same bank."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from lvm_core.bank import content_sha256, load_bank
from lvm_core.bank.imported import ImportInfo
from lvm_core.runtime.readers import read_parquet
from tests.calling import run_stage
from tests.forms import FORMS, example, run_import, sample, set_data, use, write_samples
from tests.synthetic import unit


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms")
    return folder, *write_samples(folder)


def import_info(folder) -> ImportInfo:
    return ImportInfo(**json.loads((folder / "data/imported/import.json").read_text()))


@pytest.mark.parametrize("form", [form for form in FORMS if not form.startswith("plain")])
def test_every_form_with_ids_gives_the_bank_it_was_made_from(written, tmp_path, form):
    folder = use(written, tmp_path, form.format("train"), form.format("ood"))
    done = run_import(folder, "corpus", "embed")
    assert done.returncode == 0, done.stderr
    bank = load_bank(folder / "data/bank")
    _, train, ood = written
    np.testing.assert_array_equal(bank.vectors, np.concatenate([train.vectors, ood.vectors]))
    assert bank.articles["article_id"].tolist() == [str(number) for number in range(11)]
    assert bank.articles["n_chunks"].tolist() == [40] * 8 + [30] * 3
    assert set(bank.articles["split"][:8]) == {"train", "dev", "val"}
    assert set(bank.articles["split"][8:]) == {"ood"}
    chunks = read_parquet(folder / "data/bank/chunks.parquet")
    assert chunks["chunk_index"].tolist() == [*range(40)] * 8 + [*range(30)] * 3
    has_texts = form.split("_")[0] in ("bank", "array", "table", "documents")
    assert bank.texts() == ([*train.texts, *ood.texts] if has_texts else [""] * 410)
    assert bank.info.content_sha256 == content_sha256(bank.vectors)
    assert (bank.info.encoder, bank.info.dimension) == ("", 16)
    assert not (folder / ".resume").exists()


def test_windows_across_borders_are_counted_and_their_foreign_contexts_dropped(written, tmp_path):
    folder = use(written, tmp_path, "sequences_train.npz", "sequences_ood.npz")
    run_import(folder)
    counts = import_info(folder).sources["train"]
    assert (counts["windows"], counts["crossing_windows"]) == (8 * 40 - 5, 7 * 5)
    assert counts["foreign_context_rows"] == 7 * (5 + 4 + 3 + 2 + 1)
    assert (counts["articles"], counts["rows"], counts["rows_not_unit"]) == (8, 320, 0)


def test_a_data_set_without_ood(written, tmp_path):
    folder = use(written, tmp_path, "bank_train.npz", None)
    assert run_import(folder, "corpus", "embed", "diagnose").returncode == 0
    assert "`ood`: every figure" in (folder / "metrics/diagnosis.md").read_text()
    assert json.loads((folder / "metrics/corpus.json").read_text())["splits"]["ood"]["windows"] == 0


def test_a_folder_of_files_is_one_source(written, tmp_path):
    folder = use(written, tmp_path, "parts", None)
    (folder / "parts").mkdir()
    _, train, _ = written
    half = len(train.vectors) // 2 + 3  # in the middle of an article
    for name, part in {"a": slice(0, half), "b": slice(half, None)}.items():
        np.savez(
            folder / f"parts/{name}.npz",
            vectors=train.vectors[part],
            article_indices=train.article[part],
            chunk_indices=train.chunk[part],
        )
    assert run_import(folder, "corpus", "embed").returncode == 0
    np.testing.assert_array_equal(load_bank(folder / "data/bank").vectors, train.vectors)


@pytest.mark.parametrize(
    ("contexts", "targets"),
    [
        ("context_sequences", "target_vectors"),
        ("contexts", "targets"),
        ("context", "target"),
        ("X", "y"),
        ("train_context_sequences", "train_target_vectors"),
    ],
)
def test_every_published_name_of_windows(tmp_path, contexts, targets):
    data = sample([30] * 4)
    rows = np.arange(5, 30)[None] + 30 * np.arange(4)[:, None]
    rows = rows.ravel()
    members = {contexts: data.vectors[rows[:, None] + np.arange(-5, 0)], targets: data.vectors[rows]}
    np.savez(tmp_path / "w.npz", **members, article_ids=data.article[rows], target_indices=data.chunk[rows])
    set_data(tmp_path, "w.npz", None)
    assert run_import(tmp_path).returncode == 0
    np.testing.assert_array_equal(np.load(tmp_path / "data/imported/vectors.npy"), data.vectors)


def test_names_as_ids_and_metadata_of_other_names(tmp_path):
    data = sample([30] * 4)
    names = np.array(["Ä", "b c", "0", "d"])[data.article]
    np.savez(tmp_path / "b.npz", vectors=data.vectors, article_ids=names, chunk_indices=data.chunk)
    set_data(tmp_path, "b.npz", None)
    assert run_import(tmp_path).returncode == 0
    assert read_parquet(tmp_path / "data/imported/articles.parquet")["article_id"].tolist() == ["Ä", "b c", "0", "d"]
    rows = np.arange(5, 30)[None] + 30 * np.arange(4)[:, None]
    rows = rows.ravel()
    items = [{"article_id": f"x{row // 30}", "target_idx": np.int64(row % 30)} for row in rows]
    windows = {"contexts": data.vectors[rows[:, None] + np.arange(-5, 0)], "targets": data.vectors[rows]}
    np.savez(tmp_path / "w.npz", **windows, metadata=np.array(items, dtype=object))
    set_data(tmp_path, "w.npz", None)
    assert run_import(tmp_path).returncode == 0
    np.testing.assert_array_equal(np.load(tmp_path / "data/imported/vectors.npy"), data.vectors)


@pytest.mark.parametrize("last", [float, np.float64, str, np.int64])
def test_the_last_context_article_may_be_written_in_any_way(tmp_path, last):
    data = sample([30] * 4)
    rows = np.arange(5, 120)
    items: list[dict[str, Any]] = [
        {"article_index": int(data.article[row]), "target_chunk_index": int(data.chunk[row])} for row in rows
    ]
    for item, row in zip(items, rows, strict=True):
        item["last_context_article"] = last(data.article[row - 1]) if row % 7 else float("nan")
        item["crosses_article"] = bool(data.article[row] != data.article[row - 1])
    windows = {"contexts": data.vectors[rows[:, None] + np.arange(-5, 0)], "targets": data.vectors[rows]}
    np.savez(tmp_path / "w.npz", **windows, metadata=np.array(items, dtype=object))
    set_data(tmp_path, "w.npz", None)
    assert run_import(tmp_path).returncode == 0
    np.testing.assert_array_equal(np.load(tmp_path / "data/imported/vectors.npy"), data.vectors)


@pytest.mark.parametrize("base", [0, 1])
def test_shuffled_windows_across_borders_without_metadata(tmp_path, base):
    data = sample([30] * 6)
    rows = np.random.default_rng(3).permutation(np.arange(5, 180))
    windows = {"contexts": data.vectors[rows[:, None] + np.arange(-5, 0)], "targets": data.vectors[rows]}
    np.savez(tmp_path / "w.npz", **windows, article_ids=data.article[rows], target_indices=data.chunk[rows] + base)
    set_data(tmp_path, "w.npz", None)
    assert run_import(tmp_path).returncode == 0
    bank = np.load(tmp_path / "data/imported/vectors.npy")
    assert sorted(map(bytes, bank)) == sorted(map(bytes, data.vectors))  # every chunk once
    articles = read_parquet(tmp_path / "data/imported/articles.parquet")
    for number, first, count in zip(*(articles[name] for name in ("article_id", "first_row", "n_chunks")), strict=True):
        own = data.vectors[data.article == int(number)]
        np.testing.assert_array_equal(bank[first : first + count], own)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_rows_become_unit_length_and_those_that_were_not_are_counted(tmp_path, dtype):
    data = sample([30] * 4)
    scale = np.ones((120, 1))
    scale[[3, 50, 51]] = [[2.0], [0.01], [1e3]]
    stored = (data.vectors * scale).astype(dtype)
    np.savez(tmp_path / "b.npz", vectors=stored, article_ids=data.article, chunk_indices=data.chunk)
    set_data(tmp_path, "b.npz", None)
    assert run_import(tmp_path).returncode == 0
    vectors = np.load(tmp_path / "data/imported/vectors.npy")
    assert vectors.dtype == (np.float16 if dtype == np.float16 else np.float32)
    np.testing.assert_allclose(vectors, unit(stored.astype(np.float64)), atol=1e-3 if dtype == np.float16 else 1e-7)
    assert import_info(tmp_path).sources["train"]["rows_not_unit"] == 3


def test_two_data_sets_may_both_count_their_articles_from_0(tmp_path):
    for name, seed in {"train": 0, "ood": 1}.items():
        example.write_forms(tmp_path, name, sample([30] * 4, seed=seed))
    set_data(tmp_path, "bank_train.npz", "bank_ood.npz")
    assert run_import(tmp_path, "corpus").returncode == 0
    articles = read_parquet(tmp_path / "data/bank/articles.parquet")
    assert articles["article_id"].tolist() == ["0", "1", "2", "3", "ood/0", "ood/1", "ood/2", "ood/3"]


def test_windows_with_holes_between_them_are_not_joined(tmp_path):
    data = sample([60] * 4)
    rows = np.concatenate([np.r_[5:20, 40:60] + 60 * article for article in range(4)])
    windows = {"contexts": data.vectors[rows[:, None] + np.arange(-5, 0)], "targets": data.vectors[rows]}
    np.savez(tmp_path / "w.npz", **windows, article_ids=data.article[rows], target_indices=data.chunk[rows])
    set_data(tmp_path, "w.npz", None)
    assert run_import(tmp_path, "corpus").returncode == 0
    articles = read_parquet(tmp_path / "data/bank/articles.parquet")
    assert articles["article_id"].tolist()[:2] == ["0", "0#35"]
    assert articles["n_chunks"].tolist() == [20, 25] * 4
    of_article = articles.groupby(articles["article_id"].str.split("#").str[0])["split"].nunique()
    assert (of_article == 1).all()


def test_text_imports_nothing_and_vectors_leave_no_trace_of_an_earlier_import(written, tmp_path):
    folder = use(written, tmp_path, "bank_train.npz", "bank_ood.npz")
    run_import(folder)
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace("kind: vectors", "kind: text"))
    assert run_import(folder).returncode == 0
    assert [path.name for path in (folder / "data/imported").iterdir()] == ["import.json"]
    assert import_info(folder) == ImportInfo("text")


def test_the_same_files_give_the_same_bytes(written, tmp_path):
    contents = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        folder = use(written, tmp_path / name, "sequences_train.npz", "plain_ood.npz")
        assert run_import(folder).returncode == 0
        contents.append({path.name: path.read_bytes() for path in (folder / "data/imported").iterdir()})
    assert contents[0] == contents[1]


def test_split_parameters_that_leave_nothing_are_named(written, tmp_path):
    folder = use(written, tmp_path, "bank_train.npz", None)
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace("val: 0.2", "val: 0.85"))
    assert run_import(folder).returncode == 0
    done = run_stage(["stages.corpus"], folder)
    assert done.returncode == 1
    assert "split.dev = 0.1 and split.val = 0.85 leave nothing for train: data.train has 8" in done.stderr
    assert not (folder / "data/bank").exists()
