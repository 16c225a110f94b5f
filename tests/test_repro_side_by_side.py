"""tools/repro.py: recipes side by side, with the result of a plain `dvc repro`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dvc.repo import Repo

from tests.paths import ROOT
from tests.shell import environment, sh
from tools import repro

DOT = """
strict digraph {
"bank";
"bank" -> "train@one";
"bank" -> "train@two";
"train@one" -> "judge@one";
"train@two" -> "judge@two";
"judge@one" -> "compare";
"judge@two" -> "compare";
"compare" -> "report";
"bank" -> "diagnose";
}
"""

pytestmark = pytest.mark.xdist_group("warm")

ORDER = ("train_a", "gate_a", "train_b", "train_c", "evaluate")

PIPELINE = """
stages:
  bank:
    cmd: python -c "open('bank', 'w').write('1')"
    deps: [text]
    outs: [bank]
  train_c:
    matrix: {recipe: [one, two, three]}
    cmd: python -c "import time; time.sleep(0.3); open('model-${item.recipe}', 'w').write(open('bank').read() * 2)"
    deps: [bank, "recipe-${item.recipe}"]
    outs: ["model-${item.recipe}"]
  judge:
    matrix: {recipe: [one, two, three]}
    cmd: python -c "open('figure-${item.recipe}', 'w').write(open('model-${item.recipe}').read())"
    deps: ["model-${item.recipe}"]
    outs: ["figure-${item.recipe}"]
  compare:
    cmd: cat figure-one figure-two figure-three > table
    deps: [figure-one, figure-two, figure-three]
    outs: [table]
"""


def test_what_needs_no_recipe_comes_first_and_what_needs_one_is_left_for_the_end():
    graph = repro.stage_graph(DOT)
    assert graph["compare"] == {"judge@one", "judge@two"}
    assert sorted(repro.shared_stages(graph)) == ["bank", "diagnose"]


def test_a_chain_is_in_order_and_left_out_where_nothing_changed():
    graph = repro.stage_graph(DOT)
    assert repro.changed_chains(graph, {"train@two", "compare"}) == [["train@two", "judge@two"]]
    assert repro.changed_chains(graph, {"compare"}) == []


def test_the_pipeline_s_own_graph_is_understood():
    """Every stage of dvc.yaml has its place, and gates come between the phases that they decide on."""
    graph = repro.stage_graph(sh("dvc dag --dot", ROOT, warm=True))
    shared, chains = repro.shared_stages(graph), repro.changed_chains(graph, set(graph))
    of_all = {"compare", "ladder", "calibrate_selected", "report"}
    assert set(graph) - set(shared) - {name for chain in chains for name in chain} == of_all
    p1 = next(chain for chain in chains if "train_a@p1" in chain)
    order = [name for name in p1 if name in {f"{stage}@p1" for stage in ORDER}]
    assert order == [f"{stage}@p1" for stage in ORDER]


@pytest.fixture
def project(tmp_path):
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    for name in ("text", "recipe-one", "recipe-two", "recipe-three"):
        (tmp_path / name).write_text(name)
    Repo.init(str(tmp_path), no_scm=True).close()
    return tmp_path


def tool(folder: Path, code: int = 0) -> str:
    command = [sys.executable, str(ROOT / "tools/repro.py"), "2"]
    done = subprocess.run(command, cwd=folder, env=environment(warm=True), capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.e2e
def test_a_failure_ends_it_the_rest_goes_on_and_only_what_changed_runs_again(project):
    (project / "recipe-two").unlink()
    assert "recipe-two" in tool(project, code=255)
    assert not (project / "table").exists()
    (project / "recipe-two").write_text("back")
    (project / ".dvc/tmp/rwlock").write_text("{")
    assert "rwlock: was written by half; removed" in tool(project)
    assert (project / "table").read_text() == "11" * 3
    assert "up to date" in sh("dvc status", project, warm=True)

    (project / "recipe-three").write_text("another")
    (trained,) = re.findall(r"^\d\d:\d\d:\d\d (\w+) train_c \d+ s\b", tool(project), re.MULTILINE)
    assert trained == "three"


@pytest.mark.parametrize("jobs", ["0", "two", "-1"])
def test_a_wrong_number_of_jobs_is_one_line(jobs, capsys):
    assert repro.main([jobs]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"error: JOBS = {jobs!r} is not a whole number above 0\n"


SLOW = """
import signal, sys, time
def end(*_):
    time.sleep(0.5)
    open(f'saved-{sys.argv[1]}', 'w').close()
    sys.exit(1)
signal.signal(signal.SIGINT, end)
open(f'began-{sys.argv[1]}', 'w').close()
time.sleep(60)
"""
"""A training that writes a file when it is interrupted, as ours save their state."""


def interrupt(process: subprocess.Popen[bytes], folder: Path, number: int, children: int) -> None:
    """Send a signal when as many of `SLOW` have begun; all of them must save, and no other begin."""
    deadline = time.monotonic() + 120
    while len(list(folder.glob("began-*"))) < children:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(30) == repro.INTERRUPTED
    assert len(list(folder.glob("saved-*"))) == len(list(folder.glob("began-*"))) == children


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_passed_on_and_the_process_is_waited_for(tmp_path, number):
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "run.py").write_text(
        "import subprocess, sys\nfrom tools.repro import INTERRUPTED, Children\nchildren = Children()\n"
        "try:\n    children.call([sys.executable, 'slow.py', 'one'])\n"
        "except subprocess.CalledProcessError:\n    sys.exit(INTERRUPTED if children.interrupted else 1)\n"
    )
    process = subprocess.Popen([sys.executable, "run.py"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})
    interrupt(process, tmp_path, number, 1)


@pytest.mark.e2e
def test_an_interruption_reaches_the_stages_and_waits_for_them(project):
    (project / "slow.py").write_text(SLOW)
    pipeline = re.sub(r"cmd: python -c \"import time.*", "cmd: python slow.py ${item.recipe}", PIPELINE)
    (project / "dvc.yaml").write_text(pipeline)
    command = [sys.executable, str(ROOT / "tools/repro.py"), "2"]
    with open(project / "said", "w") as said:
        process = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL, stderr=said)
        interrupt(process, project, signal.SIGTERM, 2)
    assert "interrupted: run `python tools/repro.py 2` again; it goes on from here" in (project / "said").read_text()


def test_what_dvc_says_of_a_broken_pipeline_is_shown(project):
    (project / "dvc.yaml").write_text("stages: [1")
    done = subprocess.run([sys.executable, ROOT / "tools/repro.py", "2"], cwd=project, capture_output=True, text=True)
    assert done.returncode not in (0, 1)
    assert "dvc.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_that_breaks_is_a_failure(capsys):
    def breaks(chain):
        raise BrokenPipeError("nobody reads")

    assert repro.run_side_by_side([["a@x"], ["a@y"]], 2, breaks) == 1
    assert "nobody reads" in capsys.readouterr().err
