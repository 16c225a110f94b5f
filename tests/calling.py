"""Running a stage's script as `python -m` does, in this process: a new one takes seconds to import torch."""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import shlex
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import yaml

from lvm_core.config.params import read_params
from lvm_core.config.resolve import settings_of
from lvm_core.runtime.files import write_text
from lvm_core.runtime.hardware import use_threads
from lvm_core.runtime.sources import stage_scripts
from tests.paths import ROOT

COMMON = {
    **{"profile": "default", "profiles": {"default": {}}, "seed": 3, "threads": 1},
    **{"precision": "auto", "device": "cpu", "launch": "python", "pos_scalar": 0.0},
}
"""Values of params.yaml that every stage checks."""


@dataclass
class Done:
    """How a stage ended."""

    returncode: int
    stdout: str
    stderr: str


def run_stage(arguments: list[str], folder: Path) -> Done:
    """Run `python -m <arguments>` in `folder`; afterwards the process has one thread again."""
    module, *rest = arguments
    out, err = io.StringIO(), io.StringIO()
    before, argv = Path.cwd(), sys.argv
    code = 0
    os.chdir(folder)
    sys.argv = [module, *rest]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*found in sys.modules", category=RuntimeWarning)
            runpy.run_module(module, run_name="__main__")
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        os.chdir(before)
        sys.argv = argv
        use_threads(1)
    return Done(code, out.getvalue(), err.getvalue())


def run_line(command: str, folder: Path) -> Done:
    """The same, of a whole command line, as dvc.yaml and the documents have it."""
    python, flag, *arguments = shlex.split(command)
    assert (python, flag) == ("python", "-m"), command
    return run_stage(arguments, folder)


def settle(folder: Path, stage: str, recipe: str | None = None) -> None:
    """Write what the stage reads of the params.yaml in `folder`, as the stage `resolve` does."""
    settings = settings_of(read_params(folder / "params.yaml"), stage, recipe)
    name = f"{stage}/{recipe}.yaml" if recipe else f"{stage}.yaml"
    write_text(folder / "data/settings" / name, yaml.safe_dump(settings))


def list_code(folder: Path) -> None:
    """Write a listing for each stage's script, as the stage `sources` does, in a folder without code."""
    for script in stage_scripts(ROOT):
        write_text(folder / f"data/sources/{script}.txt", f"{script}\n")


def one_clear_line(done: Done) -> str:
    """The stage's only line on stderr, which must be an error with exit code 1."""
    lines = [line for line in done.stderr.splitlines() if line]
    assert done.returncode == 1
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]
