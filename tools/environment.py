"""The virtual environment .venv, as requirements*.txt and pyproject.toml ask for it: `python tools/environment.py`.

Nothing happens if it is up to date. If what it is made from has changed, or an installation was interrupted, it is
removed and made anew as a whole: a half-updated one would hold packages that nobody has tested together.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ENVIRONMENT = Path(".venv")
INSTALLED = ENVIRONMENT / ".installed"
"""Written last: the key of what is installed."""
REQUIREMENTS = ("requirements-torch.txt", "requirements.txt")
OF_THE_PACKAGE = ("build-system", "project")
"""The parts of pyproject.toml that an installation depends on; settings of ruff, mypy and pytest are none."""

VEGA = "import sys, vl_convert; open(sys.argv[1], 'w').write(vl_convert.javascript_bundle(vl_version='5.20'))"
"""Writes the scripts that the page of `dvc plots show` draws with (.dvc/plots.html)."""


def main(run: Callable[[Sequence[str]], object] = subprocess.check_call) -> int:
    """Make the environment in the working directory if it is not up to date; the exit code."""
    if sys.version_info < (3, 11):  # noqa: UP036 - the system's Python, which may be an older one
        print(f"error: Python 3.11 or newer is needed, this is {sys.version.split()[0]}", file=sys.stderr)
        return 1
    try:
        wanted = key(Path())
        if is_whole(wanted):
            return 0
        if ENVIRONMENT.exists():
            print(f"{ENVIRONMENT} is out of date or was left unfinished: it is made anew", flush=True)
            INSTALLED.unlink(missing_ok=True)  # first: an interruption must not leave a part that looks whole
            shutil.rmtree(ENVIRONMENT)
        for command in commands():
            run(command)
        INSTALLED.write_text(wanted + "\n", encoding="utf-8")
    except subprocess.CalledProcessError as error:  # it has said why
        return int(error.returncode)
    except (OSError, ValueError, KeyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def is_whole(wanted: str) -> bool:
    """Whether an environment of this key is there, and its Python (which is a link to the system's)."""
    there = INSTALLED.is_file() and (ENVIRONMENT / "bin/python").exists()
    return there and INSTALLED.read_text(encoding="utf-8").strip() == wanted


def key(folder: Path) -> str:
    """A hash of everything the environment is made from, the place and Python's version included."""
    import tomllib

    package = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    made_from = [
        [(folder / name).read_text(encoding="utf-8") for name in REQUIREMENTS],
        {part: package[part] for part in OF_THE_PACKAGE},
        [str(folder.resolve()), *sys.version_info[:2]],  # scripts of an environment name its place
    ]
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


def commands() -> list[list[str]]:
    """What makes the environment, in order."""
    activated = sys.prefix != sys.base_prefix  # then this Python goes with the environment that is removed
    python = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}") if activated else Path(sys.executable)
    pip = [str(ENVIRONMENT / "bin/python"), "-m", "pip"]
    install = [*pip, "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    return [
        [str(python), "-m", "venv", str(ENVIRONMENT)],
        [*install, "-r", "requirements-torch.txt"],
        [*install, "--require-hashes", "-r", "requirements.txt"],
        [*install, "--no-build-isolation", "-e", "."],
        [*pip, "check"],
        [str(ENVIRONMENT / "bin/python"), "-c", VEGA, str(ENVIRONMENT / "vega.js")],
    ]


if __name__ == "__main__":
    raise SystemExit(main())
