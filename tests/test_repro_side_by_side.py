"""tools/repro.py: recipes side by side, with the result of a plain `dvc repro`."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.paths import ROOT
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

PIPELINE = """
stages:
  bank:
    cmd: python -c "open('bank', 'w').write('1')"
    deps: [text]
    outs: [bank]
  train:
    matrix: {recipe: [one, two, three, four]}
    cmd: python -c "import time; time.sleep(0.3); open('model-${item.recipe}', 'w').write(open('bank').read() * 2)"
    deps: [bank, "recipe-${item.recipe}"]
    outs: ["model-${item.recipe}"]
  judge:
    matrix: {recipe: [one, two, three, four]}
    cmd: python -c "open('figure-${item.recipe}', 'w').write(open('model-${item.recipe}').read())"
    deps: ["model-${item.recipe}"]
    outs: ["figure-${item.recipe}"]
  compare:
    cmd: cat figure-one figure-two figure-three figure-four > table
    deps: [figure-one, figure-two, figure-three, figure-four]
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
    graph = repro.stage_graph(
        subprocess.run(["dvc", "dag", "--dot"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    )
    shared, chains = repro.shared_stages(graph), repro.changed_chains(graph, set(graph))
    of_all = {"compare", "ladder", "calibrate_selected", "report"}
    assert set(graph) - set(shared) - {name for chain in chains for name in chain} == of_all
    p1 = next(chain for chain in chains if "train_a@p1" in chain)
    assert p1.index("evaluate_a@p1") < p1.index("gate_a@p1") < p1.index("train_b@p1") < p1.index("train_c@p1")


@pytest.fixture
def project(tmp_path):
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    for name in ("text", "recipe-one", "recipe-two", "recipe-three", "recipe-four"):
        (tmp_path / name).write_text(name)
    run(["dvc", "init", "--no-scm", "-q"], tmp_path)
    return tmp_path


def run(command: list[str], folder: Path, code: int = 0) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def tool(folder: Path, jobs: str = "2", code: int = 0) -> str:
    return run([sys.executable, str(ROOT / "tools/repro.py"), jobs], folder, code)


def test_the_result_is_that_of_dvc_repro_and_only_what_changed_runs_again(project):
    said = tool(project)
    assert said.count("Running stage 'train@") == 4
    assert (project / "table").read_text() == "11" * 4
    assert "up to date" in run(["dvc", "status"], project)
    assert "Running stage" not in tool(project)

    (project / "recipe-three").write_text("another")
    said = tool(project)
    assert [line for line in said.splitlines() if "Running stage 'train@" in line] == [
        "three: Running stage 'train@three':"
    ]
    assert "up to date" in run(["dvc", "status"], project)


def test_a_failure_ends_it_and_the_rest_goes_on_from_there(project):
    (project / "recipe-two").unlink()
    said = tool(project, code=255)
    assert "recipe-two" in said
    assert not (project / "table").exists()
    (project / "recipe-two").write_text("back")
    tool(project)
    assert (project / "table").exists()


@pytest.mark.parametrize("jobs", ["0", "two", "-1"])
def test_a_wrong_number_of_jobs_is_one_line(jobs):
    done = subprocess.run(
        [sys.executable, ROOT / "tools/repro.py", jobs], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip() == f"error: JOBS = {jobs!r} is not a whole number above 0"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_reaches_the_stages_and_waits_for_them(project, number):
    """Each training writes a file when it is interrupted, as ours save their state."""
    slow = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        "    time.sleep(0.5)\n"
        "    open(f'saved-{sys.argv[1]}', 'w').close()\n"
        "    sys.exit(1)\n"
        "signal.signal(signal.SIGINT, end)\n"
        "open(f'began-{sys.argv[1]}', 'w').close()\n"
        "time.sleep(60)\n"
    )
    (project / "slow.py").write_text(slow)
    pipeline = re.sub(r"cmd: python -c \"import time.*", "cmd: python slow.py ${item.recipe}", PIPELINE)
    (project / "dvc.yaml").write_text(pipeline)
    process = subprocess.Popen([sys.executable, ROOT / "tools/repro.py", "2"], cwd=project, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(project.glob("began-*"))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(number)
    assert process.wait(30) == 130
    assert len(list(project.glob("saved-*"))) == 2
    assert len(list(project.glob("began-*"))) == 2


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
