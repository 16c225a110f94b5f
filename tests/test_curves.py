"""plots/training.csv: the curves of all recipes, rewritten after every epoch of a training."""

from __future__ import annotations

import re
from multiprocessing import get_context

import pandas as pd

from lvm_core.comparison.rows import stack_tables
from lvm_core.runtime.files import write_csv
from lvm_core.runtime.readers import read_csv
from lvm_core.train import enter_curve
from lvm_core.train.trainer import Trainer
from tests.calling import run_stage
from tests.training import small_bank, small_recipe, write_inputs


def epochs(number, value):
    return [
        {"epoch": epoch, "phase": "a", "lr": 0.001, "train_loss": value / epoch, "dev_recall_at_5": float("nan")}
        for epoch in range(1, number + 1)
    ]


def test_a_training_enters_each_epoch_when_it_ends(tmp_path):
    path, seen = tmp_path / "plots/training.csv", []

    def on_epoch(state):
        enter_curve("p1", state.history, path)
        seen.append(read_csv(path, "epoch").index.tolist())

    bank, recipe = small_bank(), small_recipe()
    trainer = Trainer(recipe, bank, on_epoch=on_epoch)
    trainer.train(trainer.start(), "a", bank.targets("train"))
    assert seen == [list(range(1, n + 1)) for n in range(1, recipe.train.epochs.a + 1)]


def test_another_training_keeps_its_rows_and_an_earlier_one_of_the_same_recipe_loses_them(tmp_path):
    path = tmp_path / "training.csv"
    enter_curve("p5_1", epochs(3, 0.7), path)
    enter_curve("p5", epochs(4, 0.1), path)
    enter_curve("p5", epochs(2, 0.2), path)
    assert pd.read_csv(path)[["name", "epoch"]].to_numpy().tolist() == [
        *(["p5", epoch] for epoch in (1, 2)),
        *(["p5_1", epoch] for epoch in (1, 2, 3)),
    ]
    header, *_ = path.read_text().splitlines()
    path.write_text(header.replace("train_loss", "loss") + "\np1,1,a,1,2,3\n")  # of an earlier version
    enter_curve("p5", epochs(1, 0.2), path)
    assert pd.read_csv(path)["name"].tolist() == ["p5"]


def test_the_curves_entered_are_those_that_the_comparison_writes(tmp_path):
    histories = {"p1": epochs(3, 1 / 3), "p5": epochs(2, 1e-9)}
    for name, history in reversed(histories.items()):
        enter_curve(name, history, tmp_path / "entered.csv")
        write_csv(tmp_path / f"{name}.csv", pd.DataFrame(history))
    write_csv(
        tmp_path / "all.csv", stack_tables({name: read_csv(tmp_path / f"{name}.csv", "epoch") for name in histories})
    )
    assert (tmp_path / "entered.csv").read_bytes() == (tmp_path / "all.csv").read_bytes()


def enter_growing(name, path):
    for number in range(1, 30):
        enter_curve(name, epochs(number, 0.5), path)


def test_trainings_side_by_side_lose_nothing(tmp_path):
    path, context = tmp_path / "training.csv", get_context("fork")
    names = [f"r{number}" for number in range(4)]
    processes = [context.Process(target=enter_growing, args=(name, path)) for name in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert pd.read_csv(path)["name"].value_counts().to_dict() == dict.fromkeys(names, 29)


def test_the_epoch_kept_is_found_where_an_early_stop_leaves_numbers_out(tmp_path):
    train = {"epochs": {"a": 5, "b": 1, "c": 1}, "batches": "articles", "early_stop": 1, "lr": 0.02}
    write_inputs(tmp_path, small_bank(), small_recipe(train=train))
    for phase in "abc":
        done = run_stage(["stages.train", "small", phase], tmp_path)
        assert done.returncode == 0, done.stderr
    curve = read_csv(tmp_path / "plots/training/small.csv", "epoch")
    assert len(curve) < 7, "no phase was stopped early: this tests nothing"
    (kept,) = re.findall(r"kept epoch (\d+): R@5 ([\d.]+), cosine ([-\d.]+)", done.stdout)
    assert kept[0] == "7"
    row = curve.loc[7]
    assert kept[1:] == (f"{row['dev_recall_at_5']:.3f}", f"{row['dev_cosine']:.3f}")
