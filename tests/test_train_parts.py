"""What a recipe adds to the plain loop: batches of articles, corruption, ramps, early stopping, other targets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lvm_core.config.recipe import LOSSES
from lvm_core.models import build_model
from lvm_core.models.layers import draw_masks
from lvm_core.runtime.errors import LvmError
from lvm_core.train.batch import TrainingWindows, epoch_seed
from lvm_core.train.losses import article_softmax
from lvm_core.train.phases import run_phase
from lvm_core.train.sampling import Articles, article_batches, train_rows
from lvm_core.train.trainer import Trainer, dev_metrics_on
from tests.synthetic import make_bank
from tests.training import same, small_bank, small_recipe, train, weights_of

CPU = torch.device("cpu")
SOFTMAX: dict[str, Any] = {"article_softmax": {"weight": 1.0, "temperature": 0.1}}
NOISE = {"last_slot": {"kind": "noise", "probability": 0.5, "norm": 0.83, "swap": 0.1}}
ROLLOUT: dict[str, Any] = {"mse": 1.0, "rollout": {"weight": 0.5, "steps": 3}}


def windows_of(bank, recipe, targets=None) -> TrainingWindows:
    vectors = torch.from_numpy(np.array(bank.vectors))
    rows = bank.targets("train") if targets is None else targets
    return TrainingWindows(recipe, vectors, rows, bank.article_of_row, "fp32")


def test_the_baseline_is_a_plain_loop():
    """The same bytes as twenty lines that know no recipe: one shuffle an epoch, MSE, AdamW, clipping, plateau."""
    bank, recipe = small_bank(), small_recipe()
    torch.manual_seed(epoch_seed(0, 0, 0))
    model = build_model(recipe.model, 16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.002, betas=(0.9, 0.999), weight_decay=0.01, fused=True)
    vectors, targets = torch.from_numpy(np.array(bank.vectors)), torch.from_numpy(bank.targets("train"))
    for epoch in range(1, 6):
        order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(epoch_seed(0, epoch, 1)))
        torch.manual_seed(epoch_seed(0, epoch, 2))
        draw_masks(model, epoch_seed(0, epoch, 4))
        for rows in targets[order].split(32):
            contexts = torch.stack([vectors[rows - k] for k in (5, 4, 3, 2, 1)], dim=1)
            loss = 0.5 * (model(contexts) - vectors[rows]).square().sum(dim=1).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    assert same(weights_of(train(bank, recipe)), {name: t.numpy() for name, t in model.state_dict().items()})


def test_batches_of_articles_hold_every_window_of_the_phase_once():
    bank, recipe = small_bank(), small_recipe(losses=SOFTMAX, train={"batches": "articles"})
    chosen = bank.targets("train")[::3]
    batches = windows_of(bank, recipe, chosen).batches(1)
    assert torch.cat(list(batches)).sort().values.tolist() == chosen.tolist()
    order = article_batches(chosen, 32, epoch_seed(0, 1, 1), Articles.from_rows(bank.article_of_row))
    assert [batch.tolist() for batch in batches] == [batch.tolist() for batch in order]


def test_the_softmax_of_a_step_is_the_one_of_each_window_alone():
    """Against a loop over the windows with the article's chunks picked out one by one."""
    bank, recipe = small_bank(), small_recipe(losses=SOFTMAX, train={"batches": "articles"})
    windows = windows_of(bank, recipe)
    model = Trainer(recipe, bank).start().model.eval()
    rows = windows.batches(1)[0]
    batch = windows.forward(model, rows, ["article_softmax"], 0.0, 0)
    expected = []
    for row, y in zip(rows.tolist(), torch.nn.functional.normalize(batch.raw, dim=1), strict=True):
        own = np.flatnonzero(bank.article_of_row == bank.article_of_row[row])
        others = [r for r in own.tolist() if not row - 5 <= r < row]
        logits = torch.stack([y @ torch.from_numpy(np.array(bank.vectors[r])) for r in others]) / 0.1
        expected.append(-(logits.log_softmax(0)[others.index(row)]).item())
    assert article_softmax(batch, temperature=0.1).item() == pytest.approx(np.mean(expected), abs=1e-5)


def test_the_softmax_learns_to_rank():
    bank = small_bank()
    plain = train(bank, small_recipe(train={"epochs": {"a": 4, "b": 1, "c": 1}}), "a")
    recipe = small_recipe(
        {"head": "mixture", "mixture_start": "last"},
        losses=SOFTMAX,
        train={"batches": "articles", "epochs": {"a": 4, "b": 1, "c": 1}, "best_by": "recall_at_5"},
    )
    ranking = train(bank, recipe, "a")
    assert ranking.history[-1]["dev_recall_at_5"] > plain.history[-1]["dev_recall_at_5"]


