"""`make demo`: the committed run's own model over a few articles, and a page that says how few they are."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import threading
import tomllib

import pytest
import yaml
from playwright.sync_api import expect, sync_playwright

from lvm_core.bank import load_bank
from lvm_core.models.checkpoint import load_model
from lvm_core.runtime.readers import read_parquet
from tests.paths import ROOT
from tests.processes import fork_stage
from tests.service_server import EIFFEL, Running
from tests.tour import NOTEBOOK, code_cells, run, stored
from tools import demo
from tools.browser import find_browser

pytestmark = pytest.mark.xdist_group("service")

RUN = {"data/models/selected": ROOT / "demo/selected", "data/calibration/selected.json": ROOT / "demo/calibration.json"}


ARTICLES = 2
"""Of each source, as docs/tour.ipynb has them."""


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    directory = tmp_path_factory.mktemp("demo") / "bank"
    demo.make_bank(directory, ARTICLES)
    return directory


def files_of(path):
    return {file.name: file.read_bytes() for file in (path.iterdir() if path.is_dir() else [path])}


def md5_of(path):
    """As DVC hashes a file or a folder."""
    if path.is_file():
        return hashlib.md5(path.read_bytes()).hexdigest()
    listed = [{"md5": md5_of(file), "relpath": file.name} for file in sorted(path.iterdir())]
    return hashlib.md5(json.dumps(listed).encode()).hexdigest() + ".dir"


def test_model_and_calibration_are_those_of_the_committed_run():
    lock = yaml.load((ROOT / "dvc.lock").read_text(), yaml.CSafeLoader)["stages"].values()
    recorded = {out["path"]: out["md5"] for stage in lock for out in stage.get("outs", [])}
    for made, copied in RUN.items():
        assert md5_of(copied) == recorded[made], "run `python docs/refresh.py`"
        assert not (ROOT / made).exists() or md5_of(ROOT / made) == md5_of(copied)


def test_the_bank_has_whole_articles_that_the_model_was_not_trained_on(bank):
    made = load_bank(bank)
    assert made.info.encoder_sha256 == load_model(demo.MODEL).info.encoder_sha256
    assert made.articles["split"].tolist() == ["val", "val", "ood", "ood"]
    whole = ROOT / "data/bank/articles.parquet"
    if whole.exists():
        known = read_parquet(whole).set_index("article_id")
        there = known.loc[made.articles["article_id"]]
        assert there["split"].tolist() == made.articles["split"].tolist()
        fewer = made.articles["n_chunks"].to_numpy() - there["n_chunks"].to_numpy()
        assert (fewer >= 0).all()
        assert (fewer <= 2).all()  # of a whole corpus, more chunks are duplicates


def test_a_second_start_encodes_nothing(bank, monkeypatch):
    before = files_of(bank)
    monkeypatch.setattr(demo, "Encoder", None)
    demo.make_bank(bank, ARTICLES)
    assert files_of(bank) == before


@pytest.mark.needs("browser")
def test_the_page_says_that_it_is_a_demo_and_answers(bank):
    process = fork_stage(["tools.demo", "--port", "0", "--articles", str(ARTICLES), "--bank", str(bank)], ROOT)
    assert process.stdout is not None
    first = next(line for line in process.stdout if " for http://" in line)
    running = Running(process, int(first.rsplit(":", 1)[1]))
    for stream in (process.stdout, process.stderr):
        threading.Thread(target=list, args=(stream,), daemon=True).start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
            page = browser.new_page()
            page.goto(running.address)
            expect(page.locator("#state")).to_have_text("ready", timeout=60_000)
            chunks = load_bank(bank).info.n_chunks
            expect(page.locator("#notice")).to_contain_text(f"Demo: candidates come from only {chunks} chunks")
            page.locator("#text").fill(EIFFEL)
            page.locator("#send").click()
            expect(page.locator("#answer")).to_contain_text("No confidence", timeout=60_000)
            browser.close()
        assert running.get("/info").json["metrics"].keys() == {"dev", "val", "ood"}  # of the committed run
    finally:
        assert running.stop() == 0


NUMBER = re.compile(r"-?\d+\.\d+")


def test_the_tour_runs_and_prints_what_is_stored_in_it(bank, tmp_path, monkeypatch):
    for name in ("demo", "params.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(bank, tmp_path / "build/demo/tour")
    monkeypatch.chdir(tmp_path)
    notebook = json.loads(NOTEBOOK.read_text())
    for cell, text in zip(code_cells(notebook), run(notebook), strict=True):
        if "make_bank" not in "".join(cell["source"]):  # which says what it has to do
            assert NUMBER.sub("", text) == NUMBER.sub("", stored(cell))
            values, before = ([float(one) for one in NUMBER.findall(some)] for some in (text, stored(cell)))
            assert values == pytest.approx(before, abs=0.05)


def test_the_citation_agrees_with_the_package():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (cited["cff-version"], cited["license"], cited["version"]) == ("1.2.0", "MIT", project["version"])
    assert {"message", "title", "authors"} <= set(cited)  # what its schema requires
    (author,) = cited["authors"]
    assert author["name"] in (ROOT / "LICENSE").read_text()
