"""Commands of a user, run by a shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.warm import commands


def environment(*, warm: bool = False) -> dict[str, str]:
    """This environment, activated; Python keeps what it compiles, as it does for users.

    Args:
        warm: whether DVC and the stages are forked from a process that has the libraries already.
    """
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    path = [*([commands()] if warm else []), str(Path(sys.executable).parent), os.environ["PATH"]]
    return kept | {"PATH": os.pathsep.join(path)}


def sh(command: str, cwd: Path, *, ok: bool = True, warm: bool = False) -> str:
    """Run a shell command as a user would in the activated environment; its output, both streams.

    Args:
        command: to run.
        cwd: where.
        ok: whether it must succeed, or must fail.
        warm: see `environment`.

    Raises:
        AssertionError: it did not end as it should, or one of its processes warned of our own code.
    """
    done = subprocess.run(
        f"({command}) 2>&1",
        shell=True,
        cwd=cwd,
        text=True,
        env=environment(warm=warm),
        stdout=subprocess.PIPE,
        check=False,
    )
    assert (done.returncode == 0) == ok, done.stdout
    assert not own_warnings(done.stdout), own_warnings(done.stdout)
    return done.stdout


def own_warnings(output: str) -> list[str]:
    """Lines by which Python warns of a line of this project: pytest makes errors of them in its own process alone."""
    return re.findall(r"^.*\b(?:lvm_core|stages|tools)/[\w/]+\.py:\d+: \w*Warning: .*$", output, re.MULTILINE)


def stages_run(output: str) -> set[str]:
    """Stages that DVC says it ran."""
    return set(re.findall(r"Running stage '([^']+)'", output))
