from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lvm_core.fivecat.evaluate import evaluate
from lvm_core.models.checkpoint import load_tensors, save_tensors
from lvm_core.runtime.errors import LvmError
from lvm_core.train.batch import epoch_seed
from lvm_core.train.trainer import Trainer, dev_metrics_on
from tests.synthetic import make_bank
from tests.training import same, small_bank, small_recipe, train, weights_of


def test_training_learns():
    bank = small_bank()
    state = train(bank, small_recipe(train={"epochs": {"a": 6, "b": 6, "c": 6}}))
    losses = [epoch["train_loss"] for epoch in state.history]
    assert losses[-1] < 0.9 * losses[0]
    assert state.history[-1]["dev_cosine"] > state.history[0]["dev_cosine"] + 0.1


def test_same_seed_same_bytes_another_seed_others():
    bank = small_bank()
    first, again, other = (train(bank, small_recipe(seed=seed), "a") for seed in (0, 0, 1))
    assert same(weights_of(first), weights_of(again))
    assert first.history == again.history
    assert not same(weights_of(first), weights_of(other))


def test_phases_from_disk_equal_phases_in_one_go(tmp_path):
    """Phase B started from saved weights and moments ends where an unbroken run ends."""
    bank, recipe = small_bank(), small_recipe()
    whole = train(bank, recipe, "ab")
    first = train(bank, recipe, "a")
    save_tensors(tmp_path / "weights.safetensors", first.model.state_dict())
    save_tensors(tmp_path / "moments.safetensors", first.optimizer.tensors())

    trainer = Trainer(recipe, bank)
    resumed = trainer.start()
    resumed.model.load_state_dict(load_tensors(tmp_path / "weights.safetensors"))
    resumed.optimizer.restore(load_tensors(tmp_path / "moments.safetensors"))
    resumed.history, resumed.epoch = list(first.history), first.epoch
    trainer.train(resumed, "b", bank.targets("train"))
    assert same(weights_of(whole), weights_of(resumed))
    assert whole.history == resumed.history


def test_history_counts_epochs_over_all_phases():
    state = train(small_bank(), small_recipe())
    assert [epoch["epoch"] for epoch in state.history] == [1, 2, 3, 4, 5]
    assert [epoch["phase"] for epoch in state.history] == ["a", "a", "b", "c", "c"]


@pytest.mark.parametrize("best_by", ["cosine", "recall_at_5"])
def test_the_best_dev_epoch_of_the_last_phase_is_kept(best_by):
    bank, recipe = small_bank(), small_recipe(train={"best_by": best_by, "epochs": {"a": 1, "b": 1, "c": 5}})
    state = train(bank, recipe)
    figures = {epoch["epoch"]: epoch[f"dev_{best_by}"] for epoch in state.history if epoch["phase"] == "c"}
    assert state.best_epoch == max(figures, key=lambda epoch: (figures[epoch], -epoch))
    kept = Trainer(recipe, bank).start().model
    kept.load_state_dict(state.best)
    assert dev_metrics_on(bank, torch.device("cpu"))(kept)[f"dev_{best_by}"] == figures[state.best_epoch]


def test_only_the_windows_given_are_learned_from():
    """Training on half of the windows does not look at the others: changing those vectors changes nothing."""
    bank = make_bank({"train": [40] * 4, "dev": [30]}, dimension=8)
    rows = bank.targets("train")
    half = rows[bank.article_of_row[rows] < 2]
    other = np.array(bank.vectors)
    other[bank.article_of_row.searchsorted(2) : bank.article_of_row.searchsorted(4)] *= -1
    states = []
    for vectors in (np.array(bank.vectors), other):
        trainer = Trainer(small_recipe(), replace(bank, vectors=vectors))
        state = trainer.start()
        trainer.train(state, "a", half)
        states.append(weights_of(state))
    assert same(*states)


def test_bf16_follows_float32_within_tolerance():
    bank = small_bank()
    exact, rounded = (train(bank, small_recipe(precision=precision), "a") for precision in ("fp32", "bf16"))
    for left, right in zip(exact.history, rounded.history, strict=True):
        assert right["train_loss"] == pytest.approx(left["train_loss"], rel=0.02)


def test_a_diverging_run_says_so():
    recipe = small_recipe(train={"lr": 10.0, "clip": 1e9})
    bank = small_bank()
    trainer = Trainer(recipe, replace(bank, vectors=np.full_like(bank.vectors, np.inf)))
    with pytest.raises(FloatingPointError, match="loss of epoch 1"):
        trainer.train(trainer.start(), "a", bank.targets("train"))


def test_dev_figures_are_those_of_the_evaluation():
    bank, recipe = small_bank(), small_recipe()
    model = train(bank, recipe, "a").model
    figures = dev_metrics_on(bank, torch.device("cpu"))(model)
    summary = evaluate(bank, "dev", model.eval()).summary
    assert figures["dev_cosine"] == pytest.approx(summary["cosine"], abs=1e-6)
    assert figures["dev_recall_at_5"] == pytest.approx(summary["recall_at_5"], abs=1e-6)


def test_without_dev_windows_there_is_nothing_to_choose_by():
    with pytest.raises(LvmError, match="dev split has no window"):
        dev_metrics_on(make_bank({"train": [20]}), torch.device("cpu"))


def test_epoch_seeds_differ():
    seeds = {epoch_seed(seed, epoch, purpose) for seed in range(3) for epoch in range(20) for purpose in range(3)}
    assert len(seeds) == 3 * 20 * 3
