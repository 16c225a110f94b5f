"""Work that goes on where it was interrupted, in real processes with real signals, ends with the same bytes."""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lvm_core.runtime.distributed import ALONE, Ranks
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import write_text
from lvm_core.runtime.interrupts import Interrupted
from lvm_core.runtime.resume import fingerprint, progress_folder, saved_array
from lvm_core.train import phases
from lvm_core.train.state import StateFile, TrainState
from lvm_core.train.trainer import Trainer, dev_metrics_on
from tests.calling import run_stage
from tests.processes import finish, fork, fork_stage, interrupt, stage_code, wait_for
from tests.synthetic import make_bank
from tests.training import same, small_bank, small_recipe, weights_of, write_inputs

pytestmark = pytest.mark.xdist_group("forked")

CPU = torch.device("cpu")
STAGE = ["stages.train", "small", "a"]
SAVES_OFTEN = "import lvm_core.train.state as resume; resume.SAVE_SECONDS, resume.SAVE_SHARE = 0.1, 0.5; " + stage_code(
    STAGE
)


class InterruptAt(StateFile):
    """Saves like the real one, and behaves as if Ctrl-C came after a given number of steps."""

    def __init__(self, path: Path, step: int) -> None:
        super().__init__(path)
        self.left = step

    def now_and_then(self, state: TrainState) -> None:
        self.left -= 1
        if self.left == 0:
            raise Interrupted(signal.SIGINT)


def run_phase(bank, recipe, saver=None, measure=None):
    trainer = Trainer(recipe, bank)
    state = trainer.start()
    if saver:
        saver.restore(state, CPU)
    if measure:
        trainer.measure = measure
    trainer.train(state, "a", bank.targets("train"), saver)
    return state


def equal_states(left, right):
    moments = [state.optimizer.tensors() for state in (left, right)]
    return (
        same(weights_of(left), weights_of(right))
        and same(*moments)
        and left.history == right.history
        and left.best_epoch == right.best_epoch
        and all(torch.equal(left.best[name], right.best[name]) for name in left.best)
    )


@pytest.mark.parametrize("schedule", ["plateau", "cosine"])
def test_a_phase_interrupted_anywhere_ends_as_an_undisturbed_one(tmp_path, schedule):
    """Dropout on, so that the random state matters; with 7 steps an epoch and the place after them there are 16.

    Every place is tried with one of the schedules, and the last step of an epoch, and what follows, with both.
    """
    bank = make_bank({"train": [42] * 6, "dev": [30] * 2}, dimension=16)
    schedules = {
        "plateau": {"name": "plateau", "factor": 0.5, "patience": 1},
        "cosine": {"name": "cosine", "warmup_epochs": 1, "floor": 0.1},
    }
    recipe = small_recipe(train={"epochs": {"a": 2, "b": 1, "c": 1}, "schedule": schedules[schedule]})
    whole = run_phase(bank, recipe)
    both = (7, 8)
    for step in sorted({*both, *range(1 if schedule == "plateau" else 2, 17, 2)}):
        path = tmp_path / f"{step}.safetensors"
        with pytest.raises(KeyboardInterrupt):
            run_phase(bank, recipe, InterruptAt(path, step))
        torch.manual_seed(999)  # whatever the next process has drawn before
        assert equal_states(run_phase(bank, recipe, StateFile(path)), whole)


def test_a_phase_with_everything_on_ends_the_same_wherever_it_is_interrupted(tmp_path):
    """Batches of articles, corruption, ramps, a free run, samples of the softmax, early stopping after epoch 2 or 3."""
    bank = make_bank({"train": [42] * 6, "dev": [30] * 2}, dimension=16)
    recipe = small_recipe(
        {
            "pos_scalar": 0.1,
            "pos_ramp": [1, 3],
            "last_slot_bias": {"kind": "learnable", "beta_max": 0.6, "ramp": [1, 2]},
        },
        {"epochs": {"a": 5, "b": 1, "c": 1}, "batches": "articles", "early_stop": 1, "lr": 0.02},
        corruption={"last_slot": {"kind": "noise", "probability": 0.3, "norm": 0.83, "swap": 0.1, "ramp": [1, 2]}},
        losses={
            **{"mse": 1.0, "rollout": {"weight": 0.5, "first_epoch": 2}},
            "article_softmax": {"weight": 0.1, "temperature": 0.1, "ramp": [1, 3]},
        },
    )
    whole = run_phase(bank, recipe)
    assert 1 < len(whole.history) < 5, "stopped early"
    for step in range(1, 40, 5):  # an epoch has 8 steps: other ones of each
        path = tmp_path / f"{step}.safetensors"
        try:
            run_phase(bank, recipe, InterruptAt(path, step))
        except KeyboardInterrupt:
            torch.manual_seed(999)
            assert equal_states(run_phase(bank, recipe, StateFile(path)), whole)
        else:
            break
    assert step > 2 * 8


