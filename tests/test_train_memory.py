"""Training with a memory, from a fitted reference, and with candidates of the whole bank."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lvm_core.bank.chunks import Memory, mean_chunk
from lvm_core.fivecat.formulas import fit_formula
from lvm_core.models.checkpoint import load_model
from lvm_core.train.phases import fit, run_phase
from lvm_core.train.sampling import means_by, train_rows
from lvm_core.train.trainer import Trainer
from tests.training import small_bank, small_recipe

ROLLOUT: dict[str, Any] = {"mse": 1.0, "rollout": {"weight": 0.5, "steps": 3}}
NOISE = {"last_slot": {"kind": "noise", "probability": 1.0, "norm": 0.83}}


def softmax(**options: Any) -> dict[str, Any]:
    return {"article_softmax": {"weight": 1.0, "temperature": 0.1} | options}


class Spy(nn.Module):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, contexts, memory):
        self.calls.append((contexts, memory))
        return contexts.sum(1)


@pytest.mark.parametrize("where", ["resident", "mapped"])
@pytest.mark.parametrize("kind", ["read", "document"])
def test_every_call_gets_the_memory_of_the_last_real_chunk(kind, where):
    bank = small_bank()
    recipe = small_recipe({"memory": kind}, {"bank": where, "target_offset": 2}, losses=ROLLOUT, corruption=NOISE)
    windows, spy = Trainer(recipe, bank).windows(bank.targets("train")), Spy()
    rows = windows.rows[30:41]
    batch: Any = windows.forward(spy, rows, list(ROLLOUT), 0.0, 0)  # type: ignore[arg-type]
    batch.predict(batch.contexts.roll(1, 1))
    memory = Memory.of_bank(bank)
    expected = memory.before(rows) if kind == "read" else memory.whole(rows)
    assert len(spy.calls) == 2
    assert all(torch.equal(given, expected) for _, given in spy.calls)
    assert not torch.equal(batch.contexts, batch.clean)  # what is corrupted is the context alone


@pytest.mark.parametrize(
    ("base", "memory"),
    [("decay_centred", None), ("decay_whitened", "read"), ("decay_memory", "read"), ("decay_document", "document")],
)
def test_with_a_base_training_starts_from_the_fitted_reference(base, memory):
    bank = small_bank()
    trainer = Trainer(small_recipe({"head": "formula", "base": base, "memory": memory}), bank)
    model = trainer.start().model
    fit(trainer, model)
    assert trainer.measure(model)["dev_recall_at_5"] == pytest.approx(
        fit_formula(bank, base).fit["dev_recall_at_5"], abs=1e-6
    )


def test_a_base_of_numbers_takes_the_memory_off_where_there_is_one():
    bank, sizes = small_bank(), {"head": "formula", "base": {"decay": 0.5, "less": 0.25}}
    contexts = torch.nn.functional.normalize(torch.randn(4, 5, 16, generator=torch.manual_seed(1)), dim=2)
    memory, mean = torch.full((4, 16), 0.1), torch.from_numpy(mean_chunk(bank, "train"))
    mixed = (torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0])[:, None] * contexts).sum(1) / 31
    for kind, taken in ((None, mean), ("read", memory), ("document", memory)):
        trainer = Trainer(small_recipe(sizes | {"memory": kind}), bank)
        model = trainer.start().model.eval()
        fit(trainer, model)
        expected = torch.nn.functional.normalize(mixed - 0.25 * taken, dim=1)
        torch.testing.assert_close(model(contexts, memory), expected, atol=1e-5, rtol=0)


def test_a_share_of_the_untrained_base_is_kept_in_what_is_predicted_and_not_in_training():
    bank, sizes = small_bank(), {"head": "formula", "base": "decay_memory", "memory": "read", "dropout": 0.0}
    models = {}
    for keep in (0.0, 0.25):
        trainer = Trainer(small_recipe(sizes | {"keep": keep}), bank)
        models[keep] = model = trainer.start().model
        fit(trainer, model)
        start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn(parameter.shape, generator=torch.manual_seed(len(name))), alpha=0.1)
    rows = torch.from_numpy(bank.targets("val"))[:7]
    contexts = torch.from_numpy(bank.vectors[rows[:, None].numpy() + np.arange(-5, 0)])
    given = Memory.of_bank(bank).before(rows)
    plain, mixed = models[0.0], models[0.25]
    torch.testing.assert_close(mixed.train()(contexts, given), plain.train()(contexts, given))
    tuned, result = (torch.nn.functional.normalize(one.eval()(contexts, given), dim=1) for one in (plain, mixed))
    mixed.load_state_dict(start)
    kept = torch.nn.functional.normalize(mixed(contexts, given), dim=1)  # untrained: both parts are the base
    expected = torch.nn.functional.normalize(0.25 * kept + 0.75 * tuned, dim=1)
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)
    assert (tuned - kept).abs().max() > 0.01


@pytest.mark.parametrize("train_base", ["weights", "all"])
def test_a_phase_fits_the_base_once_and_trains_what_it_says(train_base, tmp_path, monkeypatch):
    bank = small_bank()
    sizes = {"head": "formula", "base": "decay_memory", "memory": "read", "train_base": train_base}
    losses = softmax(candidates="both", bank_negatives=30, centred=True)
    recipe = small_recipe(sizes, {"batches": "articles", "epochs": {"a": 1, "b": 1, "c": 1}}, losses=losses)
    (tmp_path / "articles").write_text("")
    monkeypatch.setattr("lvm_core.train.phases.ARTICLES", tmp_path / "articles")
    begun, trainer = fit_formula(bank, "decay_memory").formula, Trainer(recipe, bank)
    monkeypatch.setattr("lvm_core.train.phases.fit_formula", lambda *_: fit_formula(bank, "decay_memory"))
    before = None
    for phase in "ab":
        run_phase(trainer, "x", phase, bank.targets("train"), before, tmp_path / phase, tmp_path / "resume")
        before = tmp_path / phase
        monkeypatch.setattr("lvm_core.train.phases.fit_formula", lambda *_: pytest.fail("fitted again"))
    model = load_model(tmp_path / "b")
    now, start = model.module.state_dict(), begun.state_dict()
    assert model.sees == "memory"
    assert np.array_equal(now["centre"], mean_chunk(bank, "train"))
    assert not torch.equal(now["base.weights"], start["weights"])
    assert torch.equal(now["base.matrix"], start["matrix"]) == (train_base != "all")


def test_chunks_of_the_bank_are_drawn_anew_each_step_and_are_never_the_windows_own():
    bank, losses = small_bank(), softmax(bank_negatives=500)
    windows = Trainer(small_recipe(losses=losses, train={"batches": "articles"}), bank).windows(bank.targets("train"))
    rows, of_train = windows.rows[:9], set(train_rows(bank).tolist())
    drawn = [windows._drawn(500, at, step) for at, step in ((0.0, 0), (0.0, 0), (0.0, 1), (1.0, 0))]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[3])
    assert set(drawn[0].tolist()) <= of_train
    found: Any = windows._candidates(rows, list(losses), 0.0, 0)
    assert torch.equal(found.chunks[-500:], windows.vectors[drawn[0]])
    own = (drawn[0] >= rows[:, None] - 5) & (drawn[0] <= rows[:, None])
    assert own.any()
    assert torch.equal(found.allowed[:, -500:], ~own)
    torch.testing.assert_close(found.chunks[found.target], windows.vectors[rows])


def test_centred_takes_off_the_mean_of_the_article_or_with_the_bank_that_of_train():
    bank = small_bank()
    for count in (0, 7):
        losses = softmax(bank_negatives=count, centred=True)
        trainer = Trainer(small_recipe(losses=losses, train={"batches": "articles"}), bank)
        windows = trainer.windows(bank.targets("train"))
        found: Any = windows._candidates(windows.rows[[0, 1, 50]], list(losses), 0.0, 0)
        if count:
            assert np.array_equal(found.mean, mean_chunk(bank, "train"))
        else:
            first, second = (torch.from_numpy(bank.vectors[part].mean(0)) for part in (slice(0, 40), slice(40, 80)))
            torch.testing.assert_close(found.mean[[0, 39, 40, 79]], torch.stack([first, first, second, second]))
    assert means_by(np.array([3, 3, 7]), torch.tensor([[1.0], [3.0], [5.0]])).tolist() == [[2.0], [2.0], [5.0]]
