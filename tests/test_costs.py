"""The record of what processes cost, and the table that `python -m benchmarks pipeline` makes of it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks import pipeline
from lvm_core.runtime import cli
from lvm_core.runtime.cli import run_stage
from lvm_core.runtime.errors import LvmError
from tests.paths import ROOT


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_process_leaves_one_line_with_what_it_started(tmp_path, monkeypatch):
    code = "import subprocess, sys\nfrom lvm_core.runtime.cli import leave_record\n"
    code += "subprocess.run([sys.executable, '-c', 'sum(range(20_000_000))'], check=True)\nleave_record()"
    monkeypatch.setenv(cli.VARIABLE, str(tmp_path / "run.jsonl"))
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code, "p1"], cwd=ROOT, check=True)
    first, second = lines(tmp_path / "run.jsonl")
    assert set(first) == set(second) == {"argv", "cpu", "wall", "rss", "processes"}
    assert first["argv"] == ["-c", code, "p1"]
    assert first["cpu"] > 0.1  # of the process that it started
    assert first["wall"] > 0.1
    assert first["rss"] > 5_000


@pytest.mark.parametrize("where", ["", "not/there/run.jsonl", "."])
def test_a_record_that_cannot_be_written_is_none(where, tmp_path, monkeypatch):
    monkeypatch.setenv(cli.VARIABLE, str(tmp_path / where) if where else "")
    cli.leave_record()
    assert not list(tmp_path.iterdir())


def test_a_stage_that_fails_has_cost_something_too(tmp_path, monkeypatch, capsys):
    def fails() -> None:
        raise LvmError("no data")

    monkeypatch.setenv(cli.VARIABLE, str(tmp_path / "run.jsonl"))
    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(SystemExit, match="1"):
        run_stage(fails)
    assert capsys.readouterr().err == "error: no data\n"
    assert len(lines(tmp_path / "run.jsonl")) == 1


BEFORE = [
    {"argv": ["-m", "stages.train", "p1", "a"], "cpu": 60.0, "wall": 70.0, "rss": 1},
    {"argv": ["-u", "-m", "stages.train", "p1", "b"], "cpu": 30.0, "wall": 31.0, "rss": 1},
    {"argv": ["-m", "stages.gate", "p1"], "cpu": 6.0, "wall": 7.0, "rss": 1},
    {"argv": ["/usr/bin/dvc", "repro"], "cpu": 3.0, "wall": 120.0, "rss": 1},
    {"argv": ["tools/mend.py", "--quiet"], "cpu": 1.0, "wall": 1.0, "rss": 1},
]
"""Every process has its line, DVC's too, and none says how long the whole took: the longest one's."""
AFTER = [
    {"argv": ["-m", "stages.train", "p1", "a"], "cpu": 1500.0, "wall": 1600.0, "rss": 1, "processes": 1},
    {"argv": ["dvc"], "cpu": 500.0, "wall": 0.0, "rss": 1, "processes": 7},
    {"argv": ["tools/repro.py", "2"], "cpu": 0.0, "wall": 1000.0, "rss": 1, "processes": 1},
    {"argv": ["tools/repro.py", "2"], "cpu": 0.0, "wall": 500.0, "rss": 1, "processes": 1},
]
"""Two records of a run that was interrupted, put together: both wall times count."""


def write(path, entries):
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return str(path)


def test_two_records_are_shown_side_by_side(tmp_path, capsys):
    paths = [write(tmp_path / "before.jsonl", BEFORE), write(tmp_path / "after.jsonl", AFTER)]
    assert pipeline.main(paths) == 0
    head, rule, *rows = [
        [cell.strip() for cell in row.split("|")[1:-1]] for row in capsys.readouterr().out.splitlines()
    ]
    assert head[:4] == ["stage", "CPU s, before", "processes, before", "share, before"]
    assert len(rule) == len(head) == 7
    assert rows == [
        ["`train`", "90", "2", "90.0%", "1,500", "1", "75.0%"],
        ["`gate`", "6", "1", "6.0%", "-", "-", "-"],
        ["DVC itself", "3", "1", "3.0%", "500", "7", "25.0%"],
        ["other processes", "1", "1", "1.0%", "0", "2", "0.0%"],
        ["**all**", "100", "5", "100.0%", "2,000", "10", "100.0%"],
        ["wall time", "120 s", "", "", "1,500 s", "", ""],
    ]


def test_the_newest_record_is_the_one_that_is_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert pipeline.main([]) == 1
    assert capsys.readouterr().err.startswith("error: build/runs: has no record of a run; run `make repro`")
    (tmp_path / "build/runs").mkdir(parents=True)
    write(tmp_path / "build/runs/2026-01-02T10-00-00-9.jsonl", AFTER)
    write(tmp_path / "build/runs/2026-01-01T10-00-00-10.jsonl", BEFORE)
    assert pipeline.main([]) == 0
    assert "| `train` | 1,500 | 1 | 75.0% |" in capsys.readouterr().out


@pytest.mark.parametrize("line", ["{", "[]", '{"argv": ["x"]}', '{"argv": 1, "cpu": 1, "wall": 1}', "\x00"])
def test_what_is_no_record_is_named(line, tmp_path, capsys):
    path = tmp_path / "run.jsonl"
    path.write_text(json.dumps(BEFORE[0]) + "\n" + line + "\n")
    assert pipeline.main([str(path)]) == 1
    assert capsys.readouterr().err == f"error: {path}: line 2 is no line of a record\n"
    assert pipeline.main([str(tmp_path / "gone.jsonl")]) == 1
    assert "gone.jsonl: cannot be read" in capsys.readouterr().err


def test_the_command_of_the_documents(tmp_path):
    path = write(tmp_path / "run.jsonl", BEFORE)
    command = [sys.executable, "-m", "benchmarks", "pipeline", path]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert "| **all** | 100 | 5 | 100.0% |" in done.stdout