def test_only_what_the_losses_need_is_gathered():
    bank = small_bank()
    windows = windows_of(bank, small_recipe(losses=ROLLOUT | SOFTMAX, train={"batches": "articles"}))
    model = Trainer(small_recipe(), bank).start().model
    rows = windows.rows[:7]
    for weighted, present in (
        (["mse"], set()),
        (["rollout"], {"future", "has_future", "predict"}),
        (["article_softmax"], {"candidates"}),
    ):
        batch = windows.forward(model, rows, weighted, 0.0, 0)
        parts = ("clean", "future", "has_future", "candidates", "predict", "samples", "scale")
        assert {part for part in parts if getattr(batch, part) is not None} == present


def test_the_true_future_is_that_of_the_article():
    bank = make_bank({"train": [9, 12], "dev": [30]})
    windows = windows_of(bank, small_recipe(losses=ROLLOUT))
    rows = torch.tensor([6, 7, 8, 20])
    batch = windows.forward(Trainer(small_recipe(), bank).start().model, rows, ["rollout"], 0.0, 0)
    assert batch.has_future is not None
    assert batch.future is not None
    assert batch.has_future.tolist() == [[True, True], [True, False], [False, False], [False, False]]
    assert torch.equal(batch.future[0], windows.vectors[torch.arange(7, 9)])
    assert torch.equal(batch.future[1, 0], windows.vectors[torch.tensor(8)])


def test_corruption_changes_what_the_model_reads_and_no_other_draw():
    bank, recipe = small_bank(), small_recipe(corruption=NOISE)
    windows, plain = windows_of(bank, recipe), windows_of(bank, small_recipe())
    assert all(torch.equal(*pair) for pair in zip(windows.batches(3), plain.batches(3), strict=True))
    model, rows = Trainer(recipe, bank).start().model, plain.rows[:200]
    torch.manual_seed(1)
    dropped = plain.forward(model.train(), rows, ["mse"], 2.0, 4)
    after = torch.rand(1)
    torch.manual_seed(1)
    batch = windows.forward(model, rows, ["mse"], 2.0, 4)
    assert torch.equal(torch.rand(1), after)
    assert torch.equal(batch.true_contexts, dropped.contexts)
    assert torch.equal(batch.targets, dropped.targets)
    hit = (batch.contexts[:, -1] != dropped.contexts[:, -1]).any(dim=1)
    assert 0.3 < hit.float().mean() < 0.7
    assert torch.equal(batch.raw[~hit], dropped.raw[~hit])
    again, other = (windows.forward(model, rows, ["mse"], 2.0, step).contexts for step in (4, 5))
    assert torch.equal(again, batch.contexts)
    assert not torch.equal(other, batch.contexts)


def test_corruption_waits_for_its_first_epoch():
    bank = small_bank()
    late = {"last_slot": {"kind": "random_unit", "probability": 1.0, "first_epoch": 2}}
    plain, corrupted = (train(bank, small_recipe(corruption=c), "ab") for c in (None, late))
    assert plain.history[0] == corrupted.history[0]
    assert plain.history[1] != corrupted.history[1]


def test_a_loss_waits_for_its_first_epoch():
    bank = small_bank()
    guard = {"weight": 0.768, "margin": 0.01, "first_epoch": 3}
    plain, guarded = (
        train(bank, small_recipe(losses=x)) for x in ({"mse": 1.0}, {"mse": 1.0, "guard_previous": guard})
    )
    assert plain.history[:2] == guarded.history[:2]
    assert plain.history[2] != guarded.history[2]


def test_a_ramped_weight_is_in_force_step_by_step():
    """A model that hardly moves has the same loss in both epochs, weighted by about a quarter and three quarters."""
    bank, still = small_bank(), {"train": {"lr": 1e-12}, "model": {"dropout": 0.0}}
    losses = [
        [past["train_loss"] for past in train(bank, small_recipe(losses={"mse": mse}, **still), "a").history]
        for mse in (1.0, {"weight": 1.0, "ramp": [1, 2], "start": 0.0001})
    ]
    assert losses[0][0] == pytest.approx(losses[0][1], rel=1e-3)
    steps = len(windows_of(bank, small_recipe()).batches(1))
    expected = [(steps - 1) / (4 * steps), 0.5 + (steps - 1) / (4 * steps)]
    assert [ramped / losses[0][0] for ramped in losses[1]] == pytest.approx(expected, abs=0.03)


