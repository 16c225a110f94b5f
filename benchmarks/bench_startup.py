"""How much of a `dvc repro` is not computing: start of processes, imports, DVC's own bookkeeping."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.report import Line, at_most
from benchmarks.subprocesses import ROOT
from tests.forms import write_samples

ONE_RECIPE = {"names": ["p1"], "time_direction": [], "train.seeds": [], "train.repeat": [], "service.models": []}
LAST = "evaluate@p1"
"""Everything from the text to the figures of one recipe."""


def measure(quick: bool) -> Iterator[Line]:
    """The one line; `quick` with the small corpus of the quick profile."""
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        (clone / "dvc.lock").unlink()
        _set(clone, ONE_RECIPE | {"profile": "quick" if quick else "default"})
        seconds, stages = _repro(clone)
        # The same stages over next to nothing: what they take then is what starting them takes, at most.
        (clone / "dvc.lock").unlink()
        write_samples(clone)
        vectors = {"data.kind": "vectors", "data.train": "sequences_train.npz", "data.ood": "sequences_ood.npz"}
        _set(clone, ONE_RECIPE | vectors | {"profile": "quick"})
        little, again = _repro(clone)
    if stages != again:
        raise RuntimeError(f"{stages} stages ran, and then {again}")
    yield at_most(
        "start-up: share of `dvc repro` that is not computing",
        little / seconds,
        0.1,
        f"the {stages} stages from text to the figures of p1, over next to nothing, over the same on the whole corpus",
        f"{little:.0f} s ({little / stages:.1f} s a stage: processes, imports, DVC) against {seconds:.0f} s",
    )


def _set(clone: Path, values: Mapping[str, object]) -> None:
    """Write these values into the clone's params.yaml."""
    import yaml

    subprocess.run(["git", "-C", str(clone), "checkout", "--quiet", "params.yaml"], check=True)
    path = clone / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key, value in values.items():
        *groups, last = key.split(".")
        part = params
        for group in groups:
            part = part[group]
        part[last] = value
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def _repro(clone: Path) -> tuple[float, int]:
    """Seconds of a `dvc repro` of one recipe from nothing, and the number of stages it ran.

    Raises:
        RuntimeError: it failed (with its last lines).
    """
    for folder in (".dvc/cache", ".dvc/tmp", "data/bank", "data/models"):
        shutil.rmtree(clone / folder, ignore_errors=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(clone)}
    start = time.perf_counter()
    done = subprocess.run(
        ["dvc", "repro", LAST], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError("\n".join(done.stderr.splitlines()[-5:]))
    return seconds, done.stdout.count("Running stage '")
