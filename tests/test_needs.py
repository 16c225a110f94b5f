"""Without a browser and curl the tests of the page and of docs/service.md are skipped, and the end says so."""

from __future__ import annotations

import os
import sys

import pytest
from playwright.sync_api import Error, sync_playwright

from tests.needs import NO_SKIP
from tests.paths import ROOT
from tests.processes import finish, fork
from tools import browser, screenshots

TESTS = ("tests/test_service_page.py", "tests/test_service_readme.py")


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A PATH with `python` alone, and no browser elsewhere."""
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin/python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.delenv(NO_SKIP, raising=False)
    return tmp_path


TWICE = f"""
import os, pytest
for name in ("CHROMIUM", "{NO_SKIP}"):
    os.environ.pop(name, None)
arguments = ["-n", "0", "-p", "no:cacheprovider", "-m", "needs", *{TESTS}]
pytest.main(arguments)
print("{NO_SKIP}")
os.environ["{NO_SKIP}"] = "1"
pytest.main(arguments)
"""
"""The tests that need a browser or curl, as they are, then where everything has to be tested: one start for both."""


def test_they_are_skipped_with_the_remedy_in_the_last_lines_or_fail_where_everything_has_to_be_tested(bare):
    said = finish(fork(TWICE, ROOT, **os.environ))
    skipping, failing = [text.strip().splitlines() for text in said.split(f"\n{NO_SKIP}\n")]
    *_, first, second, end = skipping
    of_browser, of_curl = int(first.split()[0]), int(second.split()[0])
    assert first == f"{of_browser} tests not tested, there is no browser; get one: {browser.REMEDY}"
    assert second == f"{of_curl} tests not tested, there is no curl; get one: apt-get install curl"
    assert f" {of_browser + of_curl} skipped, " in end
    assert not any(word in end for word in ("passed", "failed", "error"))

    *lines, end = failing
    assert f" {of_browser + of_curl} errors in " in end
    assert not any(word in end for word in ("passed", "skipped"))
    for what in ("browser", "curl"):
        assert any(f"there is no {what}; get one: " in line for line in lines)


def test_a_browser_is_looked_for_where_one_would_look(bare, monkeypatch):
    for name in ("microsoft-edge", "google-chrome-stable", "google-chrome", "chromium-browser", "chromium"):
        (bare / "bin" / name).touch(0o755)
        assert browser.find_browser() == str(bare / "bin" / name)  # each is preferred to those before
    monkeypatch.setenv("CHROMIUM", "/a/named/one")
    assert browser.find_browser() == "/a/named/one"


def test_playwright_s_own_is_taken_if_it_is_there(bare, tmp_path):
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    assert own.startswith(str(tmp_path))
    os.makedirs(os.path.dirname(own))
    open(own, "w").close()
    assert browser.find_browser() == own


def test_a_browser_that_ends_at_once_is_a_failure_of_the_test(bare, monkeypatch):
    (bare / "bin/chromium").write_text("#!/bin/sh\nexit 1\n")
    (bare / "bin/chromium").chmod(0o755)
    with sync_playwright() as playwright, pytest.raises(Error):
        playwright.chromium.launch(executable_path=browser.find_browser())


def test_pictures_of_the_page_need_one_too(monkeypatch, capsys):
    monkeypatch.setattr(screenshots, "find_browser", lambda: None)
    assert screenshots.main(["http://127.0.0.1:9007", "pictures"]) == 1
    assert capsys.readouterr().err == f"error: there is no browser; get one: {browser.REMEDY}\n"