def test_the_model_is_told_the_point_in_training_before_each_step(monkeypatch):
    bank, recipe = small_bank(), small_recipe({"pos_scalar": 0.1, "pos_ramp": [1, 2]})
    trainer = Trainer(recipe, bank)
    state = trainer.start()
    told: list[float] = []
    monkeypatch.setattr(state.model, "set_ramps", told.append)
    trainer.train(state, "a", bank.targets("train"))
    steps = len(told) // 2
    assert told == pytest.approx(np.arange(2 * steps) / steps)


def test_a_saved_epoch_is_judged_at_the_ramp_it_was_trained_at():
    recipe = small_recipe({"pos_scalar": 0.5, "pos_ramp": [1, 4]})
    bank = small_bank()
    state = train(bank, recipe, "a")
    last = state.model.state_dict()["pos_ramped.in_force"].item()
    steps = len(windows_of(bank, recipe).batches(1))
    assert last == pytest.approx(0.5 * (2 * steps - 1) / (4 * steps))
    kept = Trainer(recipe, bank).start().model
    kept.load_state_dict(state.best)
    assert dev_metrics_on(bank, CPU)(kept)["dev_cosine"] == state.best_value


@pytest.mark.parametrize("patience", [1, 2])
def test_early_stopping_ends_the_phase_and_not_the_training(patience):
    bank = small_bank()
    figures = iter([0.1, 0.3, 0.2, 0.3, 0.1, 0.5, 0.6, 0.6, 0.6, 0.6])
    recipe = small_recipe(train={"epochs": {"a": 6, "b": 3, "c": 1}, "early_stop": patience})
    trainer = Trainer(recipe, bank)
    trainer.measure = lambda model: {"dev_cosine": next(figures)}
    state = trainer.start()
    trainer.train(state, "a", bank.targets("train"))
    assert [past["epoch"] for past in state.history] == list(range(1, 3 + patience))
    assert (state.best_epoch, state.best_value, state.epoch) == (2, 0.3, 6)
    trainer.train(state, "b", bank.targets("train"))
    assert next(past["epoch"] for past in state.history if past["phase"] == "b") == 7
    assert state.epoch == 9


def test_plateau_follows_the_figure_that_chooses():
    bank = small_bank()
    figures = iter([{"dev_cosine": 0.1 * e, "dev_recall_at_5": 0.5} for e in range(1, 4)])
    plateau = {"name": "plateau", "factor": 0.5, "patience": 0}
    recipe = small_recipe(
        train={"best_by": "recall_at_5", "schedule": plateau, "epochs": {"a": 3, "b": 1, "c": 1}},
    )
    trainer = Trainer(recipe, bank)
    trainer.measure = lambda model: next(figures)
    state = trainer.start()
    trainer.train(state, "a", bank.targets("train"))
    assert [past["lr"] for past in state.history] == [0.002, 0.002, 0.001]


def test_another_target_is_the_chunk_so_many_further_in_the_same_article():
    bank = make_bank({"train": [9, 6, 12], "dev": [30]})
    windows = windows_of(bank, small_recipe(train={"target_offset": 2}))
    assert windows.rows.tolist() == [5, 6, 7, *range(20, 26)]
    model = Trainer(small_recipe(), bank).start().model
    batch = windows.forward(model, windows.rows, ["mse"], 0.0, 0)
    assert torch.equal(batch.targets, windows.vectors[windows.rows + 1])
    assert torch.equal(batch.contexts[:, -1], windows.vectors[windows.rows - 1])
    with pytest.raises(LvmError, match="target_offset = 9"):
        windows_of(bank, small_recipe(train={"target_offset": 9}))


def test_the_normaliser_is_fitted_on_the_training_articles_before_the_first_step(tmp_path, monkeypatch):
    bank = small_bank()
    recipe = small_recipe({"normaliser": "robust"}, losses={"mse_normalised": 1.0})
    (tmp_path / "articles").write_text("")
    monkeypatch.setattr("lvm_core.train.phases.ARTICLES", tmp_path / "articles")
    targets = bank.targets("train")
    state = run_phase(Trainer(recipe, bank), "x", "a", targets, None, tmp_path / "out", tmp_path / "resume")
    chunks = np.array(bank.vectors)[train_rows(bank)]
    assert len(chunks) == 12 * 40
    np.testing.assert_allclose(state.best["normaliser.centre"].numpy(), np.median(chunks, axis=0), atol=1e-6)
    first, last = state.history[0]["train_loss"], state.history[-1]["train_loss"]
    assert last < first < 1.0  # a dimension of unit variance that is predicted by its mean costs 1/2
    assert math.isfinite(state.history[-1]["dev_cosine"])


def test_every_loss_names_its_source_and_types_its_options():
    for name, loss in LOSSES.items():
        assert loss.source, name
        assert loss.needs, name
