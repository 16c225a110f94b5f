"""Damage and kills at random: a sample in the suite, many of them with `make soak`."""

from __future__ import annotations

import random
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lvm_core.runtime.readers import read_npy
from tests.forms import FORMS, run_import, set_data, write_samples
from tests.hostile_files.damaged import damaged
from tests.processes import finish, start
from tests.synthetic import make_bank
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
