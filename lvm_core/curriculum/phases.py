"""Which training windows each phase sees, by their forward-distinctness."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from lvm_core.bank import Bank, lag_similarities, reversed_bank
from lvm_core.config.groups import SCORES, CurriculumParams, Rule, ScoreName, Thresholds
from lvm_core.config.params import validate
from lvm_core.runtime.errors import LvmError
from lvm_core.runtime.readers import read_yaml
from lvm_core.windows import context_rows


def score_windows(
    vectors: np.ndarray, targets: np.ndarray, article_of_row: np.ndarray, threads: int = 1
) -> pd.DataFrame:
    """Every score of prior results section 5 for the windows with these target rows.

    Columns: `row` (target row); `distinctness` = 1 - cos(target, last context), as P5 ran; `forward_gain` =
    cos(target, next in article) - cos(target, last context), NaN where the article ends; `similarity` =
    cos(target, last context), the sign-flipped score; and the P5.1 set: `sim_prev` (equal to `similarity`),
    `sim_prev2` = cos(target, second-last context), `sim_other_max` = max over the four older contexts,
    `adv_prev` = sim_prev - sim_other_max, `delta_prev2` = sim_prev - sim_prev2.

    Args:
        vectors: [N, D] unit rows.
        targets: [W] int64 target rows.
        article_of_row: [N] article number of each row.
        threads: to compute with.

    Returns:
        One row a window in the order of `targets`, float32 scores.
    """
    lags = lag_similarities(vectors, threads=threads).T  # [L, N], each lag in one piece
    following = np.minimum(targets + 1, len(vectors) - 1)
    has_next = (following > targets) & (article_of_row[following] == article_of_row[targets])
    sims = lags[:, targets]
    sim_prev, sim_prev2, sim_other_max = sims[0], sims[1], reduce(np.maximum, sims[1:])
    return pd.DataFrame(
        {
            "row": targets,
            "distinctness": 1 - sim_prev,
            "forward_gain": np.where(has_next, lags[0, following] - sim_prev, np.nan).astype(np.float32),
            "similarity": sim_prev,
            "sim_prev": sim_prev,
            "sim_prev2": sim_prev2,
            "sim_other_max": sim_other_max,
            "adv_prev": sim_prev - sim_other_max,
            "delta_prev2": sim_prev - sim_prev2,
        }
    )


def read_rules(path: str | Path) -> dict[str, Rule]:
    """Rule of each recipe from data/curricula.yaml.

    Raises:
        LvmError: the file is missing, not YAML, or a rule is wrong (names the file and the key).
    """
    raw = read_yaml(path, "run `dvc repro resolve`")
    rules: dict[str, Rule] = validate(raw, dict[str, Rule], "curricula", path)
    return rules


@dataclass(frozen=True)
class Selection:
    """What one phase sees."""

    rows: np.ndarray
    """[W] int64 target rows, ascending."""
    in_force: dict[str, float]
    """The bounds that the selected windows satisfy, by column of data/scores.parquet."""


def without_near_duplicates(scores: pd.DataFrame, limit: float | None) -> pd.DataFrame:
    """The scores of the windows whose target has a cosine below `limit` with each of its context chunks (None: all)."""
    if limit is None:
        return scores
    closest = np.maximum(scores["sim_prev"], scores["sim_other_max"])
    return scores[closest < limit].reset_index(drop=True)


def select_phases(scores: pd.DataFrame, rule: Rule, params: CurriculumParams) -> dict[str, Selection]:
    """The windows of phases A, B and C (A within B within C; C has all).

    Under `top` the windows are ordered by score, ties by row, and the share is rounded to whole windows; windows
    without the score (`forward_gain` at the end of an article) are in C only.

    Raises:
        LvmError: a phase has fewer than `min_windows` windows, or all windows have the same score.
    """
    if rule.rule == "top":
        if rule.score is None:  # pragma: no cover - Rule refuses this
            raise ValueError("rule top without a score")
        phases = {phase: _top(scores, rule.score, getattr(params.top, phase)) for phase in ("a", "b")}
    elif rule.rule == "thresholds":
        phases = _by_thresholds(scores, params.thresholds)
    else:
        phases = {phase: Selection(np.sort(scores["row"].to_numpy()), {}) for phase in ("a", "b")}
    phases["c"] = Selection(np.sort(scores["row"].to_numpy()), {})
    for phase, selection in phases.items():
        if len(selection.rows) < params.min_windows:
            by = f"{rule.rule} by {rule.score}" if rule.score else rule.rule
            relax = "" if rule.rule == "all" else f"relax curriculum.{'top' if rule.rule == 'top' else 'thresholds'}, "
            raise LvmError(
                f"curriculum: phase {phase.upper()} of rule {by} has {len(selection.rows)} of {len(scores)} windows, "
                f"fewer than curriculum.min_windows = {params.min_windows}; {relax}lower curriculum.min_windows in "
                "params.yaml or use more data"
            )
    return phases


def _top(scores: pd.DataFrame, name: ScoreName, share: float) -> Selection:
    scored = scores[scores[name].notna()]
    values, rows = scored[name].to_numpy(), scored["row"].to_numpy()
    if len(values) and values.max() == values.min() and share < 1.0:
        raise LvmError(f"curriculum: all {len(values)} windows have {name} = {values[0]:.6g}, so there is no top share")
    best = np.lexsort((rows, -values))[: round(share * len(rows))]
    return Selection(np.sort(rows[best]), {name: float(values[best].min())} if len(best) else {})


def _by_thresholds(scores: pd.DataFrame, limits: Thresholds) -> dict[str, Selection]:
    sim, adv, rows = (scores[name].to_numpy() for name in ("sim_prev", "adv_prev", "row"))
    in_a = (sim >= limits.sim_a) & (adv >= limits.adv_a)
    in_b = (sim >= limits.sim_b) | (adv >= limits.adv_b) | in_a
    return {
        "a": Selection(np.sort(rows[in_a]), {"sim_prev": limits.sim_a, "adv_prev": limits.adv_a}),
        "b": Selection(np.sort(rows[in_b]), {"sim_prev": limits.sim_b, "adv_prev": limits.adv_b}),
    }


def reversed_windows(
    bank: Bank, rules: Mapping[str, Rule], params: CurriculumParams
) -> dict[str, dict[str, np.ndarray]]:
    """[W] int64 target rows of each phase, by recipe, selected by the recipe's rule on the reversed articles.

    `bank` is as it is read forwards; fails as `select_phases`.
    """
    if not rules:
        return {}
    backwards = reversed_bank(bank)
    scores = score_windows(backwards.vectors, backwards.targets("train"), backwards.article_of_row)
    scores = without_near_duplicates(scores, params.near_duplicate)
    phases = {name: select_phases(scores, rule, params) for name, rule in rules.items()}
    return {name: {phase: one.rows for phase, one in selected.items()} for name, selected in phases.items()}


SAMPLE, SHOWN = 100, 3
"""Windows drawn at random, and how many of them are shown."""

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
    everything = phase_means(scores, scores["row"].to_numpy())
    selected: dict[str, Any] = {}
    rules = {f"top by {name}": Rule(rule="top", score=name) for name in SCORES} | {"P5.1": Rule(rule="thresholds")}
    for title, rule in rules.items():
        try:
            phases = select_phases(scores, rule, params)
        except LvmError as error:
            selected[title] = str(error)
            continue
        selected[title] = {phase: _measured(scores, phases[phase].rows, everything) for phase in ("a", "b")}
    sampled = next((name for name, (rule, _) in recipes.items() if rule.rule != "all"), next(iter(recipes)))
    source = files("lvm_core.curriculum").joinpath("check.md.j2").read_text(encoding="utf-8")
    template = jinja2.Template(
        source, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return template.render(
        measures=MEASURES,
        number=_number,
        everything={"count": len(scores), "means": everything},
        selected=selected,
        recipes=recipes,
        limit=params.near_duplicate,
        left_out=left_out,
        sample=_sample(scores, recipes[sampled][1]["a"].rows, texts, sampled, seed),
        forward_gain=float(scores["forward_gain"].mean()),
    )


def _measured(scores: pd.DataFrame, rows: np.ndarray, everything: Mapping[str, float]) -> dict[str, Any]:
    """Number of windows, their means, and by how much these exceed those of all windows."""
    means = phase_means(scores, rows)
    return {"count": len(rows), "means": means, "gain": {name: means[name] - everything[name] for name in MEASURES}}


def _number(value: float, form: str = ".4f") -> str:
    """A dash where the value is undefined: no window of 6-row articles has a next chunk."""
    return "-" if math.isnan(value) else format(value, form)


def _sample(scores: pd.DataFrame, rows: np.ndarray, texts: Sequence[str], recipe: str, seed: int) -> dict[str, Any]:
    sample = np.sort(np.random.default_rng(seed).choice(rows, min(SAMPLE, len(rows)), replace=False))
    chosen = scores[scores["row"].isin(sample)]
    last, second = chosen["sim_prev"], chosen["sim_prev2"]
    similarity = chosen.set_index("row")["sim_prev"]
    shown = sample[np.linspace(0, len(sample) - 1, min(SHOWN, len(sample)), dtype=int)].tolist()
    return {
        "count": len(sample),
        "recipe": recipe,
        "last": last.mean(),
        "deviation": last.std(),
        "second": second.mean(),
        "nearer": f"{(second > last).mean():.0%}",
        "shown": [(row, similarity[row], _excerpt(texts[row - 1]), _excerpt(texts[row])) for row in shown],
    }


def _excerpt(text: str) -> str:
    """The beginning of a text, short, on one line and without what Markdown tables read as borders."""
    flat = " ".join(text.split()).replace("|", "/")
    return flat if len(flat) <= EXCERPT else flat[: EXCERPT - 3].rstrip() + "..."
