"""The page of `dvc plots show` on the committed results: every chart is drawn, without a network."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from tests.needs import demand
from tests.paths import ROOT
from tools.browser import find_browser
from tools.environment import VEGA


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plots")
    (folder / ".venv").mkdir()
    subprocess.run([sys.executable, "-c", VEGA, str(folder / ".venv/vega.js")], check=True)
    shown = ["dvc", "plots", "show", "--out", str(folder / "dvc_plots")]
    done = subprocess.run(shown, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "failed" not in done.stderr
    return folder / "dvc_plots/index.html"


def test_every_plot_is_drawn_without_a_network(page_file):
    demand("browser")
    from playwright.sync_api import sync_playwright

    wanted = [name for plot in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"] for name in plot]
    said, asked = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser())
        page = browser.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(page_file.as_uri())
        page.wait_for_function(f"document.querySelectorAll('svg.marks').length >= {len(wanted)}", timeout=60_000)
        shown = page.eval_on_selector_all("svg.marks", "all => all.map(one => one.textContent)")
        marks = page.eval_on_selector_all("svg.marks", "all => all.map(one => one.querySelectorAll('path').length)")
        browser.close()
    assert len(shown) == len(wanted)
    assert all(title in text for title, text in zip(wanted, shown, strict=True))
    assert all(number > 10 for number in marks)
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