def test_an_energy_head_goes_on_with_the_draws_it_would_have_had(tmp_path):
    bank = make_bank({"train": [42] * 6, "dev": [30] * 2}, dimension=16)
    recipe = small_recipe({"head": "energy", "noise": 4}, losses={"energy": {"weight": 1.0, "samples": 3}})
    whole = run_phase(bank, recipe)
    for step in (1, 4, 8, 11):
        path = tmp_path / f"{step}.safetensors"
        with pytest.raises(KeyboardInterrupt):
            run_phase(bank, recipe, InterruptAt(path, step))
        torch.manual_seed(999)
        assert equal_states(run_phase(bank, recipe, StateFile(path)), whole)


def test_an_interrupt_while_dev_is_measured_loses_nothing(tmp_path):
    bank = small_bank()
    whole = run_phase(bank, small_recipe())
    calls = []

    def measure(model):
        calls.append(1)
        if len(calls) == 2:
            raise Interrupted(signal.SIGTERM)
        return dev_metrics_on(bank, CPU)(model)

    saver = StateFile(tmp_path / "state.safetensors")
    with pytest.raises(KeyboardInterrupt):
        run_phase(bank, small_recipe(), saver, measure)
    state = Trainer(small_recipe(), bank).start()
    saver.restore(state, CPU)
    assert (state.epoch, state.step) == (1, 14)  # every step of the second epoch is done
    assert equal_states(run_phase(bank, small_recipe(), saver), whole)


