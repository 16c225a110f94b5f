"""An import that is killed or interrupted goes on from its finished parts and ends with the same bytes."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pytest

from lvm_core.runtime.interrupts import MESSAGE
from tests.forms import sample, set_data
from tests.processes import SOON, Forked, fork, wait_for
from tests.processes import finish as finished

pytestmark = pytest.mark.xdist_group("forked")

# The stage with small parts, made slowly enough to be hit between them; at its end it tells how many it made.
SLOW = """
import runpy, sys, time
import lvm_core.importers.sources as sources
made = []
def slowly(saved_array):
    def call(path, make):
        def counted():
            made.append(path)
            time.sleep({delay})
            return make()
        return saved_array(path, counted)
    return call
sources.BLOCK_BYTES = 20_000
sources.saved_array = slowly(sources.saved_array)
sys.argv = ["stages.import_vectors"]
runpy.run_module("stages.import_vectors", run_name="__main__")
print("made", len(made))
"""
PARTS = {"scan": 30, "rows": 8}
"""Parts at least of each kind."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A folder with a compressed file of windows, and what an undisturbed import makes of it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    data = sample([300] * 8)
    rows = (np.arange(5, 300)[None] + 300 * np.arange(8)[:, None]).ravel()
    np.savez_compressed(
        folder / "w.npz",
        contexts=data.vectors[rows[:, None] + np.arange(-5, 0)] * np.float32(1.5),
        targets=data.vectors[rows] * np.float32(1.5),
        article_ids=data.article[rows],
        target_indices=data.chunk[rows],
    )
    set_data(folder, "w.npz", None)
    output = finish(folder)
    return folder, contents(folder), made(output)


def start(folder: Path, delay: float) -> Forked:
    return fork(SLOW.format(delay=delay), folder)


def finish(folder: Path) -> str:
    return finished(start(folder, 0.0))


def made(output: str) -> int:
    return int(output.split("made ")[1])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "data/imported").iterdir()}


def parts(folder: Path, kind: str) -> int:
    return len(list(folder.glob(f".resume/import_vectors-*/{kind}-*.npy")))


def stop_at(folder: Path, kind: str, number: int) -> Forked:
    """Start the import and send it a signal once three parts of a kind are finished."""
    process = start(folder, 0.05)
    wait_for(lambda: parts(folder, kind) >= 3, process)
    process.send_signal(number)
    return process


@pytest.mark.parametrize("kind", ["scan-train", "rows-train"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_it_goes_on_from_its_parts(undisturbed, tmp_path, kind, number):
    folder, expected, all_parts = undisturbed
    for name in ("w.npz", "params.yaml"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    process = stop_at(tmp_path, kind, number)
    signalled = time.monotonic()
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - signalled < SOON
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number
        assert errors.splitlines()[-1] == MESSAGE
        assert "Traceback" not in errors
    assert not (tmp_path / "data/imported").exists()
    there = parts(tmp_path, "scan-train") + parts(tmp_path, "rows-train")
    assert made(finish(tmp_path)) == all_parts - there > 0
    assert contents(tmp_path) == expected
    assert not (tmp_path / ".resume").exists()
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["imported"]


def test_a_changed_file_is_imported_afresh(undisturbed, tmp_path):
    folder, _, all_parts = undisturbed
    (tmp_path / "params.yaml").write_bytes((folder / "params.yaml").read_bytes())
    with np.load(folder / "w.npz") as file:
        members = dict(file)
    (tmp_path / "w.npz").write_bytes((folder / "w.npz").read_bytes())
    stop_at(tmp_path, "rows-train", signal.SIGKILL).communicate(timeout=30)
    turned = {name: -members[name] for name in ("contexts", "targets")}
    np.savez_compressed(tmp_path / "w.npz", **members | turned)
    assert made(finish(tmp_path)) == all_parts
    np.testing.assert_allclose(
        np.load(tmp_path / "data/imported/vectors.npy"), -np.load(folder / "data/imported/vectors.npy"), atol=1e-7
    )
    assert not (tmp_path / ".resume").exists()
