"""Damage and kills at random: a sample in the suite, many of them with `make soak`."""

from __future__ import annotations

import json
import random
import resource
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from lvm_core.runtime.readers import read_npy
from tests.calling import COMMON
from tests.forms import FORMS, run_import, set_data, write_samples
from tests.hostile_files.damaged import damaged
from tests.processes import finish, start
from tests.synthetic import make_bank
from tests.test_import_memory import peak_of_stage
from tests.test_resume import SAVES_OFTEN, contents
from tests.training import small_recipe, write_inputs


@pytest.mark.parametrize("rounds", [8, pytest.param(500, marks=pytest.mark.soak)])
@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_file_is_imported_unharmed_or_refused_in_one_line(tmp_path, form, rounds):
    write_samples(tmp_path, lengths=(30,) * 4, ood=(20,) * 2)
    files = [tmp_path / form.format("train")]
    files += [path for path in [files[0].with_suffix(".csv")] if path.exists()]
    originals = {path: path.read_bytes() for path in files}
    set_data(tmp_path, files[0].name, None)
    assert run_import(tmp_path).returncode == 0
    whole = read_npy(tmp_path / "data/imported/vectors.npy")
    refused = 0
    for seed in range(rounds):
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        rng = random.Random(seed)
        path = rng.choice(files)
        path.write_bytes(damaged(originals[path], rng))
        done = run_import(tmp_path)
        path.write_bytes(originals[path])
        lines = done.stderr.splitlines()
        if done.returncode:
            refused += 1
            assert (done.returncode, len(lines)) == (1, 1), (seed, done.stderr)
            assert lines[0].startswith("error: ")
            assert not list((tmp_path / "data").rglob("*")), seed
        elif path.suffix == ".npz":  # its checksums leave no doubt
            np.testing.assert_array_equal(read_npy(tmp_path / "data/imported/vectors.npy"), whole)
    assert refused > rounds / 4


@pytest.mark.soak
def test_a_training_killed_at_random_twenty_times_ends_with_the_same_bytes(tmp_path):
    bank = make_bank({"train": [200] * 40, "dev": [30] * 3, "val": [30] * 3, "ood": [30] * 3}, dimension=16)
    rng = random.Random(0)
    expected: dict[str, bytes] = {}
    for name in ("undisturbed", "killed"):
        folder: Path = tmp_path / name
        write_inputs(folder, bank, small_recipe(train={"epochs": {"a": 20, "b": 1, "c": 1}}))
        for _ in range(20 if expected else 0):
            process = start([sys.executable, "-c", SAVES_OFTEN], folder)
            time.sleep(rng.uniform(3, 7))
            process.kill()
            process.communicate()
        finish(start([sys.executable, "-c", SAVES_OFTEN], folder))
        expected = expected or contents(folder / "data/phases/a/small")
    assert contents(folder / "data/phases/a/small") == expected


@pytest.mark.soak
def test_a_million_rows_of_a_hub_become_chunks_in_bounded_memory(tmp_path):
    rows = 1_000_000
    write_shards(tmp_path / "web", rows, shards=4)
    write_shards(tmp_path / "other", 1000, shards=1)
    params = {
        **COMMON,
        "data": {"kind": "text", "train": "web", "ood": "other", "encoder": None},
        "corpus": {"min_chars": 40, "max_chars": 200, "max_pieces": None, "min_chunks": 6, "short": "join"}
        | {"max_train_articles": None, "max_ood_articles": None},
        "split": {"dev": 0.1, "val": 0.2},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    peak = peak_of_stage("stages.corpus", tmp_path)
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    counts = json.loads((tmp_path / "metrics/corpus.json").read_text())["train"]
    kept = counts["chunks"]["kept"]
    print(f"{rows:,} rows, {kept:,} chunks: {time.monotonic() - began:.0f} s, {cpu:.0f} s of CPU, peak {peak:.0f} MB")
    assert counts["articles"]["read"] + counts["left_out"]["rows without a text (null)"] == rows
    assert counts["articles"]["kept"] > rows / 4
    assert peak < 1200


def write_shards(folder: Path, rows: int, shards: int) -> None:
    """Short texts in the layout of a hub: of three rows one becomes an article, one is too short, few are null."""
    each = rows // shards
    schema = pa.schema({"id": pa.string(), "url": pa.string(), "title": pa.string(), "text": pa.string()})
    for shard in range(shards):
        path = folder / f"data/train-{shard:05d}-of-{shards:05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(path, schema) as file:
            for start in range(shard * each, (shard + 1) * each, 50_000):
                numbers = range(start, min(start + 50_000, (shard + 1) * each))
                texts = [None if n % 1000 == 999 else short_text(folder.name, n) for n in numbers]
                ids, urls = [f"{folder.name}-{n}" for n in numbers], [f"https://example.org/{n}" for n in numbers]
                file.write_table(pa.table([ids, urls, [f"Page {n}" for n in numbers], texts], schema=schema))


def short_text(name: str, number: int) -> str:
    sentences = 2 if number % 3 else 7
    return "\n\n".join(f"Page {number} of {name} has a sentence, and this is its number {n}." for n in range(sentences))
