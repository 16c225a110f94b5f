"""The gates after phase A: what they read and decide under each policy, and what training does with the decision."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import yaml

from lvm_core.bank import load_bank
from lvm_core.comparison.rows import judge_phases
from lvm_core.config.figures import FIGURES
from lvm_core.config.gates import GatesParams, rivals_of_sets, set_of, sets_of
from lvm_core.config.groups import EvaluateParams
from lvm_core.config.params import load_group, read_params
from lvm_core.config.references import REFERENCES
from lvm_core.config.settings import SETTINGS
from lvm_core.fivecat.evaluate import evaluate, evaluate_splits, write_evaluations
from lvm_core.fivecat.references import copy_last
from lvm_core.models.checkpoint import load_model
from lvm_core.report.gate_tables import phases_table
from lvm_core.report.tables import markdown
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import phase_directory, write_json
from lvm_core.selection.gates_text import decide, stopped_note
from lvm_core.selection.judge import judge_gates, judge_row, passed_of
from lvm_core.train import Decision, decision_file, read_decision, write_decision
from tests import report_data as made
from tests.calling import list_code, one_clear_line, run_stage, settle
from tests.paths import ROOT
from tests.synthetic import make_bank, write_bank
from tests.test_gates import ALWAYS, judgement, one_gate
from tests.training import small_bank, small_recipe, write_inputs, write_untrained

PARAMS = read_params(ROOT / "params.yaml")
GATES: GatesParams = load_group(PARAMS, "gates", GatesParams)
LOW = {f"{split}_{figure}": 0.0 for split in ("val", "ood") for figure in FIGURES}
SETS = {
    "easy": {"cosine": ALWAYS},
    "hard": {
        "cosine": ALWAYS,
        "margin": {"all_of": [{"split": "val", "figure": "margin", "at_least": 2.0}]},
    },
    "duel": {
        "leads": {
            "all_of": [{"split": "val", "figure": "cosine", "above": -2.0, "minus": {"best_of": ["copy_last"]}}],
        }
    },
}
"""Sets that every predictor passes, none passes, and every one passes, but not without a rival."""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with what the stage reads: a bank, `p1` after phase A, and the evaluation of one reference."""
    folder = tmp_path_factory.mktemp("gates")
    bank = make_bank({"train": [30], "val": [30] * 4, "ood": [25] * 4})
    write_bank(bank, folder / "data/bank")
    write_untrained(folder / phase_directory("p1", "a"), 16)
    done = evaluate_splits(bank, copy_last(), EvaluateParams(full_bank=False))
    write_evaluations(folder / "data/evaluation/references/copy_last", done)
    return folder


