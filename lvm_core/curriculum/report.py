"""The curriculum check: what each phase selects, and the summary's Option 1, "is this the right metric?"."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lvm_core.config.groups import SCORES, CurriculumParams, Rule
from lvm_core.curriculum import Selection, select_phases
from lvm_core.runtime.errors import LvmError
from lvm_core.windows import context_rows

SAMPLE = 100

SHOWN = 3

EXCERPT = 70

MEASURES = {
    "sim_prev": "cos to last",
    "sim_prev2": "cos to second-last",
    "context_mean": "cos to context mean",
    "next": "cos to next chunk",
}
"""Columns of the check and their titles: cosine of the target with these."""


def add_measures(scores: pd.DataFrame, vectors: np.ndarray, block: int = 4096) -> pd.DataFrame:
    """`scores` with `context_mean` (cosine of target and mean of the 5 contexts) and `next` (target and next chunk)."""
    rows = scores["row"].to_numpy()
    parts = []
    for start in range(0, len(rows), block):
        part = rows[start : start + block]
        mean = np.asarray(vectors[context_rows(part)], dtype=np.float32).mean(axis=1)
        target = np.asarray(vectors[part], dtype=np.float32)
        parts.append(np.einsum("nd,nd->n", mean, target) / np.maximum(np.linalg.norm(mean, axis=1), 1e-12))
    following = scores["forward_gain"] + scores["similarity"]
    return scores.assign(context_mean=np.concatenate(parts), next=following)


def phase_means(scores: pd.DataFrame, rows: np.ndarray) -> dict[str, float]:
    """Mean of each measure over the windows with these target rows."""
    chosen = scores[scores["row"].isin(rows)]
    return {name: float(chosen[name].mean()) for name in MEASURES}


def curriculum_check(
    scores: pd.DataFrame,
    recipes: Mapping[str, tuple[Rule, Mapping[str, Selection]]],
    params: CurriculumParams,
    texts: Sequence[str],
    seed: int,
    left_out: int = 0,
) -> str:
    """`metrics/curriculum_check.md`.

    Args:
        scores: from `add_measures`, of the windows that are trained on.
        recipes: rule and selections of each recipe trained.
        params: shares and thresholds, applied here to every score.
        texts: text of every bank row, for the excerpts.
        seed: of the sample of windows.
        left_out: windows that are not trained on because of `curriculum.near_duplicate`.
    """
    rules = {f"top by {name}": Rule(rule="top", score=name) for name in SCORES} | {"P5.1": Rule(rule="thresholds")}
    everything = phase_means(scores, scores["row"].to_numpy())
    phase_a: dict[str, dict[str, float]] = {}
    table = [
        "| rule | phase | windows | " + " | ".join(MEASURES.values()) + " |",
        "|---|---|---:|" + "---:|" * len(MEASURES),
    ]
    table.append(_row("all", "C", len(scores), everything))
    for title, rule in rules.items():
        try:
            phases = select_phases(scores, rule, params)
        except LvmError as error:
            table.append(f"| {title} | A, B | - | {error} |" + " |" * (len(MEASURES) - 1))
            continue
        for phase in ("a", "b"):
            means = phase_means(scores, phases[phase].rows)
            table.append(_row(title, phase.upper(), len(phases[phase].rows), means))
            if phase == "a":
                phase_a[title] = means
    lines = ["# Curriculum check", "", "## What each phase selects", ""]
    lines += ["Means over the training windows of the cosine of the target with:", "", *table, ""]
    lines += ["## In force", "", *_in_force(recipes), *_left_out(left_out, len(scores), params.near_duplicate), ""]
    name, (_, selections) = next(
        ((name, entry) for name, entry in recipes.items() if entry[0].rule != "all"), next(iter(recipes.items()))
    )
    lines += _sample_lines(scores, selections["a"].rows, texts, name, seed)
    lines += ["## Is this the right metric? (the summary's Option 1)", "", *_answer(scores, everything, phase_a)]
    return "\n".join(lines) + "\n"


def _row(rule: str, phase: str, count: int, means: Mapping[str, float]) -> str:
    return f"| {rule} | {phase} | {count:,} | " + " | ".join(_number(means[name]) for name in MEASURES) + " |"


def _number(value: float, form: str = ".4f") -> str:
    """A dash where the value is undefined: no window of 6-row articles has a next chunk."""
    return "-" if math.isnan(value) else format(value, form)


def _in_force(recipes: Mapping[str, tuple[Rule, Mapping[str, Selection]]]) -> list[str]:
    lines = []
    for name, (rule, phases) in recipes.items():
        described = f"{rule.rule} by {rule.score}" if rule.score else rule.rule
        parts = []
        for phase, selection in phases.items():
            bounds = ", ".join(f"{column} >= {bound:.4f}" for column, bound in selection.in_force.items())
            parts.append(f"{phase.upper()} {len(selection.rows):,} windows" + (f" ({bounds})" if bounds else ""))
        lines.append(f"- `{name}` ({described}): {'; '.join(parts)}")
    return lines


def _left_out(count: int, kept: int, limit: float | None) -> list[str]:
    if limit is None:
        return []
    return [f"- {count:,} of {count + kept:,} windows left out: target and a context chunk have a cosine >= {limit}"]


def _sample_lines(scores: pd.DataFrame, rows: np.ndarray, texts: Sequence[str], recipe: str, seed: int) -> list[str]:
    sample = np.sort(np.random.default_rng(seed).choice(rows, min(SAMPLE, len(rows)), replace=False))
    chosen = scores[scores["row"].isin(sample)]
    last, second = chosen["sim_prev"], chosen["sim_prev2"]
    lines = [
        f"## {len(sample)} windows of phase A of `{recipe}`, drawn at random",
        "",
        f"Cosine of the target with the last context {last.mean():.4f} (standard deviation {last.std():.4f}), with the "
        f"second-last {second.mean():.4f}; the target is nearer to the second-last in {(second > last).mean():.0%} of "
        "them. (The earlier work found .2532 and .2892 on its phase A and took it for an inverted score; it is what "
        "selecting on a low first cosine does to any data: the second one regresses to its mean.)",
        "",
        "| target row | cos to last | last context | target |",
        "|---:|---:|---|---|",
    ]
    for row in sample[np.linspace(0, len(sample) - 1, min(SHOWN, len(sample)), dtype=int)]:
        similarity = float(chosen.loc[chosen["row"] == row, "sim_prev"].iloc[0])
        lines.append(f"| {row} | {similarity:.4f} | {_excerpt(texts[row - 1])} | {_excerpt(texts[row])} |")
    return [*lines, ""]


def _excerpt(text: str) -> str:
    """The beginning of a text, short, on one line and without what Markdown tables read as borders."""
    flat = " ".join(text.split()).replace("|", "/")
    return flat if len(flat) <= EXCERPT else flat[: EXCERPT - 3].rstrip() + "..."


def _answer(
    scores: pd.DataFrame, everything: Mapping[str, float], phase_a: Mapping[str, Mapping[str, float]]
) -> list[str]:
    """The answer in words, each sentence carrying the figures that decide it."""
    lines = []
    gain = float(scores["forward_gain"].mean())
    for title, means in phase_a.items():
        copying = means["sim_prev"] - everything["sim_prev"]
        predictable = means["context_mean"] - everything["context_mean"]
        following = means["next"] - everything["next"]
        lines.append(
            f"- **{title}**: copying the last chunk scores {copying:+.4f} in phase A against all windows, the mean of "
            f"the context {predictable:+.4f}, and the target's similarity to what follows it is "
            f"{_number(following, '+.4f')}. " + _verdict(copying, predictable)
        )
    lines += [
        f"- **Direction**: distinctness and similarity look at the pair (last context, target), which is the same pair "
        f"when an article is read backwards; forward_gain compares two neighbouring pairs, so its mean telescopes to "
        f"almost nothing whatever the text (here {_number(gain, '+.5f')}). None of them can tell forward from "
        "backward.",
        "",
        "**Answer: no score of this kind is a measure of forward predictability.** All of them look at the target, so "
        "they select on the outcome: they change which targets occur, not what the context says about them. "
        "Distinctness is a consistent way to avoid windows that copying solves, if that is the aim, and its price is "
        "the drop in the context mean's cosine above; similarity does the reverse; forward_gain prefers targets that "
        "open a passage over those that close one. Whether a curriculum helps is decided by the held-out figures of "
        "`p5` against `p1` in [comparison.md](comparison.md), not by the score.",
    ]
    return lines


def _verdict(copying: float, predictable: float) -> str:
    """What a selection does to how well copying and the context's mean predict."""
    if copying < 0 and predictable < 0:
        return "It avoids windows that copying solves, and with them the targets that can be predicted at all."
    if copying < 0:
        return "It avoids windows that copying solves without making the targets harder to predict."
    return "It prefers windows that copying solves."
