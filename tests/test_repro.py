"""tools/repro.py: the order of the work, what is shown of it, and the record of what a run cost."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
import yaml

from lvm_core.runtime.errors import LvmError
from tests.paths import ROOT
from tests.shell import sh
from tools import repro, repro_log

pytestmark = pytest.mark.xdist_group("warm")

PIPELINE = """
stages:
  bank:
    cmd: python -m stages.bank
    deps: [stages]
    outs: [bank]
  train_c:
    matrix: {recipe: [other, p1]}
    cmd: cp bank model-${item.recipe}
    deps: [bank]
    outs: ["model-${item.recipe}"]
"""
STAGE = """
from pathlib import Path

from lvm_core.runtime.cli import run_stage

run_stage(lambda: sum(range(10_000_000)) and Path("bank").touch())
"""


def test_the_first_recipes_then_those_trained_once_more_then_the_others():
    names = ("v1", "p1", "gru", "contrast", "p5")
    graph = {f"train_a@{name}": {"bank"} for name in names}
    graph |= {f"train_c@{name}": {f"train_a@{name}"} for name in names}
    graph |= {"train_reversed@p1": {"bank"}, "evaluate_reversed@p1": {"train_reversed@p1"}}
    graph |= {"calibrate@p1": {"train_c@p1"}}
    chains = repro.changed_chains(graph, set(graph))
    assert chains[0] == ["train_a@p1", "train_c@p1", "calibrate@p1"]
    assert chains[3] == ["train_reversed@p1", "evaluate_reversed@p1"]
    assert [repro.trained_recipe(chain) for chain in chains] == ["p1", "p5", "contrast", None, "v1", "gru"]


def test_the_pipeline_s_own_recipes_run_in_this_order():
    graph = repro.stage_graph(sh("dvc dag --dot", ROOT, warm=True))
    assert "references" in repro.shared_stages(graph)  # before any recipe
    chains = repro.changed_chains(graph, set(graph))
    trained = [repro.trained_recipe(chain) for chain in chains]
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    others = [name for name in params["names"] if name not in repro.FIRST]
    backwards, repeat, seeds = params["time_direction"], params["train"]["repeat"], params["train"]["seeds"]
    once_more = len(backwards) + len([*backwards, *repeat]) * len(seeds)
    assert trained == [*repro.FIRST, *[None] * once_more, *others]


@pytest.mark.parametrize(
    ("took", "running", "waiting", "jobs", "left"),
    [
        ([60.0], [], 4, 1, 4 * 60 + 60),  # one after the other, and the comparison
        ([50.0, 70.0], [30.0], 3, 2, (3 * 60 + 30) / 2 + 60),
        ([60.0], [90.0], 0, 2, 60),  # longer than the others took: it may end at any moment
        ([60.0], [20.0], 0, 8, 40 + 60),  # seven have nothing to do
        ([60.0], [], 0, 2, 60),
    ],
)
def test_the_time_left_is_that_of_recipes_as_long_as_those_before(took, running, waiting, jobs, left):
    assert repro_log.seconds_left(took, running, waiting, jobs) == left


@pytest.mark.e2e
def test_each_recipe_is_told_and_each_process_is_recorded(tmp_path):
    """One after the other, as `make repro JOBS=1` does it."""
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/__init__.py").touch()
    (tmp_path / "stages/bank.py").write_text(STAGE)
    subprocess.run(["dvc", "init", "--no-scm", "-q"], cwd=tmp_path, check=True)
    command = [sys.executable, str(ROOT / "tools/repro.py"), "1"]
    said = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert without_times(said) == [
        "bank N s",
        "p1 train_c N s; 1 of 2 models, about N min left",
        "other train_c N s; 2 of 2 models, about N min left",
        "3 stages in N s",
    ]

    (record,) = (tmp_path / "build/runs").iterdir()
    stage, dvc, tool = [json.loads(line) for line in record.read_text().splitlines()]
    assert stage["argv"] == ["-m", "stages.bank"]
    assert stage["cpu"] > 0.05
    assert stage["rss"] > 5_000
    assert (dvc["argv"], dvc["processes"]) == (["dvc"], 7)  # mend, dag, what is shared, status, two recipes, all
    assert dvc["cpu"] > 1  # seven starts of Python, less the stage
    assert tool["argv"] == ["tools/repro.py", "1"]
    assert tool["wall"] > stage["wall"]


def without_times(text):
    """Its lines without the clock's time, and with N for every duration: a busy machine takes minutes."""
    short = re.sub(r"\b\d+m\d\ds\b", "N s", re.sub(r"\b\d+ (s|min)\b", r"N \1", text))
    return [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in short.splitlines()]


