"""Figures of a split, from its table of windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lvm_core.config.figures import (
    ABLATIONS,
    FULL_BANK_RANKS,
    ROLLOUT_RANK,
    full_bank_column,
    offset_column,
    step_columns,
)
from lvm_core.config.groups import EvaluateParams
from lvm_core.fivecat.tests import mean_or_none, summarise_coherence, summarise_profile, summarise_published
from lvm_core.fivecat.windows import RANKS, chance_at

Columns = Mapping[str, np.ndarray]


def summarise(columns: Columns, params: EvaluateParams) -> dict[str, Any]:
    """All figures of one split."""
    cosine = columns[offset_column(1)]
    profile = summarise_profile(columns)
    counts = profile.pop("windows")
    return {
        "windows": {"all": len(cosine), **counts},
        "articles": len(np.unique(columns["article"])),
        "cosine": mean_or_none(cosine),
        "centred_cosine": mean_or_none(columns["centred_cosine"]),
        **profile,
        "retrieval": _retrieval(columns, ""),
        "retrieval_unmasked": _retrieval(columns, "_unmasked"),
        "full_bank": _full_bank(columns),
        "contrastive_accuracy": mean_or_none(columns["contrastive"]),
        "par": _ratio(mean_or_none(columns["best_context"]), mean_or_none(columns["best_context_of_truth"])),
        "order": {name: mean_or_none(columns[f"cos_{name}"] - cosine) for name in ABLATIONS},
        "rollout": _rollout(columns, params.rollout_steps),
        "coherence": summarise_coherence(columns["coherence"], cosine, params.coherence_cuts),
        "raw_norm": mean_or_none(columns["raw_norm"]),
        "published": summarise_published(columns, params.rollout_steps),
    }


def _retrieval(columns: Columns, suffix: str) -> dict[str, Any]:
    ranked = ~np.isnan(columns[f"mrr{suffix}"])
    candidates = columns[f"candidates{suffix}"][ranked]
    return {
        **{f"recall_at_{k}": mean_or_none(columns[f"recall_at_{k}{suffix}"]) for k in RANKS},
        "mrr": mean_or_none(columns[f"mrr{suffix}"]),
        "chance": {f"recall_at_{k}": mean_or_none(chance_at(k, candidates)) for k in RANKS},
        "windows": int(ranked.sum()),
        "left_out": int((~ranked).sum()),
    }


def _full_bank(columns: Columns) -> dict[str, Any]:
    by_rank = {f"recall_at_{k}": mean_or_none(columns[full_bank_column(k)]) for k in FULL_BANK_RANKS}
    return {**by_rank, "windows": int((~np.isnan(columns[full_bank_column(FULL_BANK_RANKS[0])])).sum())}


def _ratio(above: float | None, below: float | None) -> float | None:
    return None if above is None or not below else above / below


def _rollout(columns: Columns, steps: int) -> dict[str, Any]:
    names = {step: step_columns(step) for step in range(1, steps + 1)}
    by_step = {
        str(step): {
            "cosine": mean_or_none(columns[cosine]),
            f"recall_at_{ROLLOUT_RANK}": mean_or_none(columns[recall]),
        }
        for step, (cosine, recall) in names.items()
    }
    first_cosine, first_recall = names[1]
    cosines = np.stack([columns[cosine] for cosine, _ in names.values()])
    recalls = np.stack([columns[recall] for _, recall in names.values()])
    return {
        "cosine": mean_or_none(cosines),
        f"recall_at_{ROLLOUT_RANK}": mean_or_none(recalls),
        "by_step": by_step,
        "windows": int((~np.isnan(columns[first_cosine])).sum()),
        "windows_ranked": int((~np.isnan(columns[first_recall])).sum()),
    }
