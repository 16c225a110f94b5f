"""The benchmarks run, and write what programs and people read; how fast anything is, no test asks."""

from __future__ import annotations

import json
import sys

import pandas as pd
import pytest

from benchmarks import bench_gpu, bench_growth, bench_scoring
from benchmarks.report import at_least, at_most, for_information, write_report
from benchmarks.timing import in_turn
from tests.calling import run_stage
from tests.paths import ROOT
from tests.training import small_recipe


def test_a_quick_run_writes_what_it_prints(tmp_path, monkeypatch):
    """`python -m benchmarks gpu`, in small and on a processor, with what it writes on request."""
    monkeypatch.setattr(bench_gpu, "recipe_of", lambda size: small_recipe())
    monkeypatch.setattr(bench_scoring, "CHUNKS", 20_000)
    done = run_stage(["benchmarks", "--quick", "gpu", "scoring", "--output", str(tmp_path)], ROOT)
    assert done.returncode == 0, done.stderr
    lines = json.loads((tmp_path / "bench.json").read_text())
    table = (tmp_path / "bench.md").read_text()
    assert len(lines) == 8
    for line in lines:
        assert set(line) == {"name", "ratio", "goal", "met", "against", "detail"}
        assert (line["goal"] is None) == (line["met"] is None)
        assert line["name"] in done.stdout
        assert line["name"] in table


def test_a_peer_that_is_not_installed_is_one_clear_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.delitem(sys.modules, "benchmarks.bench_retrieval", raising=False)
    done = run_stage(["benchmarks", "--quick", "retrieval"], ROOT)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: faiss is not installed; run `make bench`")
    assert "Traceback" not in done.stderr


def test_an_unknown_benchmark_is_refused():
    done = run_stage(["benchmarks", "speed"], ROOT)
    assert done.returncode == 2
    assert "'speed' is no benchmark; there are training" in done.stderr


def test_goals_are_met_from_the_right_side():
    assert at_least("x", 2.0, 2.0, "", "").met
    assert not at_least("x", 1.9, 2.0, "", "").met
    assert at_most("x", 2.0, 2.0, "", "").met
    assert not at_most("x", 2.1, 2.0, "", "").met
    assert for_information("x", 1.0, "", "").met is None


def test_an_unmet_goal_is_seen_in_the_table(tmp_path):
    write_report(tmp_path, [at_most("slow", 3.0, 2.0, "fast", "detail")])
    assert "| slow | 3 | 2 | **no** | fast | detail |" in (tmp_path / "bench.md").read_text()


def test_both_sides_are_run_in_turn():
    order: list[str] = []
    timed = in_turn(lambda: order.append("one"), lambda: order.append("other"), 3)
    assert order == ["one", "other"] * 4
    assert timed.first > 0


def test_growth_is_measured_in_fresh_processes_and_drawn(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench_growth, "SIZES", (200, 400))
    monkeypatch.setattr(bench_growth, "STEPS", {"score": "score"})
    (line,) = bench_growth.measure(quick=False)
    assert line.name == "growth of score: 200 to 400 windows"
    table = pd.read_csv(tmp_path / "plots/growth.csv")
    assert table["windows"].tolist() == [200, 400]
    assert (table[["seconds", "peak_mb"]] > 0).all().all()
    assert "training windows" in (tmp_path / "plots/growth.svg").read_text()


@pytest.mark.parametrize("what", ["numbers", "names"])
def test_the_committed_report_says_the_same_twice(what):
    lines = json.loads((ROOT / "metrics/bench.json").read_text())
    table = (ROOT / "metrics/bench.md").read_text()
    for line in lines:
        assert (f"| {line['ratio']:.3g} |" if what == "numbers" else f"| {line['name']} |") in table