def state_file(folder: Path) -> Path | None:
    return next(folder.glob(".resume/train-small-a-*/state.*.safetensors"), None)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with inputs, and what an undisturbed run of the stage makes of them."""
    folder = tmp_path_factory.mktemp("trained")
    bank = make_bank({"train": [200] * 16, "dev": [30] * 3, "val": [30] * 3, "ood": [30] * 3}, dimension=16)
    write_inputs(folder, bank, small_recipe(train={"epochs": {"a": 4, "b": 1, "c": 1}}))
    assert run_stage(STAGE, folder).returncode == 0
    expected = contents(folder / "data/phases/a/small")
    assert "optimizer.safetensors" in expected
    return folder, expected


def fresh_copy(folder: Path, tmp_path: Path) -> Path:
    """The same inputs without outputs."""
    copy = tmp_path / "copy"
    for name in ("bank", "recipes", "curriculum"):
        (copy / "data").mkdir(parents=True, exist_ok=True)
        (copy / "data" / name).symlink_to(folder / "data" / name)
    return copy


def test_a_signal_ends_training_soon_and_the_next_run_goes_on(trained, tmp_path):
    folder, expected = trained
    copy = fresh_copy(folder, tmp_path)
    seen = b""
    for number in (signal.SIGINT, signal.SIGTERM):
        process = fork_stage(STAGE, copy)
        if seen:
            assert re.search(r"going on after epoch \d, step \d+", process.stdout.readline())
        wait_for(lambda: list(copy.glob(".resume/train-small-a-*")), process)
        time.sleep(0.3)  # somewhere in the phase
        interrupt(process, number)
        assert not (copy / "data/phases").exists()
        path = state_file(copy)
        assert path
        assert path.read_bytes() != seen
        seen = path.read_bytes()

    assert "going on after epoch" in finish(fork_stage(STAGE, copy))
    assert contents(copy / "data/phases/a/small") == expected
    assert not (copy / ".resume").exists()


def test_killed_again_and_again_training_ends_with_the_same_bytes(trained, tmp_path):
    folder, expected = trained
    copy = fresh_copy(folder, tmp_path)
    seen = b""
    for _ in range(2):
        process = fork(SAVES_OFTEN, copy)

        def saved_anew(before=seen):
            path = state_file(copy)
            return path is not None and path.read_bytes() != before

        wait_for(saved_anew, process)
        process.kill()
        process.communicate()
        path = state_file(copy)
        assert path
        seen = path.read_bytes()
    assert "going on after epoch" in finish(fork(SAVES_OFTEN, copy))
    assert contents(copy / "data/phases/a/small") == expected


def test_a_state_is_keyed_by_everything_that_shapes_the_phase(tmp_path, monkeypatch):
    bank, recipe = small_bank(), small_recipe()
    (tmp_path / "before").mkdir()
    (tmp_path / "articles").write_text("dev here")
    (tmp_path / "before/last.safetensors").write_bytes(b"x")
    monkeypatch.setattr(phases, "ARTICLES", tmp_path / "articles")

    targets = bank.targets("train")

    def key(recipe=recipe, bank=bank, phase="b", targets=targets, ranks=ALONE):
        return phases.phase_key(Trainer(recipe, bank, ranks), phase, targets, tmp_path / "before")

    keys = [key()]
    assert key() == keys[0]
    changes: list[tuple[str, Any]] = [
        ("recipe", small_recipe(train={"lr": 0.003})),
        ("recipe", small_recipe(seed=1)),
        ("recipe", small_recipe(losses={"mse": 2.0})),
        ("recipe", small_recipe(precision="bf16")),
        ("phase", "c"),
        ("bank", small_bank(seed=1)),
        ("targets", targets[1:]),
        ("ranks", Ranks(0, 2)),
    ]
    keys += [key(**{name: value}) for name, value in changes]
    (tmp_path / "before/last.safetensors").write_bytes(b"y")
    keys.append(key())
    (tmp_path / "articles").write_text("dev there")
    keys.append(key())
    torch.set_num_threads(torch.get_num_threads() + 1)
    keys.append(key())
    torch.set_num_threads(torch.get_num_threads() - 1)
    assert len(set(keys)) == len(keys)


def test_a_damaged_state_is_no_state(tmp_path, capsys):
    bank, recipe = small_bank(), small_recipe()
    with pytest.raises(KeyboardInterrupt):
        run_phase(bank, recipe, InterruptAt(tmp_path / "state.safetensors", 5))
    (saved,) = tmp_path.iterdir()
    content = bytearray(saved.read_bytes())
    content[len(content) // 2] ^= 1
    saved.write_bytes(content)
    state = Trainer(recipe, bank).start()
    assert not StateFile(tmp_path / "state.safetensors").restore(state, CPU)
    assert "saved work is damaged and will be done again" in capsys.readouterr().err
    assert not saved.exists()


def test_a_damaged_part_is_made_again(tmp_path):
    made = []

    def make():
        made.append(1)
        return np.arange(5)

    for damage in (None, b"", b"\x00" * 200):
        if damage is not None:
            next(tmp_path.iterdir()).write_bytes(damage)
        assert saved_array(tmp_path / "part.npy", make).tolist() == [0, 1, 2, 3, 4]
        assert saved_array(tmp_path / "part.npy", make).tolist() == [0, 1, 2, 3, 4]
    assert len(made) == 3


def test_a_full_disk_does_not_end_training_nor_lose_an_import(tmp_path, monkeypatch, capsys):
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    saver = StateFile(tmp_path / "state.safetensors")
    saver._due = 0.0
    state = Trainer(small_recipe(), small_bank()).start()
    monkeypatch.setattr("lvm_core.runtime.files._fsync", full)
    saver.now_and_then(state)
    assert "the state was not saved" in capsys.readouterr().err
    root = tmp_path / ".resume"
    with suppress(LvmError), progress_folder("import_vectors", "0" * 64, root, keep_after_error=False) as folder:
        (folder / "part").write_text("x")
        write_text(folder / "other", "y")
    assert (folder / "part").exists()
    with suppress(LvmError), progress_folder("import_vectors", "0" * 64, root, keep_after_error=False):
        raise LvmError("the file is damaged")
    assert not root.exists()


def test_two_processes_are_not_at_the_same_work(tmp_path):
    busy = rf"train-x-a\.lock: process {os.getpid()} is still at this work"
    with progress_folder("train-x-a", "0" * 64, tmp_path):
        with pytest.raises(LvmError, match=busy), progress_folder("train-x-a", "1" * 64, tmp_path):
            pass
        with progress_folder("train-x-b", "0" * 64, tmp_path):
            pass


def test_progress_is_kept_on_failure_and_removed_at_success(tmp_path):
    root = tmp_path / ".resume"
    for key in ("a" * 64, "b" * 64):
        with suppress(RuntimeError), progress_folder("embed", key, root) as folder:
            (folder / "part").write_text("x")
            raise RuntimeError
    assert sorted(path.name for path in root.glob("embed-*")) == [f"embed-{'a' * 16}", f"embed-{'b' * 16}"]
    with progress_folder("embed", "b" * 64, root) as folder:
        assert (folder / "part").exists()
    assert not root.exists()


def test_a_fingerprint_tells_parts_apart():
    assert fingerprint("ab", "c") != fingerprint("a", "bc") != fingerprint("abc")
    assert fingerprint(1, "x") == fingerprint(1, "x")
