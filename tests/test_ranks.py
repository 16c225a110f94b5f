"""Several processes at one training: the same result as one, files written once, and going on after a loss."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lvm_core.models.checkpoint import load_tensors
from lvm_core.runtime.distributed import ALONE, LOST, Ranks, joined
from lvm_core.runtime.files import phase_directory
from lvm_core.train.sampling import MappedVectors, training_vectors
from tests.calling import run_stage
from tests.processes import finish, fork, stage_code, start, wait_for
from tests.shared_batches import OWN_DRAWS, gradients, small_recipes
from tests.training import small_bank, small_recipe, write_inputs

pytestmark = pytest.mark.xdist_group("forked")

CPU = torch.device("cpu")
TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def finish_pair(code, folder):
    """Run Python code in two processes that know of each other, as torchrun starts them."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = str(free.getsockname()[1])
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    pair = [fork(code, folder, RANK=rank, LOCAL_RANK=rank, **where) for rank in "01"]
    for process in pair:
        finish(process)


@given(st.integers(1, 200), st.integers(1, 9))
def test_shares_are_the_whole_batch_each_window_once(windows, size):
    batch = torch.arange(windows)
    shares = [Ranks(rank, size).share(windows) for rank in range(size)]
    if size == 1:
        assert shares == [None]
        return
    counted = [share.of(batch)[: share.end - share.begin] for share in shares if share]
    assert torch.cat(counted).tolist() == list(range(windows))
    assert all(len(share.of(batch)) for share in shares if share), "a process without windows has a stand-in"


def test_alone_nothing_is_exchanged():
    with joined("cpu") as ranks:
        assert ranks == ALONE
        assert ranks.broadcast({"x": 0.1}) == {"x": 0.1}
        ranks.wait()


def test_two_processes_have_the_gradients_of_one_in_every_recipe(tmp_path):
    finish_pair(stage_code(["tests.shared_batches", str(tmp_path / "two.safetensors")]), tmp_path)
    two = load_tensors(tmp_path / "two.safetensors")
    names = set()
    for recipe in small_recipes():
        one = gradients(recipe, ALONE)
        names |= set(one)
        for name, gradient in one.items():
            if recipe.name in OWN_DRAWS:
                assert two[name].isfinite().all()
            else:
                torch.testing.assert_close(two[name], gradient, rtol=1e-4, atol=1e-6, msg=name)
    assert set(two) == names


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folders in which the same three phases were trained by one process and by two."""
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    for folder in folders:
        write_inputs(folder, small_bank(), small_recipe())
        for phase in "abc":
            arguments = ["stages.train", "small", phase]
            if folder is folders[0]:
                assert run_stage(arguments, folder).returncode == 0
            elif phase == "a":
                finish(start([*TWO, "-m", *arguments], folder))
            else:
                finish_pair(stage_code(arguments), folder)
    return folders


def test_two_processes_train_the_model_of_one(trained):
    one, two = (load_tensors(folder / phase_directory("small", "c") / "model.safetensors") for folder in trained)
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=0.01, atol=0.002, msg=name)
    first, second = (pd.read_csv(folder / "plots/training/small.csv") for folder in trained)
    assert (first["epoch"] == second["epoch"]).all()
    for figure in ("train_loss", "dev_cosine", "lr"):
        np.testing.assert_allclose(second[figure], first[figure], atol=1e-3)
    assert not (trained[1] / ".resume").exists()


@pytest.mark.soak
def test_a_lost_process_ends_the_run_with_one_clear_line_and_the_run_goes_on(tmp_path):
    recipe = small_recipe(train={"epochs": {"a": 60, "b": 1, "c": 1}})
    folders = [tmp_path / name for name in ("whole", "lost")]
    for folder in folders:
        write_inputs(folder, small_bank(), recipe)
    command = [*TWO, "-m", "stages.train", "small", "a"]
    process = start(command, folders[1])
    wait_for(lambda: list(folders[1].glob(".resume/*/state.*.safetensors")), process)
    os.kill(second_of(process.pid), signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"error: {LOST}" in errors.splitlines()
    assert not (folders[1] / "data/phases").exists()
    assert "going on after epoch" in finish(start(command, folders[1]))
    finish(start(command, folders[0]))
    whole, lost = (folder / "data/phases/a/small" for folder in folders)
    assert {file.name: file.read_bytes() for file in lost.iterdir()} == {
        file.name: file.read_bytes() for file in whole.iterdir()
    }


def second_of(torchrun: int) -> int:
    """The process of rank 1."""
    children = subprocess.run(["pgrep", "-P", str(torchrun)], capture_output=True, text=True, check=True)
    for child in children.stdout.split():
        environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        if b"RANK=1" in environment:
            return int(child)
    raise AssertionError("there is no second process")


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_mapped_bank_gives_the_same_rows(tmp_path, dtype):
    from lvm_core.bank import load_bank
    from tests.synthetic import make_bank, write_bank

    write_bank(make_bank({"train": [30] * 3}, dtype=dtype), tmp_path)
    bank = load_bank(tmp_path)
    mapped, resident = (training_vectors(bank, CPU, where) for where in ("mapped", "resident"))
    assert isinstance(mapped, MappedVectors)
    assert isinstance(resident, torch.Tensor)
    rows = torch.tensor([[0, 5], [89, 3]])
    assert torch.equal(mapped[rows], resident[rows])
    assert mapped[rows].dtype == resident.dtype


def test_a_bank_that_does_not_fit_is_mapped(tmp_path, monkeypatch):
    from lvm_core.bank import load_bank
    from tests.synthetic import make_bank, write_bank

    write_bank(make_bank({"train": [30] * 3}), tmp_path)
    bank = load_bank(tmp_path)
    assert isinstance(training_vectors(bank, CPU, "auto"), torch.Tensor)
    monkeypatch.setattr("lvm_core.train.sampling.free_memory", lambda device: bank.vectors.nbytes)
    assert isinstance(training_vectors(bank, CPU, "auto"), MappedVectors)


def test_where_the_bank_lies_changes_no_byte_of_the_model(tmp_path):
    weights = []
    for where in ("resident", "mapped"):
        write_inputs(tmp_path / where, small_bank(), small_recipe(train={"bank": where}))
        assert run_stage(["stages.train", "small", "a"], tmp_path / where).returncode == 0
        weights.append((tmp_path / where / "data/phases/a/small/model.safetensors").read_bytes())
    assert weights[0] == weights[1]
