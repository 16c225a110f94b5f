"""The whole ladder on a small bank with small models: what is tried and selected, and what an interruption costs."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
import yaml

from lvm_core.bank import load_bank
from lvm_core.bank.chunks import Memory, gather_chunks
from lvm_core.config.figures import FIGURES, figures_in
from lvm_core.config.params import read_params
from lvm_core.fivecat.references import fit_references
from lvm_core.fivecat.statistics import RESAMPLES
from lvm_core.models.checkpoint import load_model
from lvm_core.report.ladder_text import ladder_text
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import (
    evaluation_directory,
    model_directory,
    write_json,
    write_npy,
    write_parquet,
    write_text,
)
from lvm_core.runtime.readers import read_json, read_parquet
from lvm_core.runtime.resume import ROOT as PROGRESS
from lvm_core.selection.choice import SELECTED
from lvm_core.train import phases
from tests.calling import one_clear_line, run_stage, settle
from tests.ladder_run import (
    ALWAYS,
    EVALUATE,
    RECIPES,
    SECOND,
    contents,
    dev_figures,
    exactly,
    go_up,
    write_dev,
)
from tests.paths import ROOT

pytestmark = pytest.mark.xdist_group("ladder")


def weights(directory):
    return {name: content for name, content in contents(directory).items() if name != "README.md"}


def test_attempts_are_tried_in_order_and_the_best_on_dev_is_the_fallback(place):
    found = go_up({"recipe": "third"}, SECOND, {"recipe": "absent", "step": "Option 4"}, {"recipe": "first"})
    assert list(found["attempts"]) == ["third", "second", "second-retry-1", "second-retry-2", "first"]
    assert found["skipped"] == {"absent": "Option 4"}
    assert not any(attempt["passed"] for attempt in found["attempts"].values())
    assert found["attempts"]["second-retry-2"]["parameters"] == {
        "model.pos_scalar": 0.2,
        "model.last_slot_bias.beta_max": 1.0,
    }
    best = max(RECIPES, key=dev_figures)
    assert (found["selected"]["model"], found["selected"]["by"]) == (best, "fallback")
    assert found["selected"]["dev"]["recall_at_5"] == pytest.approx(dev_figures(best))
    assert load_model(SELECTED).info == load_model(model_directory(best, "c")).info
    assert weights(SELECTED) == weights(model_directory(best, "c"))
    assert not PROGRESS.exists()
    by_cosine = go_up(criterion="cosine")["selected"]["recipe"]
    assert by_cosine == max(RECIPES, key=lambda name: dev_figures(name, "cosine"))


def test_the_first_that_passes_ends_the_ladder(place):
    found = go_up({"recipe": "first"}, SECOND, gates=ALWAYS)
    assert list(found["attempts"]) == ["first"]
    assert found["not_tried"] == {"second": "Option 3", "second-retry-1": "Option 3", "second-retry-2": "Option 3"}
    assert (found["selected"]["model"], found["selected"]["by"]) == ("first", "gates")
    assert weights(SELECTED) == weights(model_directory("first", "c"))
    assert "It is the first whose phase A passes the one gate of `mine` on dev" in ladder_text(found, {})


def test_a_retry_that_passes_is_trained_to_its_end_and_selected(place, second_attempts):
    found = go_up(SECOND, {"recipe": "first"}, gates=exactly(second_attempts["second-retry-1"]))
    assert list(found["attempts"]) == ["second", "second-retry-1"]
    chosen = found["selected"]
    assert (chosen["model"], chosen["recipe"], chosen["phase"]) == ("second-retry-1", "second", "c")
    info = load_model(SELECTED).info
    assert (info.recipe["model"]["pos_scalar"], info.architecture["last_slot_bias"]["beta_max"]) == (0.15, 0.8)
    assert [row["phase"] for row in info.history] == ["a", "b", "c"]
    assert set(contents(SELECTED)) == {"model.json", "model.safetensors", "README.md"}
    assert chosen["dev"]["cosine"] == info.history[info.epoch - 1]["dev_cosine"]
    assert "phases B and C were trained" in ladder_text(found, {})


def test_an_interrupted_ladder_goes_on_and_ends_with_the_same_bytes(place, second_attempts, monkeypatch):
    rungs = SECOND, {"recipe": "first"}
    gates = exactly(second_attempts["second-retry-2"])
    whole, model = go_up(*rungs, gates=gates), contents(SELECTED)
    shutil.rmtree(SELECTED)
    started, real = [], phases.run_phase

    def interrupted(trainer, work, *rest):
        started.append(work)
        if len(started) == 2:
            raise KeyboardInterrupt
        return real(trainer, work, *rest)

    monkeypatch.setattr(phases, "run_phase", interrupted)
    with pytest.raises(KeyboardInterrupt):
        go_up(*rungs, gates=gates)
    assert not SELECTED.exists()
    assert go_up(*rungs, gates=gates) == whole
    assert contents(SELECTED) == model
    retries = [f"ladder-{name}" for name in ("second-retry-1-a", "second-retry-2-a", "second-retry-2-a")]
    # nothing finished is done again
    assert started == [*retries, "ladder-second-retry-2-b", "ladder-second-retry-2-c"]
    assert not PROGRESS.exists()


def test_the_readme_of_the_selected_model_has_its_figures_and_its_rivals(place):
    chosen = go_up({"recipe": "first"}, gates=ALWAYS)["selected"]
    text = (SELECTED / "README.md").read_text()
    lines = {line.split(" | ")[0]: line for line in text.splitlines() if line.startswith("| ")}
    assert f"| {chosen['val']['recall_at_5']:.4f} [" in lines["| first"]
    assert f"| {chosen['ood']['cosine']:.4f} [" in lines["| first"]
    assert {"| copy_last", "| decay_centred", "| random"} <= set(lines)
    assert "The ladder selected this model" in text


def poisoned(kind):
    """On val and ood, every recipe but the one that is best on dev is made perfect."""
    for name in set(RECIPES) - {max(RECIPES, key=dev_figures)}:
        folder = evaluation_directory(kind) / name
        summary = read_json(folder / "summary.json")
        for split in ("val", "ood"):
            summary[split] |= dict.fromkeys(FIGURES, 1.0)
            write_npy(folder / f"{split}.npy", np.ones((len(figures_in(summary[split])), RESAMPLES)))
        write_json(folder / "summary.json", summary)


def test_val_and_ood_decide_nothing(place):
    rungs = {"recipe": "first"}, {"recipe": "second"}, {"recipe": "third"}
    gate = {"good": {"all_of": [{"split": "val", "figure": "cosine", "at_least": 0.999}]}}
    before = go_up(*rungs, gates=gate)
    poisoned("a")
    poisoned("c")
    after = go_up(*rungs, gates=gate)
    assert after["selected"] == before["selected"]
    assert after["candidates"] == before["candidates"]
    reported = [attempt["on_val_and_ood"]["corrected"]["whole"] for attempt in after["attempts"].values()]
    assert sum(reported) == 2  # the poison is seen, and only reported
    assert not any(attempt["passed"] for attempt in after["attempts"].values())


@pytest.mark.parametrize("name", ["decay_memory", "decay_whitened", "linear5", "context_mean", "copy_last"])
def test_a_reference_that_is_the_best_on_dev_is_a_model_like_any_other(place, name):
    write_dev("references", name, recall_at_5=0.999)
    found = go_up(names=("first", "third"))
    chosen, model, bank = found["selected"], load_model(SELECTED), load_bank("data/bank")
    assert (chosen["model"], chosen["reference"], chosen["epoch"], chosen["by"]) == (name, True, None, "fallback")
    assert set(contents(SELECTED)) == {"model.json", "model.safetensors", "README.md"}
    (reference,) = fit_references(bank, EVALUATE, 0, [name])
    assert (model.sees, model.info.recipe["name"]) == (reference.sees, name) == (chosen["sees"], name)
    rows = bank.targets("val")[:7]
    contexts = torch.stack([gather_chunks(bank, np.arange(row - 5, row)) for row in rows])
    memory = Memory.of_bank(bank).before(torch.from_numpy(rows)) if reference.sees == "memory" else None
    wanted = torch.nn.functional.normalize(reference(contexts, rows, memory), dim=1)
    given = None if memory is None else memory.numpy()
    np.testing.assert_allclose(model.predict(contexts.numpy(), given), wanted.numpy(), atol=1e-5)
    best = max(("first", "third"), key=dev_figures)
    assert chosen["best_trained"]["model"] == best
    assert chosen["best_trained"]["dev"]["recall_at_5"] == dev_figures(best)
    text, readme = ladder_text(found, {}), (SELECTED / "README.md").read_text()
    assert (
        f"It is a formula, not a trained model. The best trained row is `{best}`: R@5 {dev_figures(best):.4f}" in text
    )
    assert f"**`{name}`** (selected)" in text
    assert "with nothing trained" in text
    assert f"| reference | `{name}`" in readme
    assert "Losses" not in readme
    assert ("memory_of" in readme) == (reference.sees == "memory")


def test_rows_of_whole_documents_are_never_selected(place):
    write_dev("references", "decay_document", recall_at_5=1.0)
    write_dev("references", "oracle", recall_at_5=1.0)
    write_dev("c", "first", recall_at_5=1.0)
    path = evaluation_directory("c") / "first/summary.json"
    write_json(path, read_json(path) | {"sees": "document"})
    found = go_up(names=("first", "third"))
    assert found["selected"]["model"] == "third"
    assert not {"first", "decay_document", "oracle", "article_centroid", "random"} & set(found["candidates"])
    assert "decay_memory" in found["candidates"]


def test_the_full_bank_decides_where_it_was_measured(place):
    wanted = min(("first", "third"), key=dev_figures)
    write_dev("c", wanted, full_bank_recall_at_5=0.2)
    chosen = go_up(names=("first", "third"), criterion="full_bank_recall_at_5")["selected"]
    assert (chosen["model"], chosen["criterion"]) == (wanted, "full_bank_recall_at_5")
    summary = evaluation_directory("c") / "third/summary.json"
    write_json(summary, {key: value for key, value in read_json(summary).items() if key != "dev"})
    with pytest.raises(LvmError, match=r"c/third/summary\.json: has no figures on dev; delete the folder and run"):
        go_up(names=("first", "third"))


def test_without_rungs_the_best_recipe_is_selected(place):
    found = go_up(names=("first", "third"))
    assert found["attempts"] == {} == found["skipped"]
    assert found["check"]["recipe"] is None  # none of the two selects windows
    assert found["selected"]["recipe"] == max(("first", "third"), key=dev_figures)
    assert "There is no attempt to judge" in ladder_text(found, {})


def test_rivals_are_those_of_dev(place):
    lead = {"split": "val", "figure": "cosine", "bound": "lo", "above": -3.0, "minus": {"best_of": ["random"]}}
    found = go_up({"recipe": "first"}, gates={"leads": {"all_of": [lead]}})
    (condition,) = found["attempts"]["first"]["gates"]["leads"]["conditions"]
    assert condition["asked_on_dev"] == "lo[dev cosine - random] > -3"
    assert condition["dev"]["passed"] is True
    assert condition["dev"]["value"] != condition["reported"]["value"]


def test_a_missing_model_is_one_line(place):
    shutil.rmtree(model_directory("third", "c"))
    with pytest.raises(LvmError, match=r"data/models/third/model\.json: cannot be read.*run `dvc repro`"):
        go_up()


def test_the_stage_writes_the_model_and_both_reports(place):
    params = read_params(ROOT / "params.yaml")
    params |= {"names": list(RECIPES), "threads": 1, "device": "cpu", "evaluate": EVALUATE.model_dump(), "seed": 0}
    params |= {"recipes": {name: {"about": f"about {name}"} for name in RECIPES}}
    params["ladder"] = {"sample": 20, "criterion": "recall_at_5", "rungs": [SECOND]}
    write_text("params.yaml", yaml.safe_dump(params))
    settle(place, "ladder")
    outputs = [place / "metrics/ladder.json", place / "metrics/ladder.md"]
    seen = []
    for _ in range(2):
        done = run_stage(["stages.ladder"], place)
        assert done.returncode == 0, done.stderr
        seen.append([path.read_bytes() for path in outputs] + [contents(place / SELECTED)])
    assert seen[0] == seen[1]
    found = read_json(outputs[0])
    assert found["attempts"]["second"]["set"] == "stage_a"
    assert f"Selected: `{found['selected']['model']}`" in outputs[1].read_text()
    assert str(place) not in json.dumps(found)
    params["ladder"]["sample"] = 0
    write_text("params.yaml", yaml.safe_dump(params))
    settle(place, "ladder")
    assert "ladder.sample = 0" in one_clear_line(run_stage(["stages.ladder"], place))


def test_scores_of_another_run_are_one_line(place):
    scores = read_parquet("data/scores.parquet")
    write_parquet("data/scores.parquet", scores.assign(distinctness=scores["distinctness"] + 0.5))
    with pytest.raises(LvmError, match="run `dvc repro score`"):
        go_up()
