from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import pytest
import torch
from hypothesis import settings

from tests import needs
from tests.paths import ROOT

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    from tests.service_server import Running

torch.set_num_threads(1)  # two threads waiting for each other on a busy machine slow tiny models tenfold
# The machine is shared: a slow example is no failure; the same examples at every run.
settings.register_profile("lvm", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("lvm")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, so that the others fit beside them."""
    items.sort(key=_turn)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """A file is tested in one process, as is a group of files that need the same costly fixture: it is made once.

    (pytest-xdist's own groups, by `pytest.mark.xdist_group`, are lost on pytest 9.2, which keeps the names of tests to
    itself.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(ROOT / nodeid.split("::")[0])

    return ByGroup(config, log)


@cache
def group_of(file: Path) -> str:
    """The group that a file of tests names, else its own."""
    found = re.search(r'xdist_group\("(\w+)"\)', file.read_text(encoding="utf-8"))
    return found[1] if found else file.stem


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a program that is not here, before any fixture is made."""
    for mark in item.iter_markers("needs"):
        needs.demand(*mark.args)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """The last lines: what was skipped for want of a program, and how to get it."""
    yield
    for line in needs.summary(terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(line, yellow=True)


def _turn(item: pytest.Item) -> tuple[bool, bool]:
    return item.get_closest_marker("e2e") is None, item.get_closest_marker("xdist_group") is None


@pytest.fixture(scope="session")
def text_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the whole pipeline has run on texts, to read from."""
    from tests.pipeline import from_texts

    folder = tmp_path_factory.mktemp("texts")
    from_texts(folder)
    return folder


@pytest.fixture(scope="session")
def vector_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, on vectors."""
    from tests.pipeline import from_vectors

    folder = tmp_path_factory.mktemp("vectors")
    from_vectors(folder)
    return folder


@pytest.fixture(scope="session")
def trained_ladder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three trained recipes, for the tests of the ladder."""
    from tests.ladder_run import leave_trained

    folder = tmp_path_factory.mktemp("ladder")
    leave_trained(folder)
    return folder


@pytest.fixture
def place(trained_ladder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, to work in."""
    shutil.copytree(trained_ladder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def second_attempts(trained_ladder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What becomes of its recipe `second` and its retries."""
    from tests.ladder_run import SECOND, go_up

    folder = tmp_path_factory.mktemp("attempts")
    shutil.copytree(trained_ladder, folder, dirs_exist_ok=True)
    with contextlib.chdir(folder):
        attempts: dict[str, Any] = go_up(SECOND)["attempts"]
    return attempts


@pytest.fixture(scope="session")
def service_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bank of real sentences and a small model, `bank` and `models/small`, for the service."""
    from tests.service_server import write_small

    folder = tmp_path_factory.mktemp("service")
    write_small(folder)
    return folder


@pytest.fixture(scope="session")
def service(service_folder: Path) -> Iterator[Running]:
    """The service of that folder, running."""
    from tests.service_server import serving

    with serving(service_folder) as running:
        yield running
