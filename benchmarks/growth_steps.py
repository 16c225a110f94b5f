"""The steps that `bench_growth` times, as the stages call them."""

from __future__ import annotations

import torch

from benchmarks.bench_fivecat import FIVE_TESTS
from benchmarks.bench_training import recipe_of
from lvm_core.bank import Bank, load_bank
from lvm_core.config.groups import CurriculumParams, Rule
from lvm_core.config.params import load_group, read_params, validate
from lvm_core.curriculum.phases import score_windows, select_phases
from lvm_core.fivecat.evaluate import evaluate
from lvm_core.fivecat.measures import from_callable
from lvm_core.runtime.hardware import use_threads
from lvm_core.train.trainer import Trainer

__all__ = ["curriculum", "epoch", "evaluation", "load_bank", "score"]


def score(bank: Bank) -> None:
    """All scores of all training windows."""
    score_windows(bank.vectors, bank.targets("train"), bank.article_of_row)


def curriculum(bank: Bank) -> None:
    """Scores, and the windows of p5's phases."""
    scores = score_windows(bank.vectors, bank.targets("train"), bank.article_of_row)
    rule: Rule = validate({"rule": "top", "score": "distinctness"}, Rule, "rule")
    settings = load_group(read_params(), "curriculum", CurriculumParams)
    select_phases(scores, rule, settings)


def epoch(bank: Bank) -> None:
    """One epoch of p1 at the default size, with one thread, and its figures on dev."""
    use_threads(1)
    trainer = Trainer(recipe_of("default"), bank)
    trainer.train(trainer.start(), "a", bank.targets("train"))


def evaluation(bank: Bank) -> None:
    """The five tests of a predictor that costs next to nothing, over the training windows."""
    use_threads(1)
    evaluate(bank, "train", from_callable(lambda contexts: torch.mean(contexts, dim=1), "mean"), FIVE_TESTS)