def prepare(folder, own=None, sets=None, **gates):
    """Write params.yaml with these values of `gates`, these sets beside `SETS`, and this set of `p1`'s own."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["gates"] |= gates
    params["gates"]["sets"] |= SETS | (sets or {})
    if own:
        params["recipes"]["p1"]["gates"] = own
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def ask(folder, **changes):
    """Run the stage under `prepare`."""
    prepare(folder, **changes)
    settle(folder, "gate", "p1")
    return run_stage(["stages.gate", "p1"], folder)


def decided(folder):
    return read_decision(folder / decision_file("a", "p1"))


def summary(folder):
    return json.loads((folder / "data/evaluation/a/p1/summary.json").read_text())


def wanting(limit, figure="margin"):
    return {"mine": {"wants": {"all_of": [{"split": "val", "figure": figure, "at_least": limit}]}}}


# ---- the decision ----


def test_under_report_everybody_goes_on_and_no_limit_changes_a_byte(project):
    """Of what the stage reads and of what it decides."""
    written = set()
    limits = [{"in_force": "mine", "sets": wanting(limit)} for limit in (-2.0, 2.0)]
    for change in ({"in_force": "easy"}, {"in_force": "easy", "own": "hard"}, *limits):
        done = ask(project, policy="report", **change)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == "gate p1: evaluated after phase A; goes on (policy report)"
        files = (decision_file("a", "p1"), SETTINGS / "gate/p1.yaml", "data/evaluation/a/p1/summary.json")
        written.add(tuple((project / path).read_bytes() for path in files))
    ((decision, _, _),) = written
    assert decision == b'{\n  "goes_on": true,\n  "why": null\n}\n'


def test_under_enforce_limits_are_read(project):
    read = set()
    for limit in (-2.0, 2.0):
        done = ask(project, policy="enforce", in_force="mine", sets=wanting(limit))
        assert done.returncode == 0, done.stderr
        assert decided(project).goes_on == (limit < 0)
        read.add((project / SETTINGS / "gate/p1.yaml").read_bytes())
    assert len(read) == 2


def test_under_enforce_a_gate_that_is_failed_stops(project):
    done = ask(project, policy="enforce", in_force="hard")
    assert done.stdout.endswith(
        "gate p1: passed 1 of 2 of hard after phase A; not passed: margin; goes no further (policy enforce)\n"
    )
    found = decided(project)
    assert not found.goes_on
    margin = f"{round(summary(project)['val']['margin'], 4):g}"
    assert found.why == f"hard: margin (val margin = {margin}, needs >= 2)"
    done = ask(project, policy="enforce", in_force="easy")
    assert done.stdout.endswith("gate p1: passed 1 of 1 of easy after phase A; goes on (policy enforce)\n")
    assert decided(project) == Decision(goes_on=True, why=None)


def test_a_recipes_own_set_comes_before_the_one_in_force(project):
    ask(project, policy="enforce", in_force="easy", own="hard")
    assert not decided(project).goes_on
    ask(project, policy="enforce", in_force="hard", own="easy")
    assert decided(project).goes_on


def test_references_are_read_only_where_a_condition_needs_them_and_decides(project, tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("bank", "phases"):
        (tmp_path / "data" / name).symlink_to(project / "data" / name)
    assert ask(tmp_path, policy="report", in_force="duel").returncode == 0
    assert ask(tmp_path, policy="enforce", in_force="hard").returncode == 0
    line = one_clear_line(ask(tmp_path, policy="enforce", in_force="duel"))
    assert "data/evaluation/references/copy_last" in line
    assert ask(project, policy="enforce", in_force="duel").returncode == 0
    assert decided(project).goes_on


@pytest.mark.parametrize("policy", ["report", "enforce"])
def test_the_model_after_phase_a_is_measured_as_far_as_a_gate_reads_it(project, policy):
    """And what is measured is what a whole evaluation would find."""
    model = load_model(project / phase_directory("p1", "a"))
    params = load_group(PARAMS, "evaluate", EvaluateParams)
    whole = evaluate(load_bank(project / "data/bank"), "val", model.predict_raw, params, seed=PARAMS["seed"]).summary
    for figure, rolled in (("rollout", True), ("margin", False)):
        assert ask(project, policy=policy, in_force="mine", sets=wanting(-2.0, figure)).returncode == 0
        found = summary(project)["val"]
        assert found["rollout"] == (whole["rollout"] if rolled else None)
        assert (found["contrastive_accuracy"], found["windows"]["full_bank"]) == (None, 0)
        assert (found["profile"], found["mrr"]) == (whole["profile"], whole["mrr"])


def test_a_gate_that_applies_but_cannot_be_told_stops_too():
    """As it makes the answer of `python -m lvm_core.gates` a no."""
    params = one_gate({"split": "val", "figure": "mrr", "at_least": 0.1}).model_copy(update={"policy": "enforce"})
    row = judge_row(params, "certified", "m", {"m": judgement({"val_mrr": None})})
    assert decide(params, "certified", row).why == "certified: g (val mrr = undefined, needs >= 0.1)"
    nothing = judge_row(params, "certified", "m", {"m": judgement(dict.fromkeys(LOW))})  # no window of val at all
    assert decide(params, "certified", nothing).goes_on


@pytest.fixture(scope="module")
def resolved(tmp_path_factory):
    """A folder in which the stage `resolve` has run, under `report`."""
    folder = tmp_path_factory.mktemp("resolved")
    list_code(folder)
    prepare(folder, in_force="mine", sets=wanting(0.1))
    assert run_stage(["stages.resolve"], folder).returncode == 0
    return folder


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"in_force": "mine"}, "gates.in_force = 'mine': there is no such set in gates.sets (certified, "),
        ({"policy": "maybe"}, "gates.policy = 'maybe': input should be 'report' or 'enforce'"),
        ({"own": "mine"}, "recipes.p1.gates = 'mine': there is no such set in gates.sets (certified, "),
        ({"own": ["certified"]}, "recipes.p1.gates = ['certified']: there is no such set in gates.sets (certified, "),
    ],
)
def test_each_mistake_is_one_line_and_changes_nothing(resolved, changes, words):
    """Said by `resolve`, before anything runs: under `report` the stage itself reads no gate."""
    prepare(resolved, **changes)
    before = contents(resolved)
    line = one_clear_line(run_stage(["stages.resolve"], resolved))
    assert "params.yaml: " in line
    assert words in line
    assert contents(resolved) == before


@pytest.mark.parametrize("policy", ["report", "enforce"])
def test_another_limit_changes_only_the_settings_of_stages_that_read_it(resolved, tmp_path, policy):
    """Of the gate stages only under `enforce`; what training reads never."""
    shutil.copytree(resolved, tmp_path, dirs_exist_ok=True)
    found = [] if policy == "enforce" else [contents(resolved / "data")]
    for limit in (0.1, 0.2)[len(found) :]:
        prepare(tmp_path, policy=policy, in_force="mine", sets=wanting(limit))
        assert run_stage(["stages.resolve"], tmp_path).returncode == 0
        found.append(contents(tmp_path / "data"))
    read_by = {"settings/compare.yaml", "settings/ladder.yaml"}
    if policy == "enforce":
        read_by |= {f"settings/gate/{name}.yaml" for name in PARAMS["names"]}
    assert found[0].keys() == found[1].keys()
    assert {name for name in found[0] if found[0][name] != found[1][name]} == read_by


@pytest.mark.parametrize(
    "text", [None, "", "[]", '{"goes_on": 1, "why": null}', '{"goes_on": false, "why": null}', '{"goes_on": true}']
)
def test_a_damaged_decision_is_one_line(tmp_path, text):
    path = tmp_path / "p1.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(LvmError, match=r"p1\.json.*dvc repro"):
        read_decision(path)


def test_the_stage_reads_its_settings_before_it_imports_torch():
    """A mistake in them is said at once."""
    code = "import sys, stages.gate, stages.evaluate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# ---- which set ----


def test_a_recipe_that_there_is_not_has_no_set():
    with pytest.raises(LvmError, match="recipes has no 'p9'; defined are p1, "):
        sets_of(["p9"], PARAMS["recipes"], GATES)


def test_the_set_of_a_recipe():
    assert set_of({"about": "x"}, GATES.model_copy(update={"in_force": "certified"})) == "certified"
    assert set_of({"gates": "certified"}, GATES) == "certified"
    assert sets_of(["p1", "p5_1", "p5_1_sim"], PARAMS["recipes"], GATES) == {
        "p1": "stage_a", "p5_1": "p5_1_strict", "p5_1_sim": "p5_1_strict",
    }  # fmt: skip


def test_rivals_of_a_set_and_of_the_sets_it_counts():
    assert rivals_of_sets(GATES, "stage_a") == []
    certified = rivals_of_sets(GATES, "certified")
    assert {"copy_last", "random"} < set(certified) < set(REFERENCES)
    assert certified == [name for name in REFERENCES if name in certified]
    counting = {"set": "stage_a", "at_least": 1}
    leads = {"g": {"all_of": [{"split": "val", "figure": "mrr", "above": 0.0, "minus": {"best_of": ["ridge"]}}]}}
    assert rivals_of_sets(one_gate(counting, stage_a=leads), "certified") == ["ridge"]


def test_one_row_alone_is_judged_as_among_all():
    rows = {name: judgement(LOW | {"val_margin": 0.01 * place}) for place, name in enumerate(("m", *REFERENCES))}
    together = judge_gates(GATES, rows)
    for name in GATES.sets:
        own = {row: rows[row] for row in ("m", *rivals_of_sets(GATES, name))}
        assert judge_row(GATES, name, "m", own) == together[name].corrected["m"]


# ---- what training does with it ----

WHY = "hard: margin (val margin = -0.1, needs >= 2)"


@pytest.fixture
def place(tmp_path):
    """Everything that training reads; phase A is trained."""
    write_inputs(tmp_path, small_bank(), small_recipe(train={"epochs": {"a": 1, "b": 1, "c": 1}}))
    assert train(tmp_path, "a").returncode == 0
    return tmp_path


def train(folder, phase):
    return run_stage(["stages.train", "small", phase], folder)


def stop(folder, why=WHY):
    write_decision(folder / decision_file("a", "small"), Decision(goes_on=why is None, why=why))


def bytes_of(folder, phase):
    directory = phase_directory("small", phase)
    return {path.name: path.read_bytes() for path in (folder / directory).iterdir()}


def test_a_stopped_recipe_keeps_its_weights_byte_for_byte(place):
    stop(place)
    for phase in "bc":
        done = train(place, phase)
        assert done.returncode == 0, done.stderr
        assert f"not trained, stopped after phase a by the gates: {WHY}" in done.stdout
    a, b, c = (bytes_of(place, phase) for phase in "abc")
    told = [json.loads(files.pop("model.json")) for files in (a, b, c)]
    assert a == b
    assert set(a) == {"model.safetensors", "last.safetensors", "optimizer.safetensors"}
    assert c == {"model.safetensors": a["model.safetensors"]}
    assert told[0] | {"stopped_after": "a", "why_stopped": WHY} == told[1] == told[2]
    assert (told[0]["stopped_after"], told[0]["why_stopped"], told[2]["phase"]) == (None, None, "a")
    info = load_model(place / phase_directory("small", "c")).info
    assert (info.stopped_after, info.why_stopped, len(info.history)) == ("a", WHY, 1)
    assert pd.read_csv(place / "plots/training/small.csv")["phase"].tolist() == ["a"]
    assert not (place / ".resume").exists()


def test_a_recipe_that_goes_on_is_trained_through_all_phases(place):
    for phase in "bc":
        assert train(place, phase).returncode == 0
    info = load_model(place / phase_directory("small", "c")).info
    assert (info.stopped_after, info.why_stopped, info.phase) == (None, None, "c")
    assert [epoch["phase"] for epoch in info.history] == ["a", "b", "c"]
    assert bytes_of(place, "a")["model.safetensors"] != bytes_of(place, "b")["model.safetensors"]


def test_after_a_stop_is_lifted_the_recipe_is_trained_as_if_it_had_not_been(place):
    for phase in "bc":
        train(place, phase)
    undisturbed = bytes_of(place, "c")
    for why in (WHY, None):
        stop(place, why)
        for phase in "bc":
            train(place, phase)
    assert bytes_of(place, "c") == undisturbed


def test_weights_of_another_bank_are_not_passed_on(place):
    stop(place)
    path = place / phase_directory("small", "a") / "model.json"
    write_json(path, json.loads(path.read_text()) | {"data_sha256": "0"})
    assert "trained on another bank" in one_clear_line(train(place, "b"))
    assert not (place / phase_directory("small", "b")).exists()


@pytest.mark.parametrize("name", ["model.safetensors", "last.safetensors", "optimizer.safetensors"])
def test_damaged_weights_are_not_passed_on(place, name):
    stop(place)
    path = place / phase_directory("small", "a") / name
    path.write_bytes(path.read_bytes()[:100])
    assert name in one_clear_line(train(place, "b"))
    assert not (place / phase_directory("small", "b")).exists()


def test_phase_b_does_not_begin_without_a_decision(place):
    (place / decision_file("a", "small")).unlink()
    assert "data/gates/a/small.json: cannot be read" in one_clear_line(train(place, "b"))


# ---- the chapter ----


def chapter(policy, whys, sets):
    """The chapter on recipes of which `good` passes everything and the others nothing."""
    params = GATES.model_copy(update={"policy": policy})
    references = {name: judgement(LOW) for name in REFERENCES}
    values = {name: judgement({} if name == "good" else LOW) for name in whys}
    best = judgement({"val_margin": 0.9, "ood_margin": 0.9, "val_recall_at_5": 0.9})
    decisions = {name: Decision(goes_on=why is None, why=why) for name, why in whys.items()}
    found = judge_phases(params, sets, dict.fromkeys("ab", references | values), decisions)
    results = judge_gates(params, references | values | ({"late": best} if "late" in sets else {}))
    rows = [{"name": name, **passed_of(name, results)} for name in sets]
    table = phases_table(found, rows)
    assert table is not None
    return found, markdown(table)


def test_the_chapter_counts_after_each_phase():
    sets = {"late": "p5_1_strict", "poor": "stage_a"}
    found, text = chapter("report", dict.fromkeys(sets), sets)
    assert "| `late` | p5_1_strict | 0 of 2 | 0 of 2 | 2 of 2 | margin, recall_at_5 | - |" in text
    assert "| `poor` | stage_a | 0 of 7 | 0 of 7 | 0 of 7 | margin_val," in text
    assert "after A |" not in text.split("\n", 2)[2]
    assert {stopped_note(one) for one in found.values()} == {""}


def test_the_chapter_says_who_was_stopped_and_why():
    sets = {"good": "p5_1_strict", "poor": "p5_1_strict"}
    found, text = chapter("enforce", {"good": None, "poor": WHY}, sets)
    poor, good = (next(line for line in text.splitlines() if f"| `{name}`" in line) for name in ("poor", "good"))
    assert poor.endswith("| after A |")
    assert not good.endswith("| after A |")
    page = made.text(made.comparison(stopped=["p1"]))
    assert "The policy: a recipe that does not pass its set after phase A goes no further" in page
    assert "- `p1` was stopped after phase A by it." in page
    assert page.count("was stopped after phase A by") == 1
    assert "stopped after phase A" in stopped_note(found["poor"])
    assert stopped_note(found["good"]) == ""


def test_an_answer_that_cannot_be_told_is_marked():
    params = one_gate({"split": "val", "figure": "mrr", "at_least": 0.1})
    rows = {"m": judgement({"val_mrr": None})}
    found = judge_phases(params, {"m": "certified"}, dict.fromkeys("ab", rows), {"m": Decision(goes_on=True, why=None)})
    table = phases_table(found, [{"name": "m", **passed_of("m", judge_gates(params, rows))}])
    assert table is not None
    assert "| `m` | certified | 0 of 0 | 0 of 0 | 0 of 0 | g? | - |" in markdown(table)
