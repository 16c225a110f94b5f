"""What the ladder trains itself: stopped recipes that pass, trainings that diverge, threads, reports not written."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from lvm_core.models.checkpoint import load_model
from lvm_core.report.ladder_text import ladder_text
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import model_directory, write_json
from lvm_core.runtime.readers import read_json
from lvm_core.runtime.resume import ROOT as PROGRESS
from lvm_core.selection.choice import SELECTED
from lvm_core.selection.dev_gates import Judge
from lvm_core.train import phases
from lvm_core.train.trainer import Trainer
from tests.ladder_run import ALWAYS, RECIPES, SECOND, exactly, go_up

pytestmark = pytest.mark.xdist_group("ladder")


def stopped_by_enforce(name):
    """The pipeline's final model of a recipe, as it is after the gates have stopped it after phase A."""
    directory = model_directory(name, "c")
    before = {file: (model_directory(name, "a") / file).read_bytes() for file in ("model.json", "model.safetensors")}
    for file, content in before.items():
        (directory / file).write_bytes(content)
    write_json(
        directory / "model.json", read_json(directory / "model.json") | {"stopped_after": "a", "why_stopped": "x"}
    )


def test_a_recipe_stopped_by_the_gates_that_passes_on_dev_is_trained_to_its_end(place):
    whole = load_model(model_directory("first", "c"))
    stopped_by_enforce("first")
    found = go_up({"recipe": "first"}, SECOND, gates=ALWAYS, policy="enforce")
    chosen, model = found["selected"], load_model(SELECTED)
    assert (chosen["recipe"], chosen["model"], chosen["phase"]) == ("first", "first-completed", "c")
    assert model.info.history == whole.info.history  # what the pipeline would have trained
    assert model.info.stopped_after is None
    for name, tensor in whole.module.state_dict().items():
        assert torch.equal(model.module.state_dict()[name], tensor)
    assert found["candidates"]["first"]["phase"] == "a"
    text = ladder_text(found, {})
    assert "phases B and C were trained here" in text
    assert "not wholly untouched" in text
    assert "decide nothing" not in text
    assert not PROGRESS.exists()


def test_the_fallback_says_who_was_stopped(place):
    stopped_by_enforce("first")
    found = go_up({"recipe": "first"}, policy="enforce")
    assert "Stopped after phase A by the gates on val and ood, and compared as they were then: `first`" in ladder_text(
        found, {}
    )
    assert "decide nothing" in ladder_text(go_up({"recipe": "second"}), {})


def diverging(monkeypatch, *works):
    """The trainings of these names come to no finite loss."""
    real, train = phases.run_phase, Trainer.train

    def run(trainer, work, *rest):
        def lost(*arguments, **named):
            raise FloatingPointError("the loss of epoch 1 is nan")

        monkeypatch.setattr(Trainer, "train", lost if work in works else train)
        return real(trainer, work, *rest)

    monkeypatch.setattr(phases, "run_phase", run)


def test_a_retry_that_diverges_has_failed_and_the_ladder_goes_on(place, monkeypatch):
    diverging(monkeypatch, "ladder-second-retry-1-a")
    found = go_up(SECOND, {"recipe": "first"})
    assert list(found["attempts"]) == ["second", "second-retry-1", "second-retry-2", "first"]
    assert found["attempts"]["second-retry-1"]["diverged"] == "the loss of epoch 1 is nan"
    assert [name for name, one in found["attempts"].items() if one["diverged"]] == ["second-retry-1"]
    assert found["selected"]["by"] == "fallback"
    json.dumps(found, allow_nan=False)
    assert "failed: the training diverged (the loss of epoch 1 is nan)" in ladder_text(found, {})
    assert not PROGRESS.exists()


def test_one_that_passes_and_diverges_later_is_not_selected(place, second_attempts, monkeypatch):
    gates = exactly(second_attempts["second-retry-1"])
    diverging(monkeypatch, "ladder-second-retry-1-c")
    found = go_up(SECOND, gates=gates)
    assert list(found["attempts"]) == ["second", "second-retry-1", "second-retry-2"]
    assert found["attempts"]["second-retry-1"]["passed"] is True
    assert found["selected"]["by"] == "fallback"
    text = ladder_text(found, {})
    assert "None of 3 attempts passes its gates on dev and is trained to its end" in text
    assert "passed, then failed: the training diverged" in text


def test_a_retry_that_fails_for_another_reason_ends_the_ladder(place, monkeypatch):
    def full(*arguments):
        raise LvmError("disk full")

    monkeypatch.setattr(phases, "run_phase", full)
    with pytest.raises(LvmError, match="disk full"):
        go_up(SECOND)


def test_retries_are_trained_with_the_threads_of_their_recipe(place, monkeypatch):
    seen, real, judged = [], phases.run_phase, Judge.on_dev

    def counting(call):
        def counted(*rest):
            seen.append(torch.get_num_threads())
            return call(*rest)

        return counted

    monkeypatch.setattr(phases, "run_phase", counting(real))
    monkeypatch.setattr(Judge, "on_dev", counting(judged))
    go_up(SECOND | {"retries": 1})
    wanted = RECIPES["second"].threads
    assert torch.get_num_threads() == 1 != wanted
    assert seen == [1, wanted, 1]  # the pipeline's model judged, the retry trained, the retry judged


def test_reports_that_cannot_be_written_cost_no_finished_retry(place, monkeypatch):
    def fails(found):
        raise LvmError("no room")

    with pytest.raises(LvmError, match="no room"):
        go_up(SECOND, write=fails)

    def no_training(*arguments):
        raise AssertionError("trained again")

    monkeypatch.setattr(phases, "run_phase", no_training)
    written: list[dict[str, Any]] = []
    assert go_up(SECOND, write=written.append) == written[0]
    assert not PROGRESS.exists()
