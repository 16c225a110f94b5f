"""What the documents say is true: commands are run by a test or in CI, figures are those of the committed run."""

from __future__ import annotations

import re

import pytest
import yaml

from docs.refresh import documents
from lvm_core.config import read_params
from lvm_core.config.resolve import resolve_recipes, validate_all
from lvm_core.runtime.errors import LvmError
from tests.documents import blocks
from tests.paths import ROOT

DOCUMENTS = ["README.md", "docs/pipeline.md", "docs/how-to-read-the-numbers.md", "docs/scale.md", "corpora/README.md"]
DOCUMENTS += ["docs/reliability.md", "docs/speed.md", "SECURITY.md"]
E2E = ["test_pipeline.py", "test_e2e.py", "test_e2e_vectors.py"]
OF_THE_SERVICE = ("curl ", "python -m lvm_core.service.client")  # run by test_service_readme
RUN_ELSEWHERE = {
    "make test": ".ci/run",
    "python -m benchmarks gpu": "test_benchmarks",  # with --quick
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


def test_ci_and_the_makefile_do_what_the_readme_says():
    assert "make test" in (ROOT / ".ci/run").read_text()
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^repro: env.*\n\tpython tools/repro\.py \$\(JOBS\)$", makefile, re.MULTILINE)
    assert re.search(r"^verify: env.*\n\tpython -m tests\.verify$", makefile, re.MULTILINE)
    assert re.search(r"^serve: env.*\n\tpython -m lvm_core\.service --model data/models/", makefile, re.MULTILINE)
    assert re.search(r"^test: env.*\n\tpython -m pytest -n 2 ", makefile, re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert (ROOT / document).parent.joinpath(target).exists(), target


def test_what_is_made_is_up_to_date():
    """Figures are those of the committed run, recipes those of params.yaml."""
    for path, text in documents(ROOT).items():
        assert path.read_text() == text, "run python docs/refresh.py"


def test_every_recipe_has_a_line_that_leads_to_its_definition():
    lines = (ROOT / "params.yaml").read_text().splitlines()
    rows = re.findall(r"^\| \[`(\w+)`\]\(params\.yaml#L(\d+)\) \| (.+) \|$", (ROOT / "README.md").read_text(), re.M)
    recipes = read_params(ROOT / "params.yaml")["recipes"]
    assert [name for name, _, _ in rows] == list(recipes)
    for name, number, about in rows:
        assert lines[int(number) - 1] == f"  {name}:"
        assert recipes[name]["about"] == about


def test_the_recipe_of_the_readme_is_valid():
    added = next(block for block in blocks("README.md", "yaml") if "recipes:" in block)
    new = yaml.safe_load(added)
    params = read_params(ROOT / "params.yaml")
    params["names"] += new["names"]
    params["recipes"] |= new["recipes"]
    recipes, _ = resolve_recipes(params)
    assert recipes[-1].name == "p1_wide"
    assert recipes[-1].model.d_model == 384


def test_the_mistake_of_the_readme_says_what_the_readme_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rate = read_params(ROOT / "params.yaml")["train"]["lr"]
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text().replace(f"lr: {rate}", "lr: 5e-4"))
    with pytest.raises(LvmError) as error:
        validate_all(read_params())
    assert f"error: {error.value}" in (ROOT / "README.md").read_text()
