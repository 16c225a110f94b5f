"""Which code a stage is made of."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.sources import imported_modules, listing, stage_scripts, used_files
from tests.paths import ROOT


def of(stage: str) -> set[str]:
    return {path.as_posix() for path in used_files(stage, ROOT)}


LOADING = """
import importlib, json, sys
loaded = {}
for stage in sys.argv[1:]:
    for name in [name for name in sys.modules if name.split('.')[0] in ('lvm_core', 'stages')]:
        del sys.modules[name]
    importlib.import_module(f'stages.{stage}')
    ours = [module for name, module in sys.modules.items() if name.split('.')[0] in ('lvm_core', 'stages')]
    loaded[stage] = [module.__file__ for module in ours if module.__file__]
print(json.dumps(loaded))
"""


@pytest.fixture(scope="module")
def loaded():
    """The files that Python itself loads with each script, each as if it were the first, in one process."""
    command = [sys.executable, "-c", LOADING, *stage_scripts(ROOT)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("stage", stage_scripts(ROOT))
def test_every_module_that_is_loaded_is_listed(loaded, stage):
    files = {Path(file).relative_to(ROOT).as_posix() for file in loaded[stage]} - {"lvm_core/__init__.py"}
    assert f"stages/{stage}.py" in files
    assert files <= of(stage)


@pytest.mark.parametrize("stage", ["train", "train_variant", "embed", "score"])
def test_an_edit_to_a_figure_or_the_comparison_does_not_retrain(stage):
    late = (
        *("lvm_core/comparison/", "lvm_core/frontier/", "lvm_core/report/", "lvm_core/selection/", "lvm_core/service/"),
        *(f"lvm_core/fivecat/{name}.py" for name in ("evaluate", "figures", "further", "statistics", "tests")),
        *("lvm_core/config/gates.py", "lvm_core/config/ladder.py"),
    )
    assert not [file for file in of(stage) if file.startswith(late)]


def test_templates_and_data_beside_modules_count_as_code():
    assert {"lvm_core/report/report.html.j2", "lvm_core/report/report.css"} <= of("report")
    assert "lvm_core/comparison/claims.yaml" in of("compare")
    assert "lvm_core/report/ladder.md.j2" in of("ladder")
    assert {file for file in of("evaluate") if not file.endswith(".py")} == {"lvm_core/fivecat/model.md.j2"}
    assert not [file for file in of("train") if not file.endswith(".py")], "an edit to words would retrain"


@pytest.fixture
def project(tmp_path):
    for name, text in {
        "stages/__init__.py": "",
        "stages/one.py": "from lvm_core.room import a\ndef main():\n    import lvm_core.late\n",
        "stages/other.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import lvm_core.late\n",
        "lvm_core/__init__.py": "import lvm_core.public",
        "lvm_core/public.py": "",
        "lvm_core/late.py": "",
        "lvm_core/room/__init__.py": "",
        "lvm_core/room/a.py": "from lvm_core.room.b import x",
        "lvm_core/room/b.py": "x = 1",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_closure_of_imports(project):
    files = {
        "stages/__init__.py",
        "stages/one.py",
        "lvm_core/late.py",
        *(f"lvm_core/room/{name}.py" for name in ("__init__", "a", "b")),
    }
    assert {path.as_posix() for path in used_files("one", project)} == files
    assert {path.as_posix() for path in used_files("other", project)} == {"stages/__init__.py", "stages/other.py"}
    assert stage_scripts(project) == ["one", "other"]


def test_only_listings_of_what_was_edited_change(project):
    before = {stage: listing(used_files(stage, project), project) for stage in ("one", "other")}
    (project / "lvm_core/room/b.py").write_text("x = 2")
    after = {stage: listing(used_files(stage, project), project) for stage in ("one", "other")}
    assert before["one"] != after["one"]
    assert before["other"] == after["other"]


def test_a_file_that_is_not_python_is_named(project):
    (project / "lvm_core/late.py").write_text("def (")
    with pytest.raises(LvmError, match=r"late\.py: line 1"):
        imported_modules(project / "lvm_core/late.py")


def test_what_editors_leave_is_no_code_and_other_bytes_are_named(project):
    (project / "lvm_core/room/a.py~").write_text("x")
    (project / "lvm_core/room/notes.txt").write_text("x")
    assert not [path for path in used_files("one", project) if path.suffix != ".py"]
    (project / "lvm_core/late.py").write_bytes(b"\xff\xfe")
    with pytest.raises(LvmError, match=r"late\.py: is not Python"):
        imported_modules(project / "lvm_core/late.py")
