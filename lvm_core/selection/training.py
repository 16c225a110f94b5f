"""The attempts of the ladder in their order, and the trainings that it makes itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lvm_core.bank import Bank
from lvm_core.config.ladder import LadderParams, number_at, raised_recipe
from lvm_core.config.recipe import Recipe
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.files import phase_directory, sha256_of
from lvm_core.runtime.hardware import use_threads
from lvm_core.runtime.resume import fingerprint
from lvm_core.train.variants import PHASES, copy_model, train_phases, training_key


@dataclass(frozen=True)
class Attempt:
    """One phase A to be judged."""

    name: str
    """The recipe's, with `-retry-<n>` after it for a retry (no recipe can have such a name)."""
    recipe: Recipe
    """What is trained: the one of the pipeline, or the raised one."""
    retry: int
    """0 for the recipe of the pipeline."""
    step: str | None
    """What the summary calls it, None if it has no name for it."""
    parameters: dict[str, float]
    """Numbers of this recipe that some rung raises, by dotted key."""


def plan_attempts(params: LadderParams, recipes: Mapping[str, Recipe]) -> list[Attempt]:
    """All attempts there may be, in order; rungs whose recipe is not among `recipes` are left out."""
    keys = list(dict.fromkeys(key for rung in params.rungs for key in rung.raised))
    attempts = []
    for place, rung in enumerate(params.rungs):
        for retry in range(rung.retries + 1) if rung.recipe in recipes else ():
            recipe = recipes[rung.recipe]
            if retry:
                recipe = raised_recipe(recipe, rung.raised, retry, f"ladder.rungs.{place}.raise")
            numbers = {key: number_at(recipe, key) for key in keys}
            known = {key: number for key, number in numbers.items() if number is not None}
            attempts.append(Attempt(attempt_name(rung.recipe, retry), recipe, retry, rung.step, known))
    return attempts


def attempt_name(recipe: str, retry: int) -> str:
    """`p5_1`, `p5_1-retry-1`, ..."""
    return f"{recipe}-retry-{retry}" if retry else recipe


def skipped_rungs(params: LadderParams, recipes: Mapping[str, Recipe]) -> dict[str, str | None]:
    """Recipes of rungs that are not among `recipes`, in order, and what the summary calls them."""
    return {rung.recipe: rung.step for rung in params.rungs if rung.recipe not in recipes}


Windows = Mapping[str, Mapping[str, np.ndarray]]
"""[W] int64 target rows by recipe and phase."""


@dataclass(frozen=True)
class Diverged:
    """A training that came to nothing: `why`, such as `the loss of epoch 3 is nan`."""

    why: str


@dataclass(frozen=True)
class AttemptTrainer:
    """Where attempts are trained."""

    bank: Bank
    """To train on."""
    windows: Windows
    """Of every attempt that may be trained here."""
    stopped: frozenset[str]
    """Recipes that the gates stopped after phase A (`gates.policy: enforce`)."""
    folder: Path
    """Of progress."""

    def phase_a(self, attempt: Attempt) -> Path | Diverged:
        """The model after phase A: the pipeline's, or that of a retry, trained here."""
        return self._train(attempt, "a") if attempt.retry else phase_directory(attempt.recipe.name, "a")

    def final(self, attempt: Attempt) -> Path | Diverged:
        """The model after phase C: the pipeline's, or where there is none, one trained here."""
        if not trained_here(attempt, self.stopped):
            return phase_directory(attempt.recipe.name, PHASES[-1])
        start = self.folder / attempt.name / "a"
        if not attempt.retry and not start.exists():
            copy_model(phase_directory(attempt.recipe.name, "a"), start)
        return self._train(attempt, PHASES[-1])

    def _train(self, attempt: Attempt, last: str) -> Path | Diverged:
        recipe, work = attempt.recipe, f"ladder-{attempt.name}"
        try:
            with threads(recipe.threads):
                return train_phases(
                    work, recipe, self.bank, self.windows[recipe.name], self.folder / attempt.name, last
                )
        except LvmError as error:
            # A missing file or a full disk is no finding about the recipe: only what arithmetic came to is one.
            if isinstance(error.__context__, FloatingPointError):
                return Diverged(str(error.__context__))
            raise


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Compute with so many threads, then with as many as before: a training has its own number, as in stages/train."""
    before = torch.get_num_threads()
    use_threads(number)
    try:
        yield
    finally:
        use_threads(before)


def trained_here(attempt: Attempt, stopped: frozenset[str]) -> bool:
    """Whether the final model of an attempt is one that the pipeline does not have."""
    return attempt.retry > 0 or attempt.recipe.name in stopped


def ladder_key(plan: Sequence[Attempt], bank: Bank, windows: Windows, stopped: frozenset[str]) -> str:
    """Everything that shapes what is trained here; gates and the rest of the ladder do not."""
    here = [attempt for attempt in plan if trained_here(attempt, stopped)]
    starts = [phase_directory(attempt.recipe.name, "a") for attempt in here if not attempt.retry]
    return fingerprint(
        *(training_key(attempt.recipe, bank, windows[attempt.recipe.name]) for attempt in here),
        *(sha256_of(file) for start in starts for file in sorted(start.iterdir())),
    )
