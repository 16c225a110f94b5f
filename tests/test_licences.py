"""The licences of the dependencies, and that each is pinned to the very files that were tested."""

from __future__ import annotations

import re

import pytest

from tests.paths import ROOT
from tools import environment
from tools.licences import REVIEWED, is_allowed, main, problems, required


@pytest.mark.parametrize(
    "licence",
    [
        *("MIT", "MIT License", "BSD-3-Clause", "BSD License", "Apache 2.0 License", "Apache Software License"),
        *("Apache-2.0 OR GPL-2.0-or-later", "MPL-2.0 AND (Apache-2.0 OR MIT)", "ISC License (ISCL)", "PSF-2.0"),
        "Apache-2.0 AND Apache-2.0 WITH LLVM-exception AND BSD-2-Clause AND BSD-3-Clause AND BSL-1.0 AND MIT",
    ],
)
def test_licences_that_ask_to_be_named_are_allowed(licence):
    assert is_allowed(licence)


@pytest.mark.parametrize(
    "licence",
    ["", "GPL-3.0-only", "GNU General Public License v2 (GPLv2)", "LGPL-2.1-only", "MIT AND GPL-2.0", "Proprietary"],
)
def test_others_are_not(licence):
    assert not is_allowed(licence)
    assert problems({"one": "MIT", "two": licence}, {}) == [
        f"two: its licence {licence or '(none stated)'!r} is not allowed; take another package, or give a reason in "
        "tools/licences.py"
    ]
    assert not problems({"one": "MIT", "two": licence}, {"two": "because"})


def test_an_exception_that_is_not_needed_is_a_problem():
    for licences in ({}, {"gone": "MIT"}):
        assert problems(licences, {"gone": "because"}) == [
            "gone: needs no exception in tools/licences.py any more; take it out"
        ]


def test_ours_are_allowed(capsys):
    assert main() == 0
    table = capsys.readouterr().out
    assert all(re.search(rf"^{name} ", table, re.MULTILINE) for name in (*REVIEWED, "torch", "dvc", "numpy"))


@pytest.mark.parametrize("file", ["requirements.txt", "benchmarks/requirements.txt"])
def test_every_package_but_torch_has_hashes(file):
    text = (ROOT / file).read_text()
    blocks = [block for block in re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)) if block]
    assert len(blocks) == len(required([text])) > 3
    for block in blocks:
        assert re.fullmatch(r"\S+==\S+( \\\n    --hash=sha256:[0-9a-f]{64})+\n?", block), block[:80]
    assert "torch" not in required([text])
    assert not [name for name in required([text]) if name.startswith(("nvidia", "triton"))]
    installs = [(ROOT / "Makefile").read_text(), *map(" ".join, environment.commands())]
    assert any(f"--require-hashes -r {file}" in text for text in installs)


def test_torch_is_pinned_by_its_version():
    assert required([(ROOT / "requirements-torch.txt").read_text()]) == ["torch"]
    assert len(required([(ROOT / "requirements.txt").read_text()])) > 100
