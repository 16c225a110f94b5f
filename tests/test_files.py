"""Whole files or nothing, no pickle, and one clear line where a file is bad."""

from __future__ import annotations

import json
import re
from functools import partial

import numpy as np
import pandas as pd
import pytest

from lvm_core.bank import BankInfo, load_bank
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import atomic_directory, atomic_path, nan_to_none, write_json, write_npy, write_parquet
from lvm_core.runtime.readers import read_csv, read_json, read_npy, read_parquet
from tests.paths import ROOT
from tests.synthetic import make_bank, write_bank


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "figures.json"
    write_json(target, {"a": 1})

    def fail():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        fail()
    assert read_json(target) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]


def test_a_failed_directory_leaves_the_old_one(tmp_path):
    target = tmp_path / "models"
    with atomic_directory(target) as temporary:
        write_json(temporary / "nested" / "a.json", 1)

    def fail():
        with atomic_directory(target) as temporary:
            write_json(temporary / "b.json", 2)
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        fail()
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.json")) == ["models/nested/a.json"]
    with atomic_directory(target) as temporary:
        write_json(temporary / "c.json", 3)
    assert [path.name for path in target.iterdir()] == ["c.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "metrics").write_text("a file where a folder belongs")
    with pytest.raises(LvmError, match=r"metrics/figures\.json: cannot be written"):
        write_json(tmp_path / "metrics" / "figures.json", {})


def test_undefined_numbers_become_null(tmp_path):
    value = {"a": float("nan"), "b": [np.float32(np.inf), np.int64(3)], "c": {"d": 0.5}}
    assert nan_to_none(value) == {"a": None, "b": [None, 3], "c": {"d": 0.5}}
    write_json(tmp_path / "x.json", value)
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": None, "b": [None, 3], "c": {"d": 0.5}}


def test_object_arrays_are_neither_written_nor_read(tmp_path):
    objects = np.array([{"a": 1}], dtype=object)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        write_npy(tmp_path / "mine.npy", objects)
    np.save(tmp_path / "foreign.npy", objects, allow_pickle=True)
    with pytest.raises(LvmError, match=r"foreign\.npy: is not a complete"):
        read_npy(tmp_path / "foreign.npy")


def test_no_code_of_ours_reads_or_writes_pickle():
    pattern = re.compile(r"allow_pickle\s*=\s*True|weights_only\s*=\s*False|import pickle|torch\.(load|save)\(|joblib")
    for folder in ("lvm_core", "stages"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.name != "pickle_reader.py":  # the one restricted reader of foreign files
                assert not pattern.search(path.read_text()), path


@pytest.mark.parametrize(
    ("name", "read"),
    [("x.json", read_json), ("x.npy", read_npy), ("x.parquet", read_parquet), ("x.csv", partial(read_csv, index="k"))],
)
def test_missing_and_damaged_files_are_named(tmp_path, name, read):
    with pytest.raises(LvmError, match=re.escape(name)):
        read(tmp_path / name)
    (tmp_path / name).write_bytes(b"\x93NUMPY\x01\x00 not really")
    with pytest.raises(LvmError, match=re.escape(name)):
        read(tmp_path / name)


def test_a_truncated_npy_is_named(tmp_path):
    write_npy(tmp_path / "x.npy", np.zeros((100, 100)))
    content = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(content[: len(content) // 2])
    for mmap in (False, True):
        with pytest.raises(LvmError, match=r"x\.npy"):
            read_npy(tmp_path / "x.npy", mmap=mmap)


def test_a_bank_survives_its_folder(tmp_path):
    bank = make_bank({"train": [10, 7], "val": [9], "ood": [8]})
    write_bank(bank, tmp_path)
    loaded = load_bank(tmp_path)
    assert isinstance(loaded.vectors, np.memmap)
    np.testing.assert_array_equal(loaded.vectors, bank.vectors)
    pd.testing.assert_frame_equal(loaded.articles, bank.articles)
    assert loaded.info == bank.info
    assert loaded.targets("train").tolist() == [5, 6, 7, 8, 9, 15, 16]
    assert loaded.targets(["val", "ood"]).tolist() == [22, 23, 24, 25, 31, 32, 33]
    assert loaded.texts()[3] == "text of chunk 3"


def test_no_row_is_in_two_splits():
    bank = make_bank({"train": [10, 12], "dev": [9], "val": [9], "ood": [8]})
    seen = [set(bank.targets(split)) for split in ("train", "dev", "val", "ood")]
    assert sum(map(len, seen)) == len(set.union(*seen))


def change_info(directory, **changes):
    path = directory / "bank.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_articles(directory, change):
    path = directory / "articles.parquet"
    write_parquet(path, change(read_parquet(path)))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda d: (d / "vectors.npy").unlink(), r"vectors\.npy: cannot be read"),
        (lambda d: write_npy(d / "vectors.npy", np.zeros((5, 16))), r"vectors\.npy: holds float64"),
        (lambda d: write_npy(d / "vectors.npy", np.zeros((5, 16), np.float32)), r"vectors\.npy: has shape \(5, 16\)"),
        (lambda d: change_info(d, format_version=1), r"bank\.json: format_version"),
        (lambda d: change_info(d, colour="red"), r"bank\.json: .*colour"),
        (lambda d: change_articles(d, lambda a: a.drop(columns="split")), r"articles\.parquet: lacks .*split"),
        (lambda d: change_articles(d, lambda a: a.assign(split="test")), r"articles\.parquet: column split has .*test"),
        (lambda d: change_articles(d, lambda a: a.iloc[::-1]), r"articles\.parquet: articles do not cover the 26 rows"),
    ],
)
def test_a_damaged_bank_is_one_clear_line(tmp_path, harm, words):
    write_bank(make_bank({"train": [10, 7], "val": [9]}), tmp_path)
    harm(tmp_path)
    with pytest.raises(LvmError, match=words):
        load_bank(tmp_path)


def test_bank_json_is_what_was_written(tmp_path):
    info = BankInfo("name", "abc", "bf16", ["avx2"], 4, 2, "def")
    info.write(tmp_path)
    assert BankInfo(**read_json(tmp_path / "bank.json")) == info
