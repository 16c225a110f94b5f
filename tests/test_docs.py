"""What the documents say is true: commands are run by a test or in CI, figures are those of the committed run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from docs.refresh import documents
from lvm_core.config.params import read_params
from lvm_core.config.resolve import resolve_recipes
from lvm_core.runtime.errors import LvmError
from tests.documents import blocks, made
from tests.paths import ROOT
from tests.test_layout import PACKAGES

DOCUMENTS = ["README.md", "CHANGELOG.md", "SECURITY.md", "corpora/README.md"]
DOCUMENTS += sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
LONGEST_README = 200
"""Lines: two screens."""
E2E = ["test_pipeline.py", "test_e2e.py", "test_e2e_vectors.py"]
OF_THE_SERVICE = ("curl ", "python -m lvm_core.service.client")  # run by test_service_readme
RUN_ELSEWHERE = {
    "make test": ".ci/run",
    "python -m benchmarks gpu": "test_benchmarks",  # with --quick
    "make demo": "demo:",  # its recipe is run in test_demo
    "make repro": "make repro:",  # its recipe, tools/repro.py, is run in test_e2e
    "make verify": "verify:",  # half an hour: test_faults and test_hostile_files run a sample of it
    "make serve": "serve:",  # its recipe is what tests/service_server.py starts
    "make serve MODEL=p1": "serve:",
    "python tools/mend.py": "test_mend",
    "python tools/mend.py --cache": "test_mend",
    "source .venv/bin/activate": "tests put the environment first in PATH",
}


def commands():
    lines = [line for document in DOCUMENTS for block in blocks(document, "bash") for line in block.splitlines()]
    return sorted({line.split("  #")[0].split(" #")[0].strip() for line in lines if line.strip()})


@pytest.mark.parametrize("command", commands())
def test_every_command_is_run_by_a_test_or_in_ci(command):
    if command not in RUN_ELSEWHERE and not command.startswith(OF_THE_SERVICE):
        joined = re.sub(r'"\s+"', "", "".join((ROOT / "tests" / name).read_text() for name in E2E))  # long strings
        assert command in joined


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= LONGEST_README


def test_the_readme_leads_to_every_document_and_names_every_package_in_order():
    text = (ROOT / "README.md").read_text()
    linked = set(re.findall(r"\]\(([^)#]+)", text))
    assert {name for name in DOCUMENTS if name not in ("README.md", "corpora/README.md")} <= linked
    map_of_packages = text.split("| package | what |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", map_of_packages, re.MULTILINE) == list(PACKAGES)


def test_ci_and_the_makefile_do_what_the_readme_says():
    assert "make test" in (ROOT / ".ci/run").read_text()
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^repro: env.*\n\tpython tools/repro\.py \$\(JOBS\)$", makefile, re.MULTILINE)
    assert re.search(r"^demo: env.*\n\tpython -m tools\.demo --port", makefile, re.MULTILINE)
    assert re.search(r"^verify: env.*\n\tpython -m tests\.verify$", makefile, re.MULTILINE)
    assert re.search(r"^serve: env.*\n\tpython -m lvm_core\.service --model data/models/", makefile, re.MULTILINE)
    assert re.search(r"^test: env.*\n\tpython -m pytest -n 2 ", makefile, re.MULTILINE)


def anchors(document):
    """Of the headings of a document, as GitHub makes them."""
    prose = re.sub(r"^```.*?^```", "", (ROOT / document).read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere_and_to_no_line_number(document):
    """A line has another number after the next edit above it."""
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        assert (ROOT / document).parent.joinpath(path).exists(), target
        assert not re.fullmatch(r"L\d+(-L\d+)?", anchor), target
        if anchor:
            assert anchor in anchors((Path(document).parent / path) if path else document), target
    assert not re.search(r"\w\.(py|md|yaml|lock):\d", text)


def test_what_is_made_is_up_to_date():
    """Figures are those of the committed run, recipes those of params.yaml."""
    for path, text in documents(ROOT).items():
        assert path.read_text() == text, "run python docs/refresh.py"


def test_every_recipe_has_a_line():
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", made("docs/recipes.md", "recipes"), re.MULTILINE)
    recipes = read_params(ROOT / "params.yaml")["recipes"]
    assert rows == [(name, recipe["about"]) for name, recipe in recipes.items()]


def test_the_finding_has_six_rows_with_the_best_first_and_the_figures_of_the_comparison():
    table = pd.read_csv(ROOT / "metrics/comparison.csv", index_col="name")
    rows = re.findall(
        r"^\| `(\w+)`.*? \| (\S+) \[.* \| (\S+) \[.* \| (\S+) \|$", made("README.md", "finding"), re.MULTILINE
    )
    chosen = json.loads((ROOT / "metrics/ladder.json").read_text())["selected"]["recipe"]
    assert {chosen, "p1", "copy_last", "random"} < {name for name, *_ in rows}
    assert len(rows) == 6
    for name, *shown in rows:
        figures = table.loc[name, ["val_recall_at_5", "ood_recall_at_5", "val_cosine"]]
        assert shown == [f"{value:.4f}" for value in figures]
    assert [float(shown[1]) for shown in rows] == sorted((float(shown[1]) for shown in rows), reverse=True)


def test_the_recipe_of_the_readme_is_valid():
    added = next(block for block in blocks("README.md", "yaml") if "recipes:" in block)
    new = yaml.safe_load(added)
    params = read_params(ROOT / "params.yaml")
    params["names"] += new["names"]
    params["recipes"] |= new["recipes"]
    recipes, _ = resolve_recipes(params)
    assert recipes[-1].name == "p1_wide"
    assert recipes[-1].model.model_dump()["d_model"] == 384


def test_the_mistake_in_params_yaml_is_reported_as_the_documents_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rate = read_params(ROOT / "params.yaml")["train"]["lr"]
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text().replace(f"lr: {rate}", "lr: 5e-4"))
    with pytest.raises(LvmError) as error:
        resolve_recipes(read_params())
    assert f"error: {error.value}" in (ROOT / "docs/experiments.md").read_text()


def test_make_help_has_a_line_for_every_target():
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    told = subprocess.run(["make", "--silent", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert phony
    assert sorted(line.split()[0] for line in told.splitlines()) == sorted(phony[1].split())
    assert all(len(line.split()) > 2 for line in told.splitlines())


def test_the_hooks_before_a_commit_are_commands_of_the_environment():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    for hook in repository["hooks"]:
        program, *arguments = hook["entry"].split()
        found = Path(sys.executable).with_name(program.removeprefix(".venv/bin/"))
        assert program.startswith(".venv/bin/")
        assert found.exists()
        if "mypy" not in program:  # half a minute; `make lint` runs it
            subprocess.run([found, *arguments, "stages/score.py"], cwd=ROOT, check=True)
