"""How each claim is judged: functions from the evidence to a verdict and a sentence with the figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import pandas as pd

from lvm_core.config.references import DIRECTION_REFERENCES
from lvm_core.fivecat.statistics import FEWEST_ARTICLES, WORTH_HAVING

STEADY = 0.7
"""Rank correlation with the epoch from which a curve is said to rise (or, below its negative, to fall)."""

EPOCHS = 5
"""Fewest epochs of a curve that is judged: the least number at which even a perfect order is rare by chance (2/5!)."""

COLLAPSE = -0.05
"""A difference in R@5 from p1's below which a recipe has collapsed: a large loss, one window in twenty."""

PENALISED = ("v1", "v3", "p3", "p4_published")
"""The recipes that the summary speaks of. P4 collapsed by the smoothness penalty that was really run (prior results,
3.1), which is p4_published; the rollout as it was meant, p4, is no such penalty."""

WEAK = "p5"

SCALARS = {WEAK: 0.03, "p5_1": 0.10, "p5_nuclear": 0.20}
"""The positional scalars that the claim is about, and the recipes that have them unless a run sets others."""

ATTENTION_BIASED = ("p5_1", "p6")

ONE_RUN = "One training run and its trend over the epochs; there is no interval."

PUBLISHED_PAIR = (
    "The published pair (P4 after 3 epochs: margin -0.149, P1: -0.167) compares two recipes on a tape that lies one "
    "chunk late, where a perfect predictor scores about -0.54; R@5 of the same pair rose, from 22.1 % to 24.3 %."
)


Verdict = Literal["confirmed", "refuted", "undecided", "not measured"]


class Undefined(Exception):
    """A figure that a claim needs is undefined on these data; the message names it."""


class Finding(NamedTuple):
    """The verdict, and a sentence or two with the figures."""

    verdict: Verdict
    sentence: str


@dataclass(frozen=True)
class Evidence:
    """Everything measured that a claim may be judged by."""

    rows: Mapping[str, Mapping[str, Any]]
    """Of the comparison, by name."""
    splits: Mapping[str, Mapping[str, Any]]
    """Articles, windows and chance levels, by split."""
    training: pd.DataFrame
    """Columns name, epoch, dev_cosine, dev_cosine_last, dev_recall_at_5."""
    diagnosis: Mapping[str, Any]
    """Of the data, by split."""
    time_direction: Mapping[str, Any]
    """By recipe and figure."""
    stopped: Mapping[str, str]
    """The phase after which each stopped recipe was not trained further, by name."""
    pos_scalars: Mapping[str, float | None]
    """Of this run's recipes, by name; None: without a position."""

    def value(self, name: str, figure: str) -> float:
        """A figure of a row."""
        return _defined(self.rows[name].get(figure), f"{figure} of {name}")

    def interval(self, name: str, figure: str = "val_r5_vs_p1") -> tuple[float, float, float]:
        """A figure of a row (R@5 on val minus that of p1, paired), and the ends of its interval."""
        return self.value(name, figure), self.value(name, f"{figure}_lo"), self.value(name, f"{figure}_hi")

    def articles(self) -> int | None:
        """Articles of val with a window; None where that is not known."""
        return self.splits.get("val", {}).get("articles")

    def curve(self, name: str) -> pd.DataFrame:
        """The training curve of a recipe by epoch; epochs without dev figures are left out."""
        of_recipe = self.training[self.training["name"].astype(str) == name]
        return of_recipe.sort_values("epoch").dropna(subset=["dev_recall_at_5", "dev_cosine", "dev_cosine_last"])


def _defined(value: float | None, what: str) -> float:
    if value is None or not math.isfinite(value):
        raise Undefined(what)
    return float(value)


def mse_closer(evidence: Evidence) -> Finding:
    """The cosine with the last chunk over the epochs of p1 on dev, and what it has beyond that with the target."""
    curve = evidence.curve("p1")
    if len(curve) < EPOCHS:
        return _too_short(curve)
    last, beyond = curve["dev_cosine_last"], curve["dev_cosine_last"] - curve["dev_cosine"]
    trends = [_trend(curve["epoch"], values) for values in (last, beyond)]
    sentence = (
        f"Over {len(curve)} epochs of p1 on dev, {_course('its cosine with the last chunk', last, trends[0])}, and "
        f"{_course('what that has beyond its cosine with the target', beyond, trends[1])}; a copy of the last chunk "
        f"has the cosine 1. {ONE_RUN}"
    )
    if min(trends) >= STEADY:
        return Finding("confirmed", sentence)
    return Finding("refuted" if min(trends) <= -STEADY else "undecided", sentence)


