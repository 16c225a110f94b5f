"""tools/environment.py: an environment that is out of date is made anew as a whole, and nothing else renews it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT
from tools import environment


class Recorded:
    """Stands for the commands that make the environment; one of them may fail."""

    def __init__(self, failing: str = "", error: BaseException | None = None) -> None:
        self.failing, self.error = failing, error
        self.commands: list[str] = []

    def __call__(self, command):
        line = " ".join(command)
        self.commands.append(line)
        if self.error and self.failing in line:
            raise self.error
        if "-m venv" in line:
            Path(".venv/bin").mkdir(parents=True)
            Path(".venv/bin/python").touch()
        elif "requirements.txt" in line:
            Path(".venv/of-this-time").touch()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    for name in (*environment.REQUIREMENTS, "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert environment.main(Recorded()) == 0
    return tmp_path


def commands_now() -> list[str]:
    recorded = Recorded()
    assert environment.main(recorded) == 0
    return recorded.commands


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_an_environment_that_is_up_to_date_is_left_alone(checkout):
    assert commands_now() == []
    os.utime("requirements.txt")
    append(checkout / "pyproject.toml", "\n[tool.another]\nsetting = 1\n")
    assert commands_now() == []


def test_everything_is_pinned_and_the_project_s_own_code_is_used_where_it_lies(checkout):
    shutil.rmtree(".venv")
    venv, torch, others, own, check, vega = commands_now()
    assert venv.endswith("-m venv .venv")
    assert torch.endswith("--no-deps -r requirements-torch.txt")
    assert others.endswith("--no-deps --require-hashes -r requirements.txt")
    assert own.endswith("--no-deps --no-build-isolation -e .")
    assert check.endswith("pip check")
    assert vega.endswith(".venv/vega.js")


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-torch.txt", "pyproject.toml"])
def test_an_outdated_one_is_removed_before_anything_is_installed(name, checkout, capsys):
    text = (checkout / name).read_text()
    (checkout / name).write_text(
        text.replace('"numpy>=2"', '"numpy>=2.1"') if name.endswith("toml") else text + "# x\n"
    )
    (checkout / ".venv/of-another-time").touch()
    assert len(commands_now()) == 6
    assert not (checkout / ".venv/of-another-time").exists()
    assert "is made anew" in capsys.readouterr().out
    assert commands_now() == []


@pytest.mark.parametrize("damage", [".venv/.installed", ".venv/bin/python"])
def test_one_that_is_not_whole_is_made_anew(damage, checkout):
    (checkout / damage).unlink()
    assert len(commands_now()) == 6


@pytest.mark.parametrize(
    ("error", "code"),
    [(subprocess.CalledProcessError(2, "pip"), 2), (KeyboardInterrupt(), 130)],
    ids=["fails", "ctrl-c"],
)
@pytest.mark.parametrize("failing", ["-m venv", "torch", "--require-hashes", "-e .", "pip check", "vega.js"])
def test_an_unfinished_installation_is_not_taken_for_a_finished_one(failing, error, code, checkout):
    """Not even if what it is made from is afterwards as it was before."""
    before = (checkout / "requirements.txt").read_text()
    append(checkout / "requirements.txt", "# another version\n")
    assert environment.main(Recorded(failing, error)) == code
    (checkout / "requirements.txt").write_text(before)
    assert len(commands_now()) == 6


def test_trouble_is_one_clear_line(checkout, capsys):
    (checkout / "pyproject.toml").write_text("[")
    assert environment.main(Recorded()) == 1
    (checkout / "requirements.txt").unlink()
    assert environment.main(Recorded()) == 1
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == ["error", "error"]


def test_a_python_that_is_too_old_is_named(checkout, monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))
    assert environment.main(Recorded()) == 1
    assert capsys.readouterr().err.startswith("error: Python 3.11 or newer is needed, this is ")


def test_make_asks_for_the_environment_before_everything_that_needs_it(tmp_path):
    """With a Python of another name, which make is told of, and with none."""
    command = ["make", "--dry-run", "--directory", str(ROOT), "test", "PYTHON=another-python"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    (first, *others) = [line for line in lines if not line.startswith("make")]
    assert first == "another-python tools/environment.py"
    assert [line for line in others if line.startswith("python -m pytest")]
    done = subprocess.run([*command[:-1], "PYTHON="], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Python 3.11 or newer was not found" in done.stderr
