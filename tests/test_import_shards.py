"""Folders of vector files: shards in the order of their numbers, articles that span them, what is passed over."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lvm_core.importers.paths import find_vectors
from lvm_core.runtime.errors import LvmError
from tests.brought import DATA, ROWS, has_all, read, refusal, shard, vectors_of
from tests.brought import in_own_folder as _in_own_folder  # noqa: F401
from tests.forms import run_import, sample, set_data


@pytest.mark.parametrize("names", [("part-0.parquet", "more/part-1.parquet"), ("a.parquet", "B.PARQUET")])
def test_shards_in_folders_and_with_capitals(names):
    for name, part in zip(names, (slice(0, 33), slice(33, None)), strict=True):
        shard(f"in/{name}", part)
    rows = read()
    assert len(rows.row) == ROWS
    assert set(rows.article_id) == set("012345")
    assert (rows.counts["files"], rows.counts["articles_in_several_files"]) == (2, 1)
    assert (rows.counts["left_out"], rows.counts["examples"]) == ({}, {})


def test_what_is_passed_over_is_counted_and_named(tmp_path):
    set_data(tmp_path, "in", None)
    shard("in/part-0.parquet")
    for name in ("README.md", "more/stray.csv", ".hidden.npz", ".cache/x.npz", "more/old.npz.bak"):
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    done = run_import(tmp_path, "corpus")
    assert done.returncode == 0, done.stderr
    expected = {"files of other kinds": 3, "hidden files and folders": 2}
    counts = json.loads((tmp_path / "metrics/corpus.json").read_text())["train"]
    assert counts["left_out"] == expected
    assert counts["examples"] == {
        "files of other kinds": "README.md; .md 1, .bak 1, .csv 1",
        "hidden files and folders": ".cache",
    }
    assert (
        "import train: passed over: files of other kinds 3 (first: README.md; .md 1, .bak 1, .csv 1), hidden"
        in run_import(tmp_path).stdout
    )


def test_shards_without_rows_are_counted():
    shard("in/part-0.parquet", slice(0, 0))
    assert refusal() == "params.yaml: data.train = 'in': has no rows of vectors; bring some"
    shard("in/part-1.parquet")
    rows = read()
    assert has_all(rows)
    assert rows.counts["files"] == 1
    assert (rows.counts["left_out"], rows.counts["examples"]) == (
        {"tables without rows": 1},
        {"tables without rows": "part-0.parquet"},
    )


def test_a_link_to_a_folder_is_refused_and_one_to_a_file_is_read(tmp_path):
    shard("elsewhere/part-1.parquet", slice(30, None))
    shard("in/part-0.parquet", slice(0, 30))
    Path("in/part-1.parquet").symlink_to(tmp_path / "elsewhere/part-1.parquet")
    assert has_all(read())
    Path("in/more").symlink_to(tmp_path / "elsewhere")
    assert refusal() == (
        "in/more: is a link to a folder, and DVC does not see changes behind it; copy the folder there, or name it "
        "itself as data.train"
    )


@pytest.mark.parametrize("inside", ["", "/part-0.parquet"])
def test_vectors_in_corpora_behind_a_link_to_a_folder_are_refused(tmp_path, inside):
    """A single file, too: DVC does not see its changes."""
    shard("elsewhere/part-0.parquet")
    Path("corpora").mkdir()
    Path("corpora/mine").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LvmError, match=r"^corpora/mine: is a link to a folder, and DVC does not"):
        find_vectors(f"corpora/mine{inside}", "data.train")


def test_indices_of_chunks_in_some_shards_only():
    shard("in/part-0.parquet", slice(0, 30))
    shard("in/part-1.parquet", slice(30, None), chunk=False)
    assert refusal() == (
        "in/part-1.parquet: article_id: has no indices of chunks, in/part-0.parquet: article_id, chunk_index has them; "
        "give them to all files of a source or to none"
    )


@pytest.mark.parametrize("name", ["part-{}.parquet", "train-{:05}-of-00012.parquet", "v{}.0/part.parquet"])
def test_shards_come_in_the_order_of_their_numbers(name):
    for number in range(1, 13):
        part = slice(5 * number - 5, 5 * number)  # half an article
        shard(f"in/{name.format(number)}", part, chunk="/" in name)
    rows = read()
    assert has_all(rows)
    assert rows.counts["articles_in_several_files"] == 6


def test_articles_that_go_on_in_another_folder_need_indices():
    shard("in/part-0.parquet", slice(0, 33), chunk=False)
    shard("in/part/part-1.parquet", slice(33, None), chunk=False)
    line = refusal()
    assert "in/part/part-1.parquet and in/part-0.parquet: article 3 is in both" in line or "article 0" in line


@pytest.mark.parametrize("chunk", [True, False])
def test_shards_that_each_number_their_articles_from_0(chunk):
    for number in range(2):
        part = slice(30 * number, 30 * number + 30)
        shard(f"in/part-{number}.parquet", part, chunk=chunk, article=DATA.article[:30])
    line = refusal()
    assert "in/part-0.parquet" in line
    assert "in/part-1.parquet" in line
    assert "if each file numbers its articles from 0, give them ids that differ between files" in line


def test_rows_that_are_spread_over_shards_at_random_are_right_with_indices():
    order = np.random.default_rng(0).permutation(ROWS)
    for number in range(3):
        shard(f"in/part-{number}.parquet", order[20 * number : 20 * number + 20])  # type: ignore[arg-type]
    rows = read()
    assert rows.counts["articles_in_several_files"] == 6
    for place, article in enumerate(rows.article_id):
        np.testing.assert_array_equal(vectors_of(rows)[rows.piece == place], DATA.vectors[DATA.article == int(article)])


def test_windows_without_ids_in_files_of_one_name_have_names_of_their_own():
    for name in ("one", "two"):
        Path("in", name).mkdir()
        windows = sample([6] * 4, seed=len(name) + ord(name[0])).vectors.reshape(4, 6, 16)
        np.savez(f"in/{name}/w.npz", contexts=windows[:, :5], targets=windows[:, 5])
    assert set(read().article_id) == {f"{name}/w.npz:{window}" for name in ("one", "two") for window in range(4)}


def test_windows_of_shards_that_each_number_their_articles_from_0():
    for number in range(2):
        rows = sample([8] * 3, seed=number).vectors
        targets = np.r_[5:8, 13:16, 21:24]
        windows = {"contexts": rows[targets[:, None] + np.arange(-5, 0)], "targets": rows[targets]}
        np.savez(f"in/{number}.npz", **windows, article_ids=targets // 8, target_indices=targets % 8)
    line = refusal()
    assert "in/0.npz: targets row 0 and in/1.npz: targets row 0 are both chunk 5 of article 0" in line or "in/1" in line
    assert "if each file numbers its articles from 0" in line


def test_a_name_that_is_no_text():
    shard("in/ok.parquet")
    Path("in", "a\udcff.parquet").write_bytes(b"x")
    assert "its name holds characters that are no text; rename it" in refusal()


def test_a_folder_of_arrow_files():
    Path("in/data-00000-of-00001.arrow").write_bytes(b"ARROW1")
    assert "holds no .npz, .npy, .parquet file; of in/data-00000-of-00001.arrow write a .parquet file" in refusal()