SAID = """\
Running stage 'train_a@p5':
> python -m stages.train p5 a
train p5 phase a: epoch 1/20, lr 0.001, train_loss 3.2380, dev_cosine 0.3639, dev_recall_at_5 0.0690
train p5 phase a: kept epoch 4: R@5 0.310, cosine 0.520 on dev
Updating lock file 'dvc.lock'
Running stage 'gate_a@p5':
gate p5: evaluated after phase A; goes on (policy report)
Stage 'train_c@p5' is cached - skipping run, checking out outputs
Running stage 'evaluate_seed@contrast-43':
evaluate contrast seed-43: R@5 0.286 on val, 0.175 on ood
Running stage 'diagnose':
diagnose val: 4,916 windows
diagnose ood: 4,941 windows
Running stage 'curriculum':
"""
TABLE = [f"curriculum p{i}: A 19,488" for i in range(9)]
HINTS = """\
Updating lock file 'dvc.lock'
To track the changes with git, run:
\tgit add dvc.lock
Use `dvc push` to send your updates to remote storage.
"""


def test_a_stage_is_a_line_with_its_figures_and_no_name_twice(capsys):
    with repro_log.View().job() as job:
        for line in [*SAID.splitlines(), *TABLE, *HINTS.splitlines()]:
            job.line(line)
    assert without_times(capsys.readouterr().out) == [
        "p5 train_a N s: kept epoch 4: R@5 0.310, cosine 0.520 on dev",
        "p5 gate_a N s: evaluated after phase A; goes on (policy report)",
        "p5 train_c N s: from DVC's cache",
        "contrast-43 evaluate_seed N s: R@5 0.286 on val, 0.175 on ood",
        "diagnose N s",
        "    val: 4,916 windows",
        "    ood: 4,941 windows",
        "curriculum N s",
    ]


