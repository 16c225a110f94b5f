"""Scoring and training stay within the bank plus 500 MB above the process after its imports (a real process each)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.paths import ROOT
from tests.synthetic import make_bank, write_bank

SCORE = """
from lvm_core.curriculum.phases import score_windows
before = peak()
bank = load_bank("data/bank")
scores = score_windows(bank.vectors, bank.targets("train"), bank.article_of_row)
assert len(scores) > 90_000
"""
TRAIN = """
from lvm_core.train.trainer import Trainer
from tests.training import small_recipe
narrow = {"d_model": 8, "layers": 1, "heads": 2, "ffn": 8}
recipe = small_recipe(narrow, {"epochs": {"a": 1, "b": 1, "c": 1}, "batch_size": 1024})
before = peak()
bank = load_bank("data/bank")
trainer = Trainer(recipe, bank)
trainer.train(trainer.start(), "a", bank.targets("train"))
"""
FRAME = """
import resource
from lvm_core.bank import load_bank
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
{work}
print("MB", peak() - before, bank.vectors.nbytes / 2**20)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    bank = make_bank({"train": [500] * 200, "dev": [60] * 5}, dimension=256)
    write_bank(bank, folder / "data/bank")
    return folder


@pytest.mark.parametrize("work", [SCORE, TRAIN], ids=["score", "train"])
def test_memory_is_bounded_by_the_bank(folder, work):
    done = subprocess.run(
        [sys.executable, "-c", FRAME.format(work=work)],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    used, bank = map(float, done.stdout.split("MB")[1].split())
    assert bank > 90
    assert used < bank + 500
