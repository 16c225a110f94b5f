"""A made-up comparison, frontier, diagnosis and training in the forms that the report and the claims read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lvm_core.comparison.as_published import beside_ours
from lvm_core.comparison.claims import measure_claims
from lvm_core.comparison.rows import judge_phases, with_intervals
from lvm_core.config import references
from lvm_core.config.figures import HEADLINE, MORE
from lvm_core.config.gates import GatesParams
from lvm_core.config.params import load_group, read_params
from lvm_core.fivecat.statistics import Judgement
from lvm_core.frontier.answer import answer
from lvm_core.report.page import Run, comparison_text, flat, report_html, what_was_run
from lvm_core.selection import to_json
from lvm_core.selection.judge import judge_gates, passed_of, status_of
from lvm_core.train import Decision
from tests.paths import ROOT

SPLITS = ("val", "ood")
DRAWS = 200
CHANCE = 0.05
CHANCES = {"recall_at_1": CHANCE / 5, "recall_at_5": CHANCE, "recall_at_5_forward": 0.09, "recall_at_5_centred": CHANCE}

REFERENCES = {  # masked R@5, cosine, margin, cosine with the last context chunk
    "oracle": (1.0, 1.0, 0.577, 0.423),
    "copy_last": (0.499, 0.423, -0.577, 1.0),
    "linear5": (0.461, 0.496, -0.343, 0.84),
    "context_mean": (0.36, 0.477, -0.248, 0.68),
    "ridge": (0.327, 0.534, -0.152, 0.69),
    "article_centroid": (0.052, 0.475, -0.002, 0.475),
    "random": (0.052, -0.001, -0.001, 0.0),
    "corpus_mean": (0.051, 0.4, -0.001, 0.4),
}
SEES: dict[str, references.Sees] = {"p9_document": "document", "p9_memory": "memory"}
"""Of recipes; the others see the context."""

RECIPES = {"p1": (0.33, 0.517, -0.124, 0.64), "p5": (0.279, 0.507, -0.111, 0.62)}


def many_recipes(number: int) -> dict[str, tuple[float, float, float, float]]:
    """Recipes with plausible figures, p1 and p5 first."""
    rng = np.random.default_rng(3)
    made = dict(RECIPES)
    for index in range(number - len(made)):
        cosine, recall = rng.uniform(0.42, 0.55), rng.uniform(0.15, 0.56)
        made[f"p{6 + index}_variant"] = (recall, cosine, -rng.uniform(0.02, 0.35), cosine + 0.1)
    return made


def comparison(
    recipes: Mapping[str, tuple[float, float, float, float]] = RECIPES,
    *,
    about: str = "what it is",
    undefined: Sequence[str] = (),
    time_direction: bool = False,
    seeds: bool = False,
    stopped: Sequence[str] = (),
) -> dict[str, Any]:
    """What metrics/comparison.json holds.

    Args:
        recipes: masked R@5, cosine, margin and cosine with the last chunk on val, by name.
        about: of every recipe.
        undefined: figures that are null, as beginnings of their names: `ood` for everything on ood.
        time_direction: whether p1 was trained on reversed articles.
        seeds: whether p1 was trained with several seeds.
        stopped: recipes that the gates stopped after phase A.
    """
    rng = np.random.default_rng(0)
    both = {**recipes, **REFERENCES}
    judgements = {name: _judgement(name, figures, undefined, rng) for name, figures in both.items()}
    gates = load_group(read_params(ROOT / "params.yaml"), "gates", GatesParams)
    results = judge_gates(gates, judgements)
    decisions = {name: Decision(goes_on=name not in stopped, why="it" if name in stopped else None) for name in recipes}
    phases = judge_phases(gates, dict.fromkeys(recipes, "stage_a"), dict.fromkeys("ab", judgements), decisions)
    rows = []
    for name, judgement in judgements.items():
        row: dict[str, Any] = {"name": name, "kind": "recipe" if name in recipes else "reference"}
        row |= {"about": about if name in recipes else None, "status": status_of(name, judgements, results)}
        row |= passed_of(name, results)
        row |= {key: judgement.value[key] for key in (f"{split}_{x}" for split in SPLITS for x in HEADLINE)}
        rows.append(row | {split: _summary(row, split, split in undefined) for split in SPLITS})
    rows = with_intervals(rows, judgements)
    rows.sort(key=lambda row: (row["val_recall_at_5"] is None, -(row["val_recall_at_5"] or 0.0), row["name"]))
    interval = {"difference": 0.005, "lo": -0.008, "hi": 0.018}
    control = {"forward": 0.33, "reversed": 0.325, **interval, "by_seed": [0.005]}
    measured = {"p1": {**control, "beyond": {"copy_last": interval}, "direction": None}, "copy_last": control}
    spread = {"mean": 0.331, "sd": 0.006, "min": 0.324, "max": 0.339}
    return {
        "frame": "corrected",
        "splits": {split: _split(split in undefined) for split in SPLITS},
        "rows": rows,
        "gates": to_json(results),
        "gates_in_force": "stage_a",
        "gates_policy": "enforce" if stopped else "report",
        "after_phases": to_json(phases),
        "time_direction": {
            name: {f"{split}_recall_at_5": cell for split in SPLITS}
            for name, cell in measured.items()
            if time_direction
        },
        "seeds": {
            "p1": {
                "seeds": [42, 43, 44],
                "figures": {"val_recall_at_5": spread, "val_mrr": dict.fromkeys(spread)},
                "against_copy_last": [{"recall_at_5": 0.5, "difference": 0.02, "lo": 0.01, "hi": 0.03}] * 3,
            }
        }
        if seeds
        else {},
    }


def _judgement(
    name: str, figures: tuple[float, float, float, float], undefined: Sequence[str], rng: np.random.Generator
) -> Judgement:
    recall, cosine, margin, last = figures
    value: dict[str, float | None] = {}
    for split, share in (("val", 1.0), ("ood", 0.9)):
        known = {
            "recall_at_5": recall * share, "recall_at_1": recall**2 * share, "mrr": recall * 0.7, "cosine": cosine,
            "margin": margin, "margin_last": margin, "margin_unseen": 0.07 * recall, "cosine_last": last,
            "recall_at_5_above_chance": recall * share - CHANCE, "rollout": cosine - 0.05,
            "rollout_recall_at_5_2": recall / 2,
            "published_margin": margin - 0.03 if name != "oracle" else -0.577, "coherence_normal": cosine,
            "contrastive_accuracy": 0.5 + recall / 2, "par": 1.2, "raw_norm": 0.5, "order_shuffle": -0.02,
        }  # fmt: skip
        for figure in (*HEADLINE, *MORE):
            key = f"{split}_{figure}"
            absent = key.startswith(tuple(undefined)) or (name == "oracle" and figure.startswith("order_"))
            value[key] = None if absent else known.get(figure, recall * 0.5)
    noise = rng.normal(0.0, 0.01, DRAWS)
    draws = {key: np.full(DRAWS, np.nan) if one is None else one + noise for key, one in value.items()}
    return Judgement(value, draws, SEES.get(name) or references.REFERENCES.get(name, "context"))


def _split(empty: bool) -> dict[str, Any]:
    chance = dict.fromkeys(CHANCES) if empty else CHANCES
    return {"articles": 0 if empty else 50, "windows": {"all": 0 if empty else 4916}, "chance": dict(chance)}


def _summary(row: Mapping[str, Any], split: str, empty: bool) -> dict[str, Any]:
    if empty:
        return {"profile": {f"{k:+d}" if k else "0": None for k in range(-4, 5)}}
    cosine, margin = row[f"{split}_cosine"], row[f"{split}_margin"]
    tail = 0.4 * cosine if row["name"] in ("oracle", "copy_last") else 0.9 * cosine
    heights = {k: tail * 0.97 ** abs(k) for k in range(-4, 5)} | {1: cosine, 0: cosine - (margin or 0.0)}
    profile = {f"{k:+d}" if k else "0": height for k, height in heights.items()}
    return {"profile": profile}


def frontier(*, reachable: bool = False, empty: bool = False) -> dict[str, Any]:
    """What metrics/frontier.json holds."""
    families: dict[str, list[dict[str, Any]]] = {"linear5": [], "affine": []}
    marked: dict[str, dict[str, Any]] = {"unconstrained": {}, "at_criterion": {}}
    for name, top in (("linear5", 0.5), ("affine", 0.535)):
        for multiplier, margin in enumerate(np.linspace(-0.55, 0.05, 13)):
            figures = {
                "cosine": top - 0.5 * (margin + 0.2) ** 2 + (0.2 if reachable else 0.0), "margin": float(margin),
                "margin_last": float(margin), "recall_at_1": 0.7 if reachable else 0.1,
                "recall_at_5": 0.7 if reachable else 0.4 - 0.6 * abs(margin + 0.4), "rollout": 0.5,
            }  # fmt: skip
            point = {"val": figures, "ood": figures, "margin_asked": float(margin), "multiplier": multiplier - 7.0}
            families[name].append(point)
        marked["unconstrained"][name], marked["at_criterion"][name] = families[name][7], families[name][12]
    if empty:
        families = {name: [] for name in families}
        marked = {key: dict.fromkeys(families) for key in marked}
    criteria = {"margin": 0.02, "cosine": 0.50, "recall_at_1": 0.60, "recall_at_5": 0.60, "rollout": 0.46}
    return {"frame": "corrected", "criteria": criteria, "strength": 0.001, "families": families, **marked}


def diagnosis(splits: Sequence[str] = ("train", "val", "ood")) -> dict[str, Any]:
    """What metrics/diagnosis.json holds, as far as it is read."""
    found = {
        "articles": 50, "chunks": 5166, "windows": 4916, "chunks_per_article": 103.3, "temporal_signal": 0.1285,
        "temporal_signal_reversed": 0.1286, "coherence": 0.4231, "between_articles": 0.1641,
        "near_duplicate_of_last": 0.0, "near_duplicate_in_train": None,
    }  # fmt: skip
    return {split: dict(found) for split in splits}


def training(names: Sequence[str] = tuple(RECIPES), epochs: Sequence[int] = (4, 6, 10)) -> pd.DataFrame:
    """plots/training.csv: R@5 rises, and the cosine with the last chunk rises beyond that with the target."""
    phases = [phase for phase, number in zip("abc", epochs, strict=True) for _ in range(number)]
    parts = []
    for place, name in enumerate(names):
        done = np.arange(1, len(phases) + 1)
        rise = 1 - np.exp(-done / (4.0 + place % 5))
        columns = {"dev_cosine": 0.2 + 0.3 * rise, "dev_cosine_last": 0.2 + 0.45 * rise, "dev_recall_at_5": 0.35 * rise}
        columns["dev_recall_at_5"] = columns["dev_recall_at_5"] - 0.004 * place
        parts.append(pd.DataFrame({"name": name, "epoch": done, "phase": phases, **columns}))
    return pd.concat(parts, ignore_index=True)


def lags(splits: Sequence[str] = ("train", "val", "ood")) -> pd.DataFrame:
    """plots/lag_similarity.csv."""
    distance = np.arange(1, 21)
    return pd.concat(
        [pd.DataFrame({"name": split, "lag": distance, "similarity": 0.2 + 0.22 / distance**0.7}) for split in splits],
        ignore_index=True,
    )


def ladder(names: Sequence[str] = tuple(RECIPES)) -> dict[str, Any]:
    """What metrics/ladder.json holds: one attempt that failed, one recipe skipped, the first one selected."""
    figures = {"full_bank_recall_at_5": 0.11, "recall_at_5": 0.33, "cosine": 0.517}
    answer = {"value": -0.12, "passed": False}
    condition = {"asked": "val margin >= 0.02", "asked_on_dev": "dev margin >= 0.02", "dev": answer, "reported": answer}
    gate = {"passed": False, "passed_as_reported": False, "conditions": [condition]}
    counts = {"passed": 0, "of": 1, "undefined": 0, "whole": False}
    attempt = {
        "step": "Option 3", "recipe": names[0], "retry": 0, "parameters": {"model.pos_scalar": 0.1}, "set": "stage_a",
        "passed": False, "asked_on_dev": counts, "not_asked_on_dev": [], "counted_on_dev": {}, "diverged": None,
        "on_val_and_ood": {"corrected": counts},
        "dev": figures, "val": figures, "ood": dict.fromkeys(figures), "gates": {"margin": gate},
    }  # fmt: skip
    means = dict.fromkeys(("sim_prev", "sim_prev2"), 0.4)
    check = {
        "recipe": names[0], "sample": 100, "largest_difference": 1e-7, "cut": {"distinctness": 0.6}, "above_cut": 1.0,
        "cosines": {"sample": means, "all": means}, "after_phase_a": {"by_score": {}, "pairs": {}},
        "alternative": {"rank_correlation": 0.6, "share": 0.3, "overlap": None},
    }  # fmt: skip
    chosen = {
        "recipe": names[0], "model": names[0], "attempt": None, "completed_here": False, "by": "fallback",
        "criterion": "recall_at_5", "epoch": 18, "phase": "c", "sees": "context", "reference": False,
        "best_trained": None,
        "dev": figures, "val": figures, "ood": dict.fromkeys(figures), "status": "weak", "certified": counts,
    }  # fmt: skip
    return {
        "policy": "report",
        "selected": chosen,
        "candidates": {name: {"epoch": 18, "phase": "c", "sees": "context", **figures} for name in names},
        "attempts": {names[0]: attempt},
        "not_tried": {},
        "skipped": {"p6": "Option 4"},
        "check": check,
    }


def calibration() -> dict[str, Any]:
    """What metrics/calibration/selected.json holds."""
    fills = {f"{given}_given": {"found": 0.01 * given, "cosine": 0.3} for given in range(1, 5)}
    val = {"found": 0.11, "confidence": 0.09, "calibration_error": 0.02, "brier": 0.09, "brier_constant": 0.1}
    whole = {"5_given": {"found": 0.07, "cosine": 0.3}}
    off = {"bias": -0.02, "low": -0.04, "high": -0.01, "refit_low": -0.05, "refit_high": 0.01, "articles": 25}
    dev = {"given": whole, "repeat": fills, "neighbours": fills}
    bias = {"dev": {**off, "bias": 0.001}, "val": off, "ood": {**off, "bias": -0.3}}
    return {"why_not": None, "dev": dev, "val": {**val, "windows": 4916}, "bias": bias}


def reliability() -> pd.DataFrame:
    """What plots/reliability/selected.csv holds, by name."""
    groups = {"confidence": [0.05, 0.2], "observed": [0.06, 0.18], "low": [0.04, 0.15], "high": [0.08, 0.22]}
    return pd.DataFrame({"name": "selected", **groups, "windows": [100, 100]}).set_index("name")


def lock() -> dict[str, Any]:
    """What dvc.lock holds, as far as it is read."""

    def entry(path: str, md5: str) -> dict[str, str]:
        return {"path": path, "hash": "md5", "md5": md5}

    return {
        "stages": {
            "resolve": {"deps": [entry("data/sources", "c0de.dir"), entry("params.yaml", "5e7")]},
            "embed": {
                "deps": [entry("data/bank/chunks.parquet", "c4c")],
                "outs": [entry("data/bank/vectors.npy", "ec7")],
            },
        }
    }


def run(**changed: Any) -> Run:
    """What was run: the shipped parameters, some of them replaced by others (by dotted key)."""
    params = read_params(ROOT / "params.yaml")
    defaults = flat(params)
    for key, value in changed.items():
        *groups, last = key.split(".")
        group = params
        for name in groups:
            group = group.setdefault(name, {})
        group[last] = value
    return what_was_run(params, defaults, lock(), {})


def text(whole: Mapping[str, Any] | None = None, **others: Any) -> str:
    """metrics/comparison.md on the made-up figures, some of them replaced."""
    found = said({**(whole or comparison()), "as_published": beside_ours({}, {})}, **others)
    return comparison_text(found, others.get("frontier") or frontier())


def said(whole: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    """A comparison with its claims and the frontier's answer, from the made-up figures, some of them replaced."""
    parts: dict[str, Any] = {"frontier": frontier(), "diagnosis": diagnosis(), "training": training()} | others
    claims = measure_claims(whole, parts["training"], parts["diagnosis"])
    reached = "" if parts["frontier"] is None else answer(parts["frontier"], whole["rows"])
    return {**whole, "can_be_reached": reached, "claims": [claim.model_dump() for claim in claims]}


def page(**changed: Any) -> str:
    """The report on the made-up figures, some of them replaced."""
    parts: dict[str, Any] = {
        "comparison": changed.get("comparison") or comparison(),
        "frontier": frontier(),
        "diagnosis": diagnosis(),
        "training": training(),
        "lags": lags(),
        "ladder": ladder(),
        "calibration": calibration(),
        "reliability": reliability(),
        "run": run(),
    }
    parts |= changed
    found = {key: parts[key] for key in ("frontier", "diagnosis", "training")}
    return report_html(**parts | {"comparison": said(parts["comparison"], **found)})