def mse_worse(evidence: Evidence) -> Finding:
    """R@5 over the epochs of p1 on dev; the cosine with the last chunk is told, but has no part in the verdict."""
    curve = evidence.curve("p1")
    if len(curve) < EPOCHS:
        return _too_short(curve)
    recall, last = curve["dev_recall_at_5"], curve["dev_cosine_last"]
    trend = _trend(curve["epoch"], recall)
    sentence = (
        f"Over {len(curve)} epochs of p1 on dev, {_course('R@5', recall, trend)}, while "
        f"{_course('its cosine with the last chunk', last, _trend(curve['epoch'], last))}. {ONE_RUN} {PUBLISHED_PAIR}"
    )
    return Finding("refuted" if trend >= STEADY else "confirmed" if trend <= -STEADY else "undecided", sentence)


def _too_short(curve: pd.DataFrame) -> Finding:
    return Finding(
        "undecided", f"{len(curve)} epochs of p1 with dev figures; it takes {EPOCHS} to see a trend. {ONE_RUN}"
    )


def _trend(epochs: pd.Series, values: pd.Series) -> float:
    """Rank correlation with the epoch; 0 where all values are the same."""
    correlation = float(pd.DataFrame({"epoch": epochs, "value": values}).corr("spearman").to_numpy()[0, 1])
    return 0.0 if math.isnan(correlation) else correlation


def _course(what: str, values: pd.Series, trend: float) -> str:
    """How a figure went, in words."""
    return f"{what} went from {values.iloc[0]:.3f} to {values.iloc[-1]:.3f} (rank correlation {trend:+.2f})"


def curriculum_alone(evidence: Evidence) -> Finding:
    """Masked R@5 of p5 minus that of p1, paired."""
    difference, low, high = evidence.interval("p5")
    sentence = (
        f"R@5 of p5 minus that of p1 on val: {_interval(difference, low, high)}. p5 has the positional scalar too, so "
        "this is the pair of them; the summary judged stage A alone, here all three stages are trained."
    )
    return Finding("refuted" if low > 0 else "confirmed" if high <= WORTH_HAVING else "undecided", sentence)


def data_inform(evidence: Evidence) -> Finding:
    """Whether even the plainest use of the context finds the next chunk more often than chance."""
    recall, low, high = evidence.interval("copy_last", "val_recall_at_5")
    chances = evidence.splits.get("val", {}).get("chance", {})
    chance = _defined(chances.get("recall_at_5"), "the chance level of R@5 on val")
    sentence = (
        f"Repeating the last chunk finds the next one among 5 in {_interval(recall, low, high, '.3f')} of the windows "
        f"of val; chance is {chance:.3f}."
    )
    if low > chance:
        return Finding("confirmed", sentence + " The context tells something about the next chunk.")
    return Finding("refuted" if high <= chance else "undecided", sentence)


def signal_has_direction(evidence: Evidence) -> Finding:
    """Whether the temporal signal tells articles from the same articles read backwards."""
    split = next((name for name in ("train", "val") if name in evidence.diagnosis), None)
    if split is None:
        raise Undefined("the temporal signal of train and val")
    signal, backwards = (
        _defined(evidence.diagnosis[split].get(name), f"{name} of {split}")
        for name in ("temporal_signal", "temporal_signal_reversed")
    )
    sentence = (
        f"Ours on {split} is {signal:+.4f} (claimed: +0.1171), and {backwards:+.4f} on the same articles read "
        "backwards: it measures how fast similarity falls with distance, not the direction of time. "
        + _direction_sentence(evidence)
    )
    if abs(backwards) >= 0.9 * abs(signal):
        return Finding("refuted", sentence)
    return Finding("confirmed" if abs(backwards) <= 0.5 * abs(signal) else "undecided", sentence)


def _direction_sentence(evidence: Evidence) -> str:
    """The same recipes on reversed articles, beside the differences of what knows no direction."""
    cells = {name: figures.get("val_recall_at_5") or {} for name, figures in evidence.time_direction.items()}
    found = {name: cell for name, cell in cells.items() if all(cell.get(key) is not None for key in COMPARED)}
    shown = [
        f"{name} {cell['forward']:.3f} forward, {cell['reversed']:.3f} reversed, {_of(cell)}: "
        + _direction(cell, evidence.articles())
        for name, cell in found.items()
        if name not in DIRECTION_REFERENCES
    ]
    if not shown:
        return "What could show a direction, the same recipe on reversed articles, has not been measured."
    sentence = f"What can show a direction is the same recipe on reversed articles (R@5 on val): {'; '.join(shown)}."
    own = ", ".join(f"{name} {_of(found[name])}" for name in DIRECTION_REFERENCES if name in found)
    return f"{sentence} What knows no direction differs too: {own}." if own else sentence


COMPARED = ("forward", "reversed", "difference", "lo", "hi")


def _of(cell: Mapping[str, Any]) -> str:
    return _interval(cell["difference"], cell["lo"], cell["hi"])


