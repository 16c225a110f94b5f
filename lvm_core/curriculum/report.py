"""The curriculum check: what each phase selects, and the summary's Option 1, "is this the right metric?"."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from lvm_core.config.groups import SCORES, CurriculumParams, Rule
from lvm_core.curriculum import Selection, select_phases
from lvm_core.runtime.errors import LvmError
from lvm_core.windows import context_rows

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
