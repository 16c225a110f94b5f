"""`python -m lvm_core.gates`: the exit code says whether a row passes; every mistake is one line with the remedy."""

from __future__ import annotations

import json

import pytest

from lvm_core.config.figures import FIGURES
from lvm_core.config.gates import GatesParams
from lvm_core.config.params import load_group, read_params
from lvm_core.config.references import REFERENCES
from lvm_core.fivecat.statistics import Judgement
from lvm_core.runtime.files import write_json
from lvm_core.selection import to_json
from lvm_core.selection.judge import judge_gates
from tests.calling import one_clear_line, run_stage
from tests.paths import ROOT
from tests.test_gates import judgement


@pytest.fixture
def folder(tmp_path):
    """A project with the comparison of a good recipe, a poor one and the references."""
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    low = {f"{split}_{figure}": 0.0 for split in ("val", "ood") for figure in FIGURES}
    harmed = {
        f"{split}_order_{name}": -0.3 for split in ("val", "ood") for name in ("shuffle", "reverse", "leave_one_out")
    }
    rows: dict[str, Judgement] = {name: judgement(low) for name in REFERENCES}
    rows |= {"good": judgement({**harmed, "val_published_margin": -0.6}), "poor": judgement(low)}
    params = load_group(read_params(tmp_path / "params.yaml"), "gates", GatesParams)
    write_json(tmp_path / "metrics/comparison.json", {"rows": [], "gates": to_json(judge_gates(params, rows))})
    return tmp_path


def ask(folder, *arguments):
    return run_stage(["lvm_core.gates", *arguments], folder)


def edit(folder, old, new, file="params.yaml"):
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))


def test_a_set_that_is_passed(folder):
    done = ask(folder, "--recipe", "good", "--set", "certified")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 6 + 1
    assert lines[0] == "pass  ranks_next: lo[val recall_at_5 - best of rivals] = 0.5, needs > 0: pass"
    assert lines[5].startswith("pass  rolls: ")
    assert lines[6] == "good: certified (corrected frame) passed, 6 of 6 gates that apply"


def test_a_set_that_is_not_passed(folder):
    for row in ("poor", "copy_last"):
        done = ask(folder, "--recipe", row, "--set", "certified")
        assert (done.returncode, done.stderr) == (1, "")
        assert done.stdout.splitlines()[-1] == f"{row}: certified (corrected frame) not passed, 0 of 6 gates that apply"
        assert "fail  specific: lo[val margin_unseen - 0.5 x copy_last] = 0, needs > 0: fail" in done.stdout


def test_the_frame_makes_the_difference(folder):
    ours, theirs = (
        ask(folder, "--recipe", "good", "--set", "stage_a", "--frame", frame).stdout
        for frame in ("corrected", "published")
    )
    assert "pass  margin_val: val margin = 0.5, needs >= 0.02: pass" in ours
    assert "fail  margin_val: val published_margin = -0.6, needs >= 0.02: fail" in theirs
    assert "(published frame) not passed" in theirs


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--recipe", "p9", "--set", "certified"], ["no row 'p9'", "copy_last", "good, poor", "names", "dvc repro"]),
        (["--recipe", "good", "--set", "mine"], ["no set 'mine'", "certified, stage_a", "published_5cat"]),
        (["--recipe", "good"], ["--set", "usage: python -m lvm_core.gates"]),
        (["--recipe", "good", "--set", "stage_a", "--frame", "old"], ["'old'", "usage"]),
        (["--recipe", "good", "--set", "certified", "more"], ["more", "usage"]),
        (["--recipe", "good", "--set", "certified", "--frame", "published"], ["certified", "leave out --frame"]),
    ],
)
def test_wrong_questions(folder, arguments, words):
    line = one_clear_line(ask(folder, *arguments))
    for word in words:
        assert word in line


def test_help(folder):
    done = ask(folder, "--help")
    assert done.returncode == 0
    assert "--frame" in done.stdout


def test_a_set_that_has_changed_since(folder):
    edit(folder, "figure: cosine, at_least: 0.5}", "figure: cosine, at_least: 0.4}")
    line = one_clear_line(ask(folder, "--recipe", "good", "--set", "stage_a"))
    assert "gates.sets.stage_a of params.yaml has changed" in line
    assert "dvc repro" in line
    assert ask(folder, "--recipe", "good", "--set", "certified").returncode == 0  # not concerned


def test_a_counted_set_that_has_changed_since(folder):
    edit(folder, "figure: margin, at_least: 0.12", "figure: margin, at_least: 0.1")
    assert "gates.sets.published_5cat" in one_clear_line(ask(folder, "--recipe", "good", "--set", "stage_a"))


def test_a_comment_or_another_order_of_keys_is_no_change(folder):
    edit(folder, "{split: val, figure: cosine, at_least: 0.5}", "{figure: cosine, at_least: 0.50, split: val} # same")
    done = ask(folder, "--recipe", "good", "--set", "stage_a")
    assert done.stderr == ""
    assert "pass  cosine: " in done.stdout


def test_a_set_added_since(folder):
    edit(
        folder, "    stage_a:", "    mine:\n      a: {all_of: [{split: val, figure: mrr, at_least: 0.1}]}\n    stage_a:"
    )
    assert "made without the set mine; run `dvc repro" in one_clear_line(
        ask(folder, "--recipe", "good", "--set", "mine")
    )


def damage(folder, change):
    path = folder / "metrics/comparison.json"
    whole = json.loads(path.read_text())
    change(whole)
    path.write_text(json.dumps(whole))


@pytest.mark.parametrize(
    "change",
    [
        lambda whole: whole.pop("gates"),
        lambda whole: whole.update(gates=3),
        lambda whole: whole["gates"].update(certified=3),
        lambda whole: whole["gates"]["certified"].pop("corrected"),
        lambda whole: whole["gates"]["certified"]["corrected"]["good"]["gates"]["specific"].update(passed="four"),
        lambda whole: whole["gates"]["certified"]["corrected"]["good"]["gates"].pop("specific"),
        lambda whole: whole["gates"]["certified"]["corrected"]["good"]["gates"]["specific"].update(conditions=[]),
    ],
)
def test_a_damaged_file(folder, change):
    damage(folder, change)
    line = one_clear_line(ask(folder, "--recipe", "good", "--set", "certified"))
    assert "metrics/comparison.json" in line
    assert "dvc repro" in line


@pytest.mark.parametrize("text", [None, "", "{", "[]", "\x00"])
def test_no_file_or_no_json(folder, text):
    path = folder / "metrics/comparison.json"
    path.unlink()
    if text is not None:
        path.write_text(text)
    line = one_clear_line(ask(folder, "--recipe", "good", "--set", "certified"))
    assert "metrics/comparison.json" in line
    assert "dvc repro" in line


@pytest.mark.parametrize("part", [lambda gate: gate, lambda gate: gate["conditions"][0]])
def test_verdicts_that_were_edited_do_not_fool_it(folder, part):
    """A verdict must be that of its value and limit."""
    gates = lambda whole: whole["gates"]["certified"]["corrected"]["poor"]["gates"]  # noqa: E731
    damage(folder, lambda whole: part(gates(whole)["specific"]).update(passed=True))
    assert "damaged" in one_clear_line(ask(folder, "--recipe", "poor", "--set", "certified"))