def test_how_far_a_stage_is_is_said_now_and_then(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(repro_log.time, "monotonic", lambda: now[0])
    job = repro_log.Job("p5", repro_log.View())
    job.line("Running stage 'train_c@p5':")
    for epoch in range(11, 20):
        now[0] += 5
        job.message(f"train p5: epoch {epoch}/20: 15,808/19,488 windows (81 %), 3,160 windows/s, 1s left")
        now[0] += 5
        job.line(f"train p5 phase c: epoch {epoch}/20, lr 0.001, dev_cosine 0.5, dev_recall_at_5 0.28{epoch}")
    assert [line.split(" ", 1)[1] for line in capsys.readouterr().out.splitlines()] == [
        "p5 train_c 30 s: epoch 13/20, 3,160 windows/s, 1m10s left, R@5 0.281",
        "p5 train_c 1m00s: epoch 16/20, 3,160 windows/s, 40 s left, R@5 0.282",
        "p5 train_c 1m30s: epoch 19/20, 3,160 windows/s, 10 s left, R@5 0.282",
    ]
    job.message("p5 on val: 2,458/4,916 windows (50 %), 709 windows/s, 3s left")
    assert job.far() == "1m30s: on val, 50 %, 709 windows/s, 3s left"


@pytest.mark.parametrize(("rows", "lines"), [(0, 1), (33, 34), (60, 40)])
def test_the_table_of_results_is_sorted_and_fits_a_screen(rows, lines, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keys = ("val_recall_at_5", "val_recall_at_5_lo", "val_recall_at_5_hi", "ood_recall_at_5", "val_cosine")
    with open("comparison.csv", "w", newline="") as file:
        table = csv.DictWriter(file, ("name", "kind", *keys), restval="")
        table.writeheader()
        for place in range(rows):
            table.writerow({"name": f"p{place}", "kind": "recipe"} | dict.fromkeys(keys[: 5 * place], f"0.{place:02}"))
    shown = repro.results(Path("comparison.csv"))
    assert len(shown) == lines
    assert max(map(len, shown)) <= 80
    if rows:
        assert shown[1].startswith(f"p{rows - 1} ")
        assert f"0.{rows - 1}0 [0.{rows - 1}0, 0.{rows - 1}0]" in shown[1]
    assert repro.results(Path("none.csv")) == []


DVC = r"""#!/bin/bash
trap 'echo "ERROR: failed to reproduce" >&2; exit 255' INT
begin() { echo "Running stage '$1':"; sleep 0.1; }
end() { echo "Updating lock file 'dvc.lock'"; }
case "$*" in
"dag --dot") for r in p1 v3 other; do printf '"bank" -> "train_c@%s";
"train_c@%s" -> "compare";
' $r $r; done ;;
*status*) echo '{"train_c@p1": [], "train_c@v3": [], "train_c@other": []}' ;;
*--single-item*)
    r=${*: -1}; r=${r#*@}
    begin train_c@$r
    echo "train $r: epoch 1/2: 1/2 windows (50 %), 9 windows/s, 1s left$(printf '%90s')" >&2
    echo "train $r: epoch 1/2, $(printf '%90s') dev_recall_at_5 0.1"
    if [ $r = v3 ]; then
        echo "half a table"
        echo "UserWarning: $(seq -s ' ' 60)" >&2
        [ -e fail ] && { echo "error: bank: no $r" >&2; exit 255; }
    fi
    touch began-$r
    for _ in $(seq ${SLOW:-1}); do sleep 0.5; done
    echo "train $r: kept epoch 2: R@5 0.310, cosine 0.520 on dev $(printf 'x%.0s' {1..90})"
    end ;;
*bank*) begin bank; echo "bank: $(seq -s ' ' 60)"; end ;;
*) echo "Stage 'bank' didn't change, skipping"; begin compare; end ;;
esac
"""
"""A DVC that does nothing and says what DVC and its stages say."""


@pytest.fixture
def faked(tmp_path, monkeypatch):
    (tmp_path / "dvc").write_text(DVC)
    (tmp_path / "dvc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLUMNS", raising=False)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots/report.html").touch()
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


REPRO = [sys.executable, str(ROOT / "tools/repro.py"), "2"]


def test_a_log_says_what_failed_and_what_to_run(faked, monkeypatch):
    (faked / "fail").touch()
    monkeypatch.setenv("LVM_COMMAND", "make repro")
    done = subprocess.run(REPRO, capture_output=True, text=True)
    assert done.returncode == 255
    assert without_times(done.stderr) == [
        f"v3 train_c: UserWarning: {' '.join(map(str, range(1, 61)))}",
        "v3 train_c: error: bank: no v3",
        "v3 train_c N s: failed",
        "    half a table",
        "error: v3 train_c failed, see above; once that is mended, run `make repro` again",
    ]
    assert "p1 train_c" in done.stdout
    assert "report" not in done.stdout


def check_with(monkeypatch, folder, changes):
    """What `make repro` says of params.yaml with these values changed, before it starts DVC."""
    monkeypatch.chdir(folder)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for key, value in changes.items():
        params[key] = params[key] | value if isinstance(value, dict) else value
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(LvmError) as error:
        repro.main([])
    return str(error.value)


def test_a_mistake_in_the_parameters_is_told_before_dvc_starts(faked):
    text = Path("params.yaml").read_text()
    of_names = re.sub(r"^names:\n(- .*\n)+", "names: p1\n", text, flags=re.MULTILINE)
    for wrong, line in (
        (of_names, r"names = 'p1': must be a list of recipe names, e.g. \[p1\]"),
        (f"{text}\nseed: 3\n", r"line \d+: the key seed is there twice; .*"),
    ):
        Path("params.yaml").write_text(wrong)
        done = subprocess.run([*REPRO[:2], "--check"], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(rf"error: params\.yaml: {line}\n", done.stderr)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            {"train": "storys"},
            "'storys': neither a corpus (sotu, wikipedia) nor an existing file or folder; did you mean",
        ),
        ({"train": "storys"}, "did you mean corpora/stories?"),
        ({"train": "stories"}, "did you mean corpora/stories?"),
        ({"ood": "corpora/storiez"}, "did you mean corpora/stories?"),
        ({"ood": "Wikipedia"}, "did you mean wikipedia?"),
        ({"train": "elsewhere/bank.npz"}, "did you mean elsewhere/bank.npy?"),
        ({"train": "/no/such/place"}, "an existing file or folder"),
        ({"kind": "vectors", "train": "sotu", "ood": None}, "data.train = 'sotu': not an existing file or folder"),
    ],
)
def test_data_that_are_not_there_are_told_with_what_may_be_meant(tmp_path, monkeypatch, data, words):
    for name in ("corpora/stories/a.txt", "elsewhere/bank.npy"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert words in check_with(monkeypatch, tmp_path, {"data": data})


def test_what_dvc_could_not_read_in_corpora_is_named(tmp_path, monkeypatch):
    """It waits at a pipe for ever, and dies at a link to nothing with an error that it did not expect."""
    (tmp_path / "corpora/books/.git").mkdir(parents=True)
    (tmp_path / "corpora/books/whole.txt").symlink_to(ROOT / "README.md")
    os.mkfifo(tmp_path / "corpora/books/.git/daemon.ipc")  # DVC passes over it
    for name in (".#notes.txt", "pipe"):
        path = tmp_path / "corpora/books" / name
        if name == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to("me@host.1234")  # as Emacs writes it
        assert f"corpora/books/{name}: is no file, or a link to nothing" in check_with(monkeypatch, tmp_path, {})
        path.unlink()


def on_a_terminal(code, meanwhile=lambda process: None):
    """Run it on a terminal of 80 columns; what it wrote."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(REPRO, stdin=its, stdout=its, stderr=its, start_new_session=True)
    os.close(its)
    meanwhile(process)
    written = b""
    try:
        while read := os.read(ours, 2**16):
            written += read
    except OSError:  # the other side is closed
        os.close(ours)
    assert process.wait(30) == code
    text = written.decode()
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l") >= 0  # the cursor is there again
    lines = re.split("[\r\n]+", re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text))
    assert lines.pop() == ""  # and at the beginning of a line
    return lines


def test_a_terminal_has_lines_that_fit_and_each_finished_model_once(faked):
    lines = on_a_terminal(0)
    assert max(map(len, lines)) <= 80
    for name in ("p1", "v3", "other"):
        (finished,) = [line for line in lines if re.match(rf"\d\d:\d\d:\d\d {name}: ", line)]
        assert "R@5 0.310, cosine 0.520 on dev" in finished
    in_full = f"UserWarning: {' '.join(map(str, range(1, 61)))}"
    assert in_full in " ".join(" ".join(lines).split())
    text = "\n".join(lines)
    assert re.search(r"^0 of 3 models; \d\d:\d\d:\d\d, \d+ s so far$", text, re.MULTILINE)
    assert re.search(r"^2 of 3 models, about \d+ min left; ", text, re.MULTILINE)
    assert re.search(r"^  p1 train_c \d+ s: epoch 1/2, .*R@5 0.100$", text, re.MULTILINE)
    assert re.search(r"^5 stages in \d+ s; see plots/report.html$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("command", "how"),
    [
        ("", "`python tools/repro.py 2` again; it goes on from here"),
        ("make repro", "`make repro` again; it goes on from here"),
        ("make quick", "`make quick` again; it starts anew"),
    ],
)
def test_an_interruption_names_the_command_and_leaves_the_terminal_sane(faked, monkeypatch, command, how):
    monkeypatch.setenv("LVM_COMMAND", command)
    monkeypatch.setenv("SLOW", "60")

    def interrupt(process):
        while process.poll() is None and len(list(faked.glob("began-*"))) < 2:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)

    lines = on_a_terminal(repro.INTERRUPTED, interrupt)
    assert lines[-1] == f"interrupted: run {how}"
    assert (
        len([line for line in lines if re.fullmatch(r"\d\d:\d\d:\d\d (p1|v3) train_c \d+ s: interrupted", line)]) == 2
    )
    assert not [line for line in lines if "ERROR" in line]
