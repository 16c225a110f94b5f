"""What a kill leaves half-written and DVC cannot read, and objects of its cache that are not what they are named."""

from __future__ import annotations

import fcntl
import shutil

import pytest
from dvc.repo import Repo

from tests.calling import Done
from tests.shell import sh
from tools.mend import is_whole_lock, main

pytestmark = pytest.mark.xdist_group("warm")

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


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mend") / "finished"
    folder.mkdir()
    Repo.init(str(folder), no_scm=True).close()
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "seed.txt").write_text("1")
    sh("dvc repro", folder, warm=True)
    return folder


@pytest.fixture
def project(finished, tmp_path, monkeypatch):
    """A finished project of two stages, the working directory."""
    folder = tmp_path / "project"
    shutil.copytree(finished, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def mend(capsys):
    """The tool, in this process: its exit code and what it prints."""

    def call(*arguments):
        capsys.readouterr()
        code = main(arguments)
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return call


def test_nothing_to_mend(project, mend):
    before = (project / "dvc.lock").read_bytes()
    assert mend().stdout == "nothing to mend\n"
    assert mend("--quiet").stdout == ""
    assert (project / "dvc.lock").read_bytes() == before


def test_a_lock_cut_anywhere_is_read_by_dvc_or_mended_and_nothing_is_computed_again(project, mend):
    whole = (project / "dvc.lock").read_text()
    mended: list[int] = []
    read: list[int] = []
    for place in range(0, len(whole), 7):
        (project / "dvc.lock").write_text(whole[:place])
        (mended if mend("--quiet").stdout else read).append(place)
        assert not (project / "dvc.lock").exists() or is_whole_lock((project / "dvc.lock").read_text())
    assert len(mended) > 20
    for place in (mended[len(mended) // 2], read[len(read) // 2]):
        (project / "dvc.lock").write_text(whole[:place])
        mend("--quiet")
        assert "Running stage" not in sh("dvc repro", project, warm=True)
        assert (project / "dvc.lock").read_text() == whole


def test_a_list_of_running_commands_cut_off(project, mend):
    for text in ("", '{"read": {', "[]"):
        (project / ".dvc/tmp/rwlock").write_text(text)
        assert "rwlock: was written by half; removed" in mend().stdout
        assert not (project / ".dvc/tmp/rwlock").exists()
    assert "up to date" in sh("dvc repro", project, warm=True)


def test_damaged_objects_of_the_cache_are_removed_and_made_again(project, mend):
    before = {path: path.read_bytes() for path in (project / "three.txt", project / "two/a", project / "one.txt")}
    objects = [path for path in (project / ".dvc/cache/files/md5").rglob("*") if path.is_file()]
    assert len(objects) == 5
    for path in objects:
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1] + b"!")
        path.chmod(0o444)
    done = mend("--cache")
    assert done.stdout.count("is damaged; removed") == 5
    assert "5 objects of the cache read, 5 damaged" in done.stdout
    sh("rm -r one.txt two three.txt && dvc repro", project, warm=True)
    assert {path: path.read_bytes() for path in before} == before
    assert "0 damaged" in mend("--cache").stdout


def test_a_running_dvc_and_a_merge_are_left_alone(project, mend):
    whole = (project / "dvc.lock").read_text()
    with open(project / ".dvc/tmp/lock", "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        (project / "dvc.lock").write_text(whole[:40])
        done = mend()
        assert (done.returncode, done.stderr) == (
            1,
            "error: .dvc/tmp/lock: DVC is running here; wait for it or end it\n",
        )
        assert mend("--quiet").stderr == ""
    assert (project / "dvc.lock").read_text() == whole[:40]
    (project / "dvc.lock").write_text("<<<<<<< HEAD\n" + whole)
    done = mend()
    assert done.returncode == 1
    assert "has the conflicts of a Git merge" in done.stderr
    assert (project / "dvc.lock").exists()


def test_other_folders_and_arguments_are_refused(project, mend, tmp_path, monkeypatch):
    refused = [mend("--cahce")]
    monkeypatch.chdir(tmp_path)
    refused.append(mend())
    for done in refused:
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert len(done.stderr.splitlines()) == 1
