"""Commands of a user, run by a shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path


def environment() -> dict[str, str]:
    """This environment, activated; Python keeps what it compiles, as it does for users."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def sh(command: str, cwd: Path, *, ok: bool = True) -> str:
    """Run a shell command as a user would in the activated environment; its output, both streams.

    Raises:
        AssertionError: it did not end as it should, or one of its processes warned of our own code.
    """
    done = subprocess.run(
        f"({command}) 2>&1",
        shell=True,
        cwd=cwd,
        text=True,
        env=environment(),
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
