"""Foreign files that are damaged, not there, or do not fit together; tables of ids and of vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.calling import one_clear_line
from tests.forms import refused, run_import, sample, set_data

DATA = sample([30] * 4)
BANK: dict[str, Any] = {"vectors": DATA.vectors, "article_indices": DATA.article, "chunk_indices": DATA.chunk}


def write_bank(path: Path, **changes: Any) -> None:
    np.savez(path, **BANK | changes)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[2000] ^= 1  # within the first member's data
    path.write_bytes(content)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("damage", [cut_off, flip_a_byte])
def test_damaged_archives(tmp_path, damage: Callable[[Path], None], compressed):
    (np.savez_compressed if compressed else np.savez)(tmp_path / "x.npz", **BANK)
    damage(tmp_path / "x.npz")
    line = refused(tmp_path, "x.npz")
    assert "x.npz" in line
    assert "again" in line


def test_files_that_are_not_there_or_something_else(tmp_path):
    for name, words in {
        "no.npz": "data.train = 'no.npz': no such file or folder",
        "empty": "data.train = 'empty': the folder holds no .npz, .npy, .parquet file",
        "x.pkl": "x.pkl: unknown kind of file",
        "junk.npz": "junk.npz",
        "junk.parquet": "junk.parquet: cannot be read",
        "junk.npy": "junk.npy",
    }.items():
        folder = tmp_path / name.replace(".", "_")
        (folder / "empty").mkdir(parents=True)
        for file in ("x.pkl", "junk.npz", "junk.parquet", "junk.npy"):
            (folder / file).write_bytes(b"nothing of the kind")
        assert words in refused(folder, name)


def test_an_ood_file_of_another_dimension(tmp_path):
    write_bank(tmp_path / "x.npz")
    write_bank(tmp_path / "y.npz", vectors=np.ascontiguousarray(DATA.vectors[:, :8]))
    line = refused(tmp_path, "x.npz", "y.npz")
    assert "y.npz: data.ood has 8-d vectors, x.npz 16-d" in line


def test_an_article_in_both_sources(tmp_path):
    write_bank(tmp_path / "x.npz")
    other = sample([30] * 4, seed=9)
    vectors = np.where((DATA.article == 2)[:, None], DATA.vectors, other.vectors)
    write_bank(tmp_path / "y.npz", vectors=vectors)
    line = refused(tmp_path, "x.npz", "y.npz")
    assert "x.npz: vectors row 60 and y.npz: vectors row 60: article 2 is in data.train and in data.ood" in line


def test_an_ood_source_that_is_the_training_source_under_other_names(tmp_path):
    write_bank(tmp_path / "x.npz")
    write_bank(tmp_path / "y.npz", article_indices=DATA.article + 100)
    line = refused(tmp_path, "x.npz", "y.npz")
    assert "x.npz: vectors row 0 and y.npz: vectors row 0 are the same, as are 100% of the rows of data.ood" in line


def test_a_chunk_of_boilerplate_in_both_sources_is_no_reason_to_refuse(tmp_path):
    write_bank(tmp_path / "x.npz")
    other = sample([30] * 4, seed=9).vectors
    other[100] = DATA.vectors[95]  # both in article 3
    write_bank(tmp_path / "y.npz", vectors=other)
    set_data(tmp_path, "x.npz", "y.npz")
    assert run_import(tmp_path).returncode == 0


def test_files_of_a_folder_that_do_not_fit_together(tmp_path):
    (tmp_path / "mine").mkdir()
    write_bank(tmp_path / "mine/a.npz")
    np.savez(tmp_path / "mine/b.npz", contexts=DATA.vectors[:30].reshape(6, 5, 16), targets=DATA.vectors[:6])
    assert "mine/b.npz: holds windows without ids, mine/a.npz bank" in refused(tmp_path, "mine")


def with_ids(folder: Path, table: dict[str, Any], suffix: str = ".csv") -> None:
    np.save(folder / "v.npy", DATA.vectors)
    frame = pd.DataFrame(table)
    frame.to_csv(folder / "v.csv", index=False) if suffix == ".csv" else frame.to_parquet(folder / "v.parquet")


IDS = {"article_id": DATA.article.tolist(), "chunk_index": DATA.chunk.tolist()}


def test_an_array_without_ids_or_with_two_tables(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    np.save(tmp_path / "one/v.npy", DATA.vectors)
    assert "v.npy: needs the ids of its rows in v.csv or v.parquet; neither is there" in refused(
        tmp_path / "one", "v.npy"
    )
    with_ids(tmp_path / "two", IDS)
    with_ids(tmp_path / "two", IDS, ".parquet")
    assert "both are there" in refused(tmp_path / "two", "v.npy")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"article_id": None},
            "has no ids of articles; wanted: a column article_id, or one that data.id_column names; there are: chunk",
        ),
        ({"article_index": DATA.article.tolist()}, "the columns article_id and article_index mean the same"),
        ({"article_id": ["-1", *DATA.article[1:].astype(str).tolist()]}, "row 0: -1 is negative"),
        ({"chunk_index": [*DATA.chunk[:-1].tolist(), -4]}, "row 119: -4 is negative"),
        ({"chunk_index": ["x", *DATA.chunk[1:].astype(str).tolist()]}, "row 0: 'x' is not a whole number"),
        ({"article_id": ["", *DATA.article[1:].astype(str).tolist()]}, "row 0: the id is empty"),
    ],
)
def test_tables_of_ids(tmp_path, suffix, change, words):
    table = {name: values for name, values in (IDS | change).items() if values is not None}
    with_ids(tmp_path, table, suffix)
    line = refused(tmp_path, "v.npy")
    assert f"v{suffix}" in line
    assert words in line


@pytest.mark.parametrize(
    "lines",
    [
        ["article_id,chunk_index"] + [f"a,{n},{n}" for n in range(120)],
        ["article_id"] + [f"a,{n}" for n in range(120)],
        ["article_id,chunk_index,text"] + [f"a,{n},one, two" for n in range(120)],
        ["article_id,chunk_index,text"] + [f"a,{n}" for n in range(120)],
    ],
)
def test_lines_of_another_number_of_fields_shift_nothing(tmp_path, lines):
    with_ids(tmp_path, IDS)
    (tmp_path / "v.csv").write_text("\n".join(lines))
    assert "v.csv: record 1 has" in refused(tmp_path, "v.npy")


def test_names_of_columns_may_have_blanks_and_capitals(tmp_path):
    with_ids(tmp_path, IDS)
    text = (tmp_path / "v.csv").read_text()
    (tmp_path / "v.csv").write_text(text.replace("article_id,chunk_index", "Article_ID, Chunk_Index "))
    set_data(tmp_path, "v.npy", None)
    assert run_import(tmp_path).returncode == 0
    np.testing.assert_array_equal(np.load(tmp_path / "data/imported/vectors.npy"), DATA.vectors)


def test_a_table_of_ids_of_another_length(tmp_path):
    with_ids(tmp_path, {name: values[1:] for name, values in IDS.items()})
    assert "v.npy: has 120 rows, v.csv: article_id 119" in refused(tmp_path, "v.npy")


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        ([*DATA.vectors[:-1], DATA.vectors[0, :5]], "t.parquet: vector: row 119: has 5 numbers, the first one has 16"),
        ([DATA.vectors[0], None, *DATA.vectors[2:]], "t.parquet: vector: row 1: is null"),
        (["text"] * 120, "string, need lists of float16"),
        ([[1, 2]] * 120, "t.parquet: vector: holds list<element: int64>, need lists"),
        ([[]] * 120, "vector: "),
        ([[0.5, None]] * 120, "t.parquet: vector: row 0: holds a null"),
        ([[0.0, 0.0]] * 120, "t.parquet: vector: row 0: is zero"),
    ],
)
def test_columns_of_vectors(tmp_path, vectors, words):
    pd.DataFrame(IDS | {"vector": vectors}).to_parquet(tmp_path / "t.parquet")
    assert words in refused(tmp_path, "t.parquet")


def test_a_table_without_vectors_lists_its_columns(tmp_path):
    pd.DataFrame(IDS).to_parquet(tmp_path / "t.parquet")
    line = refused(tmp_path, "t.parquet")
    assert "has no column of vectors; wanted: vector or" in line
    assert "there are: article_id, chunk_index" in line


def test_a_full_disk_is_one_line_and_what_was_done_is_kept(tmp_path, monkeypatch):
    write_bank(tmp_path / "x.npz")
    set_data(tmp_path, "x.npz", None)

    def full(path: Path) -> None:
        if path.name == "import.json" or "imported" in str(path):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("lvm_core.runtime.files._fsync", full)
    line = one_clear_line(run_import(tmp_path))
    assert "No space left on device" in line
    assert not list((tmp_path / "data").rglob("*"))
    assert list(tmp_path.glob(".resume/import_vectors-*/rows-train-*.npy"))
    monkeypatch.undo()
    assert run_import(tmp_path).returncode == 0
    assert not (tmp_path / ".resume").exists()