def _direction(cell: Mapping[str, Any], articles: int | None) -> str:
    """What a recipe's cell shows: a direction only where the comparison says so, and on enough articles."""
    controls = {name: one for name, one in cell["beyond"].items() if one["lo"] is not None}
    if not controls:
        return "not compared with what knows no direction, so this shows none"
    nearest = min(controls, key=lambda name: abs(controls[name]["difference"]))
    seeds = cell["by_seed"]
    numbers = f"beyond {nearest}'s own difference, the nearest of {len(controls)}, {_of(controls[nearest])}"
    numbers += f"; by seed {', '.join(f'{one:+.3f}' for one in seeds)}" if len(seeds) > 1 else "; one seed"
    if articles is not None and articles < FEWEST_ARTICLES:
        return f"{numbers}; {articles} article(s) are too few to show a direction"
    said = {
        "forward": "forward is easier",
        "backward": "backward is easier",
        None: "this shows no direction",
    }
    return f"{numbers}; {said[cell['direction']]}"


def penalties_unstable(evidence: Evidence) -> Finding:
    """Which of the recipes with a loss penalty collapse, and of which a collapse cannot be ruled out."""
    floor = evidence.value("context_mean", "val_cosine")
    collapsed, open_ones, others, parts = [], [], [], []
    for name in PENALISED:
        cosine, (difference, low, high) = evidence.value(name, "val_cosine"), evidence.interval(name)
        if cosine < floor or high < COLLAPSE:
            collapsed.append(name)
        elif low < COLLAPSE:
            open_ones.append(name)
        else:
            others.append(name)
        parts.append(f"{name} has cosine {cosine:.3f} and R@5 {_interval(difference, low, high)} against p1")
    sentence = f"{'; '.join(parts)}; context_mean has cosine {floor:.3f}. "
    sentence += f"Collapsed: {', '.join(collapsed) or 'none'}. Not collapsed: {', '.join(others) or 'none'}."
    if open_ones:
        sentence += f" Not ruled out: {', '.join(open_ones)}."
    if len(collapsed) == len(PENALISED):
        return Finding("confirmed", sentence)
    return Finding("undecided" if collapsed or open_ones else "refuted", sentence)


def stronger_scalar(evidence: Evidence) -> Finding:
    """Whether a positional scalar above 0.03 gains R@5, by intervals against p1 that are not paired with each other."""
    others = [name for name, scalar in SCALARS.items() if evidence.pos_scalars.get(name) != scalar]
    if others:
        here = ", ".join(f"{name} with {_scalar(evidence.pos_scalars, name)}" for name in others)
        asked = ", ".join(f"{name} with {SCALARS[name]:.2f}" for name in others)
        return Finding("not measured", f"This run has {here}; the claim is about {asked}.")
    found = {name: evidence.interval(name) for name in SCALARS}
    parts = ", ".join(f"{name} ({SCALARS[name]:.2f}) {_interval(*three)}" for name, three in found.items())
    sentence = (
        f"R@5 against p1 on val: {parts}. p5_1 changes more than the scalar; p5_nuclear also raises it on a "
        "ramp over the first epochs."
    )
    _, weak_low, weak_high = found.pop(WEAK)
    if any(low > weak_high for _, low, _ in found.values()):
        return Finding("confirmed", sentence)
    no_gain = all(high - weak_low <= WORTH_HAVING for _, _, high in found.values())
    return Finding("refuted" if no_gain else "undecided", sentence)


def _scalar(scalars: Mapping[str, float | None], name: str) -> str:
    """A recipe's positional scalar as a sentence names it."""
    if name not in scalars:
        return "an unknown scalar"
    value = scalars[name]
    return "no scalar" if value is None else f"{value:g}"


def attention_bias(evidence: Evidence) -> Finding:
    """Whether the recipes that bias attention against the last chunk gain R@5 worth having over p1."""
    found = {name: evidence.interval(name) for name in ATTENTION_BIASED}
    parts = ", ".join(f"{name} {_interval(*three)}" for name, three in found.items())
    sentence = f"R@5 against p1 on val: {parts}. p5_1 changes more than the attention."
    if any(low > 0 and value >= WORTH_HAVING for value, low, _ in found.values()):
        return Finding("confirmed", sentence)
    return Finding("refuted" if all(high <= WORTH_HAVING for _, _, high in found.values()) else "undecided", sentence)


def _interval(value: float, low: float, high: float, form: str = "+.3f") -> str:
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


RULES: dict[str, Callable[[Evidence], Finding]] = {
    "mse-closer": mse_closer,
    "mse-worse": mse_worse,
    "curriculum": curriculum_alone,
    "data": data_inform,
    "signal": signal_has_direction,
    "penalties": penalties_unstable,
    "scalar": stronger_scalar,
    "attention": attention_bias,
}
"""The function of each claim of claims.yaml, by key."""
