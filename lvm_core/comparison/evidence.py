"""What a claim is judged by, and what comes out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import pandas as pd

Verdict = Literal["confirmed", "refuted", "undecided", "not measured"]


class Undefined(Exception):
    """A figure that a claim needs is undefined on these data; the message names it."""


class Finding(NamedTuple):
    """What a rule returns: the verdict and a sentence or two with the figures."""

    verdict: Verdict
    sentence: str


@dataclass(frozen=True)
class Evidence:
    """Everything measured that a claim may be judged by.

    rows: of the comparison, by name. training: columns name, epoch, dev_cosine, dev_cosine_last, dev_recall_at_5.
    diagnosis: of the data, by split. time_direction: by recipe and figure. stopped: the phase after which each stopped
    recipe was not trained further, by name. pos_scalars: of this run's recipes, by name; None: without a position.
    """

    rows: Mapping[str, Mapping[str, Any]]
    training: pd.DataFrame
    diagnosis: Mapping[str, Any]
    time_direction: Mapping[str, Any]
    stopped: Mapping[str, str]
    pos_scalars: Mapping[str, float | None]

    def value(self, name: str, figure: str) -> float:
        """A figure of a row."""
        return defined(self.rows[name].get(figure), f"{figure} of {name}")

    def articles(self) -> int | None:
        """Articles of val with a window; None where the rows do not say."""
        return next((row["val"]["articles"] for row in self.rows.values() if "articles" in row.get("val", {})), None)

    def curve(self, name: str) -> pd.DataFrame:
        """The training curve of a recipe by epoch; epochs without dev figures are left out."""
        of_recipe = self.training[self.training["name"].astype(str) == name]
        return of_recipe.sort_values("epoch").dropna(subset=["dev_recall_at_5", "dev_cosine", "dev_cosine_last"])


@dataclass(frozen=True)
class Statement:
    """A claim as it was made, and how it is judged.

    key: name for links. text: the claim. source: where it stands. rule: the verdict rule in words. rows: names of the
    rows of the comparison without which, trained through all phases, it cannot be judged. measure: the rule.
    by_interval: whether the verdict rests on intervals over the articles of val, which mean little with a few of them.
    """

    key: str
    text: str
    source: str
    rule: str
    rows: tuple[str, ...]
    measure: Callable[[Evidence], Finding]
    by_interval: bool = True


@dataclass(frozen=True)
class Claim:
    """A claim with its verdict; every field but `verdict` is a text for the reader."""

    key: str
    text: str
    source: str
    rule: str
    verdict: Verdict
    sentence: str


def defined(value: float | None, what: str) -> float:
    """The value itself."""
    if value is None or not math.isfinite(value):
        raise Undefined(what)
    return float(value)


def rank_correlation(first: pd.Series, second: pd.Series) -> float | None:
    """Spearman's rank correlation of two series (ties share their mean rank); None if one is constant."""
    ranks = [series.rank().to_numpy(dtype=float) for series in (first, second)]
    centred = [rank - rank.mean() for rank in ranks]
    scale = math.sqrt(float((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return float(centred[0] @ centred[1]) / scale if scale else None
