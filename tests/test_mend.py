"""What a kill leaves half-written and DVC cannot read, and objects of its cache that are not what they are named."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys

import pytest

from tests.paths import ROOT
from tests.shell import sh
from tools.mend import is_whole_lock

PIPELINE = """stages:
  one:
    deps: [seed.txt]
    cmd: echo one > one.txt && mkdir -p two && echo 2 > two/a && echo 3 > two/b
    outs: [one.txt, two]
  three:
    cmd: cat one.txt two/a > three.txt
    deps: [one.txt, two]
    outs: [three.txt]
"""


@pytest.fixture
def project(tmp_path):
    sh("git init --quiet && dvc init --quiet", tmp_path)
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "seed.txt").write_text("1")
    sh("dvc repro", tmp_path)
    return tmp_path


def mend(folder, *arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "tools/mend.py"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_to_mend(project):
    before = (project / "dvc.lock").read_bytes()
    assert mend(project).stdout == "nothing to mend\n"
    assert mend(project, "--quiet").stdout == ""
    assert (project / "dvc.lock").read_bytes() == before


def test_a_lock_cut_anywhere_is_read_by_dvc_or_mended_and_nothing_is_computed_again(project):
    whole = (project / "dvc.lock").read_text()
    mended = 0
    for place in range(0, len(whole), 37):
        (project / "dvc.lock").write_text(whole[:place])
        mended += bool(mend(project, "--quiet").stdout)
        if place % 148 == 0:
            output = sh("dvc repro", project)
            assert "Running stage" not in output
            assert (project / "dvc.lock").read_text() == whole
        assert not (project / "dvc.lock").exists() or is_whole_lock((project / "dvc.lock").read_text())
    assert mended > 3


def test_a_list_of_running_commands_cut_off(project):
    for text in ("", '{"read": {', "[]"):
        (project / ".dvc/tmp/rwlock").write_text(text)
        assert "rwlock: was written by half; removed" in mend(project).stdout
        assert "up to date" in sh("dvc repro", project)


def test_damaged_objects_of_the_cache_are_removed_and_made_again(project):
    before = {path: path.read_bytes() for path in (project / "three.txt", project / "two/a", project / "one.txt")}
    objects = [path for path in (project / ".dvc/cache/files/md5").rglob("*") if path.is_file()]
    assert len(objects) == 5
    for path in objects:
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1] + b"!")
        path.chmod(0o444)
    done = mend(project, "--cache")
    assert done.stdout.count("is damaged; removed") == 5
    assert "5 objects of the cache read, 5 damaged" in done.stdout
    sh("rm -r one.txt two three.txt && dvc repro", project)
    assert {path: path.read_bytes() for path in before} == before
    assert "0 damaged" in mend(project, "--cache").stdout


def test_a_running_dvc_and_a_merge_are_left_alone(project):
    whole = (project / "dvc.lock").read_text()
    with open(project / ".dvc/tmp/lock", "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        (project / "dvc.lock").write_text(whole[:40])
        done = mend(project)
        assert (done.returncode, done.stderr) == (
            1,
            "error: .dvc/tmp/lock: DVC is running here; wait for it or end it\n",
        )
        assert mend(project, "--quiet").stderr == ""
    assert (project / "dvc.lock").read_text() == whole[:40]
    (project / "dvc.lock").write_text("<<<<<<< HEAD\n" + whole)
    done = mend(project)
    assert done.returncode == 1
    assert "has the conflicts of a Git merge" in done.stderr
    assert (project / "dvc.lock").exists()


def test_other_folders_and_arguments_are_refused(tmp_path):
    for folder, arguments in ((tmp_path, ()), (tmp_path, ("--cahce",))):
        done = mend(folder, *arguments)
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert len(done.stderr.splitlines()) == 1


def test_repro_mends_first(project):
    (project / ".dvc/tmp/rwlock").write_text("{")
    output = sh(f"python {ROOT / 'tools/repro.py'} 1", project)
    assert "rwlock: was written by half; removed" in output
    assert json.loads((project / ".dvc/tmp/rwlock").read_text()) is not None
