"""Windows whose answer stands in their context: counted by the diagnosis, and left out where a parameter says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lvm_core.config.groups import CurriculumParams, EvaluateParams, Rule
from lvm_core.curriculum.phases import score_windows, select_phases, without_near_duplicates
from lvm_core.fivecat.diagnosis import defined_windows
from lvm_core.fivecat.evaluate import evaluate
from lvm_core.fivecat.references import context_mean
from lvm_core.fivecat.windows import canonical_windows, closest_in_context, judged_windows
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.readers import read_json, read_npy
from lvm_core.windows import context_rows
from tests.calling import list_code, run_stage
from tests.paths import ROOT
from tests.synthetic import bank_of, make_bank, walk, write_bank

LIMIT = 0.99


def bank_with_repeats(seed: int = 0, split: str = "train"):
    """Ten articles in which some chunks are said again one to seven chunks later, exactly or nearly."""
    rng = np.random.default_rng(seed)
    articles = []
    for number in range(10):
        vectors = walk(rng, 30, 16)
        for row in rng.choice(np.arange(8, 30), 3, replace=False):
            vectors[row] = vectors[row - rng.integers(1, 8)] + rng.normal(0, 1e-3, 16)
        articles.append((f"article-{number}", split, vectors))
    return bank_of([*articles, ("dev", "dev", walk(rng, 30, 16)), ("val", "val", walk(rng, 30, 16))])


def by_hand(bank, rows):
    """Largest cosine of each target with a context chunk, window by window."""
    vectors = bank.vectors.astype(np.float64)
    return np.array([(vectors[context_rows(np.array([row]))[0]] @ vectors[row]).max() for row in rows])


@given(seed=st.integers(0, 10_000))
def test_the_closest_context_chunk_is_that_of_a_plain_loop(seed):
    bank = bank_with_repeats(seed)
    rows = bank.targets("train")
    np.testing.assert_allclose(closest_in_context(bank.vectors, rows), by_hand(bank, rows), atol=1e-5)


@given(seed=st.integers(0, 10_000))
def test_no_window_trained_on_has_its_answer_in_its_context(seed):
    bank = bank_with_repeats(seed)
    scores = score_windows(bank.vectors, bank.targets("train"), bank.article_of_row)
    kept = without_near_duplicates(scores, LIMIT)
    closest = by_hand(bank, scores["row"])
    assert set(kept["row"]) == set(scores["row"][closest < LIMIT])
    assert 0 < len(kept) < len(scores)
    pd.testing.assert_frame_equal(without_near_duplicates(scores, None), scores)
    values = {"top": {"a": 0.3, "b": 0.7}, "thresholds": {"sim_a": 0.66, "adv_a": 0.08, "sim_b": 0.58, "adv_b": 0.05}}
    settings = CurriculumParams.model_validate(values | {"min_windows": 1, "near_duplicate": LIMIT})
    phases = select_phases(kept, Rule(rule="top", score="similarity"), settings)
    assert set(phases["a"].rows) <= set(phases["b"].rows) <= set(phases["c"].rows) == set(kept["row"])


def test_the_stage_leaves_them_out_and_says_how_many(tmp_path):
    bank = bank_with_repeats()
    write_bank(bank, tmp_path / "data/bank")
    list_code(tmp_path)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["names"], params["time_direction"], params["service"]["models"] = ["p1"], ["p1"], ["p1"]
    params["train"]["seeds"], params["train"]["repeat"] = [], []
    rows = {}
    for limit in (None, LIMIT):
        params["curriculum"] |= {"near_duplicate": limit, "min_windows": 1}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        for stage in ("resolve", "score", "curriculum"):
            done = run_stage([f"stages.{stage}"], tmp_path)
            assert done.returncode == 0, done.stderr
        rows[limit] = set(read_npy(tmp_path / "data/curriculum/p1/c.npy").tolist())
    assert rows[None] == set(bank.targets("train"))
    leaked = {row for row, closest in zip(rows[None], by_hand(bank, rows[None]), strict=True) if closest >= LIMIT}
    assert rows[LIMIT] == rows[None] - leaked
    said = (tmp_path / "metrics/curriculum_check.md").read_text()
    assert f"{len(leaked)} of {len(rows[None])} windows left out" in said
    assert run_stage(["stages.diagnose"], tmp_path).returncode == 0
    report = read_json(tmp_path / "metrics/diagnosis.json")["train"]
    share = (by_hand(bank, bank.targets("train")) >= params["diagnosis"]["near_duplicate"]).mean()
    assert report["near_duplicate_in_context"] == pytest.approx(share)


def test_figures_without_them_are_those_of_the_other_windows():
    bank = bank_with_repeats(split="val")
    params: dict[str, Any] = {"contrastive_targets": 0, "rollout_steps": 3}
    everything = evaluate(bank, "val", context_mean(), EvaluateParams(**params)).windows
    chosen = EvaluateParams(**params, near_duplicate=LIMIT)
    judged = evaluate(bank, "val", context_mean(), chosen)
    kept = everything[by_hand(bank, everything["row"]) < LIMIT].reset_index(drop=True)
    assert 0 < len(kept) < len(everything)
    drawn = ["cos_foreign_last"]  # a stranger is drawn for each window, whichever others there are
    pd.testing.assert_frame_equal(judged.windows.drop(columns=drawn), kept.drop(columns=drawn), atol=1e-6)
    assert judged.summary["cosine"] == pytest.approx(kept["cos_k+1"].mean(), abs=1e-6)
    assert defined_windows(bank, "val", chosen)["cosine"] == len(kept)


def test_when_nothing_is_left_the_parameter_is_named():
    bank = make_bank({"train": [20], "val": [20]})
    assert len(judged_windows(bank, "ood", EvaluateParams(near_duplicate=1e-6))) == 0
    everything = canonical_windows(bank, "val")
    assert (judged_windows(bank, "val", EvaluateParams()).rows == everything.rows).all()
    same = bank_of([("same", "val", np.ones((12, 4)))])
    with pytest.raises(LvmError, match=r"evaluate\.near_duplicate = 0\.9 leaves none of the 7 windows of val"):
        judged_windows(same, "val", EvaluateParams(near_duplicate=0.9))
