"""The packages of lvm_core: each imports only from those below it, and schemas and functions agree."""

from __future__ import annotations

import ast
import subprocess
import sys
from typing import get_args

import pytest

from lvm_core.config.models import ModelParams
from lvm_core.config.recipe import LOSSES
from lvm_core.models import FAMILIES
from lvm_core.train.losses import FUNCTIONS
from tests.paths import ROOT

PACKAGES = {
    "runtime": "",
    "config": "runtime",
    "corpus": "runtime config",
    "bank": "runtime config",
    "importers": "runtime config bank",
    "models": "runtime config bank",
    "fivecat": "runtime config bank models",
    "curriculum": "runtime config bank",
    "frontier": "runtime config bank fivecat",
    "train": "runtime config bank models fivecat",
    "selection": "runtime config bank models fivecat curriculum train",
    "comparison": "runtime config fivecat frontier train selection",
    "report": "runtime config fivecat frontier selection comparison",
    "service": "runtime config corpus bank models fivecat",
}
"""What each package may import from, beside itself and `lvm_core.windows`. Each comes after those it names."""

LONGEST, LOOSE = 320, 3
"""Most lines of a file, and most files beside the packages."""


def files_of(package):
    return sorted((ROOT / "lvm_core" / package).glob("*.py"))


def imported_packages(file):
    nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[1] for node in nodes if (name := node.module or "").startswith("lvm_core.")}


def test_every_package_is_in_the_map_and_stands_on_those_before_it():
    there = {file.parent.name for file in (ROOT / "lvm_core").glob("*/__init__.py")}
    assert there == set(PACKAGES)
    before: set[str] = set()
    for package, uses in PACKAGES.items():
        assert set(uses.split()) <= before, package
        before.add(package)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_lies_below(package):
    allowed = {package, "windows", *PACKAGES[package].split()}
    for file in files_of(package):
        assert imported_packages(file) <= allowed, file.name


def test_files_are_short_and_lie_in_packages():
    files = [file for package in PACKAGES for file in files_of(package)]
    assert {file.name: n for file in files if (n := len(file.read_text().splitlines())) > LONGEST} == {}
    assert len(list((ROOT / "lvm_core").glob("*.py"))) <= LOOSE


def test_params_are_read_without_torch():
    modules = ", ".join(f"lvm_core.config.{file.stem}" for file in files_of("config") if file.stem != "__init__")
    code = f"import sys, {modules}; sys.exit(any(heavy in sys.modules for heavy in ('torch', 'pandas', 'scipy')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_every_loss_that_a_recipe_can_name_has_its_function():
    assert set(FUNCTIONS) == set(LOSSES)


def test_every_family_that_a_recipe_can_name_is_built():
    families = {get_args(sizes.model_fields["family"].annotation)[0] for sizes in get_args(get_args(ModelParams)[0])}
    assert set(FAMILIES) == families


def test_stages_that_need_no_torch_begin_without_it():
    """Importing it takes seconds. (Gate and diagnosis import it once their parameters are known to be good.)"""
    stages = ["resolve", "corpus", "diagnose", "score", "curriculum", "gate", "compare", "report"]
    code = f"""
import importlib, sys
for stage in {stages}:
    importlib.import_module("stages." + stage)
    if "torch" in sys.modules:
        sys.exit(stage)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
