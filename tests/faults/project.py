"""A small project, run by the real DVC: little text, one recipe, one or two epochs a phase."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.paths import ROOT
from tests.pipeline import ELSEWHERE, HOME, change_params, write_texts
from tests.shell import environment

INJECT = Path(__file__).parent / "inject"

SMALL = {
    **{"profile": "default", "names": ["p1"], "threads": 1, "time_direction": [], "service": {"models": []}},
    **{"data": {"train": HOME, "ood": ELSEWHERE}, "curriculum": {"min_windows": 1}},
    "encoder": {"batch_size": 8},  # a saved part every 64 chunks
    "train": {"epochs": {"a": 2, "b": 1, "c": 1}, "seeds": [], "repeat": []},
    "evaluate": {"full_bank": False, "contrastive_targets": 0},
}
"""Parameters of the small project: every stage runs, but for further seeds and reversed articles."""

FAULT_PROFILE = ("train_a@p1",)
"""Targets of `dvc repro` that are run again and again: text, embedding, scores, curriculum, training; half a minute."""


def make_project(folder: Path, changes: Mapping[str, Any] = SMALL) -> None:
    """A clone with some other parameters and two folders of texts, in which nothing has run."""
    _run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder)], ROOT)
    edits = subprocess.run(["git", "diff", "--binary", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["git", "apply", "--allow-empty"], cwd=folder, input=edits, check=True)
    change_params(folder, changes)
    (folder / "dvc.lock").unlink()
    write_texts(folder / HOME, 0, articles=8, paragraphs=12)
    write_texts(folder / ELSEWHERE, 15, articles=3, paragraphs=12)
    _run(["git", "config", "user.name", "faults"], folder)
    _run(["git", "config", "user.email", "faults@localhost"], folder)
    _run(["git", "add", "--all"], folder)
    _run(["git", "commit", "--quiet", "--message", "a small project"], folder)


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True)


@dataclass(frozen=True)
class Undisturbed:
    """A run that nothing disturbed.

    Attributes:
        targets: of `dvc repro`; none: the whole pipeline.
        seconds: that it took.
        results: of all stages, see `results`.
    """

    targets: tuple[str, ...]
    seconds: float
    results: dict[str, str]


def run_undisturbed(folder: Path, *targets: str) -> Undisturbed:
    """Run `dvc repro` in a project.

    Raises:
        AssertionError: it fails, or leaves something behind.
    """
    start = time.monotonic()
    finish_repro(folder, *targets)
    seconds = time.monotonic() - start
    assert not leftovers(folder), leftovers(folder)
    return Undisturbed(targets, seconds, results(folder))


def hear_ctrl_c() -> None:
    """Let SIGINT reach what is started from here on, as in a terminal.

    What a shell starts in the background (`&`) ignores it, and so does everything that is started from there: DVC would
    never hear a Ctrl-C, and a stage only from the moment on that it asks for it.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


def start_repro(
    folder: Path,
    *targets: str,
    fault: Mapping[str, Any] | None = None,
    prefix: tuple[str, ...] = (),
    warm: bool = False,
) -> subprocess.Popen[str]:
    """Start `dvc repro` in a process group of its own; its output goes to `<folder>.log`.

    Args:
        folder: of the project.
        targets: stages; none: the whole pipeline.
        fault: for `inject/sitecustomize.py`.
        prefix: a command that starts it.
        warm: see `tests.shell.environment`; not for what is to be killed.
    """
    return _start(folder, (*prefix, "dvc", "repro", *targets), fault, warm=warm)


def start_mending(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start `tools/mend.py` likewise."""
    return _start(folder, (sys.executable, "tools/mend.py", *arguments), None)


def _start(
    folder: Path, command: tuple[str, ...], fault: Mapping[str, Any] | None, *, warm: bool = False
) -> subprocess.Popen[str]:
    variables = environment(warm=warm) | {"PYTHONPATH": str(folder)}
    if fault is not None:
        variables["PYTHONPATH"] = f"{INJECT}{os.pathsep}{folder}"
        variables["FAULT"] = json.dumps(dict(fault))
    with open(log_of(folder), "a", encoding="utf-8") as log:
        return subprocess.Popen(
            command, cwd=folder, env=variables, text=True, stdout=log, stderr=log, start_new_session=True
        )


def log_of(folder: Path) -> Path:
    """Where the output of the runs in a project goes."""
    return folder.with_name(f"{folder.name}.log")


def finish_repro(folder: Path, *targets: str, warm: bool = False) -> bool:
    """Run `dvc repro` to its end, as a user would after a fault; whether `tools/mend.py` had to be run before.

    Raises:
        AssertionError: it fails all the same (says how).
    """
    before = log_of(folder).stat().st_size if log_of(folder).exists() else 0
    if start_repro(folder, *targets, warm=warm).wait() == 0:
        return False
    said = log_of(folder).read_text()[before:]
    assert "Traceback" not in said, said[-3000:]
    assert start_mending(folder).wait() == 0, log_of(folder).read_text()[-3000:]
    assert start_repro(folder, *targets, warm=warm).wait() == 0, log_of(folder).read_text()[-5000:]
    return True


def results(folder: Path) -> dict[str, str]:
    """Hash of every output of every stage: as DVC noted it, and of the file that lies there."""
    lock = yaml.load((folder / "dvc.lock").read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    found = {}
    for stage, entry in lock["stages"].items():
        for out in entry.get("outs", ()):
            found[f"{stage}: {out['path']}"] = f"{out['md5']} {_hash(folder / out['path'])}"
    return found


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Outputs that only one of them has, or that differ."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def _hash(path: Path) -> str:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(path.parent)} {file.stat().st_size}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def leftovers(folder: Path) -> list[str]:
    """Files that a run should not leave: half-written ones, and saved work."""
    names = [path for path in folder.rglob("*") if path.name.endswith((".part", ".old", ".loose"))]
    places = [path for path in names if ".dvc" not in path.parts and ".git" not in path.parts]
    return [str(path.relative_to(folder)) for path in [*places, *folder.glob(".resume/*")]]
