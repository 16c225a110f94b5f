"""Names of the figures of an evaluation and of the columns they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RANKS = (1, 5)
"""The k of the R@k in the article."""

READINGS = ("", "_forward", "_centred")
"""Readings of retrieval in the article, as endings of names. None: the five context chunks are no candidates (masked).
`_forward`: the candidates are the chunks after the context. `_centred`: masked; candidates and prediction are taken
less the mean of the article's chunks, then of unit length."""

ROLLOUT_RANK = 5
"""The k of the R@k of each rollout step."""

STEP_RECALL = f"rollout_recall_at_{ROLLOUT_RANK}"
"""How the names of these figures begin; step and reading follow."""

FULL_BANK_RANKS = (1, 5, 10)
"""The k of the R@k among all chunks of the bank."""

ABLATIONS = ("shuffle", "reverse", "leave_one_out", "repeat_last", "foreign_last")
"""Rearrangements of the context in test C (`order`). `shuffle`: a random order. `reverse`: newest first.
`leave_one_out`: context chunk i dropped, a copy of the last one appended, averaged over all i. `repeat_last`: five
copies of the last chunk. `foreign_last`: the last chunk replaced by a chunk of another article of the split."""

COSTLY_TESTS = {
    "order": ("order_",),
    "rollout": ("rollout", "published_rollout"),
    "contrastive": ("contrastive_",),
    "full_bank": ("full_bank_",),
}
"""Tests that cost further forward passes or products with many chunks, and how the names of their figures begin."""

LATE = 1
"""Offset k of the published frame is offset k + LATE of the corrected one."""

PUBLISHED_OFFSETS = range(-3, 4)
"""Offsets of the published margin, in the published frame."""


def offset_column(k: int) -> str:
    """Name of the window table's column of offset k: `cos_k-1`, `cos_k0`, `cos_k+1`."""
    return f"cos_k{k:+d}" if k else "cos_k0"


def step_columns(step: int) -> tuple[str, ...]:
    """Names of the window table's columns of a rollout step (1..H): cosine, and R@5 in each of READINGS."""
    return f"rollout_cosine_{step}", *(f"{STEP_RECALL}_{step}{reading}" for reading in READINGS)


def published_step_column(step: int) -> str:
    """Name of the column of a rollout step in the published frame: cosine with the chunk after the one due."""
    return f"published_rollout_cosine_{step}"


def full_bank_column(k: int) -> str:
    """Name of the column of R@k among all chunks of the bank."""
    return f"full_bank_recall_at_{k}"


HEADLINE = (
    "cosine",
    "centred_cosine",
    "margin",
    "margin_last",
    "margin_unseen",
    "recall_at_1",
    "recall_at_5",
    "mrr",
    "recall_at_5_forward",
    "recall_at_5_centred",
    "rollout",
    "contrastive_accuracy",
    "par",
    "raw_norm",
    "recall_at_1_unmasked",
    "recall_at_5_unmasked",
    "mrr_unmasked",
    "full_bank_recall_at_1",
    "full_bank_recall_at_5",
    "full_bank_recall_at_10",
    "published_margin",
    "published_rollout",
)
"""Names of the headline figures of a split, in the order of the tables; retrieval is in the article and masked unless
named otherwise (READINGS), and the frame is the corrected one unless the name begins with `published`."""

MORE = (
    "cosine_last",
    "published_cosine",
    "recall_at_5_above_chance",
    "rollout_recall_at_5_2",
    "order_shuffle",
    "order_reverse",
    "order_leave_one_out",
    "order_repeat_last",
    "order_foreign_last",
    "coherence_normal",
    "mrr_forward",
    "mrr_centred",
    "cosine_mean",
    "cosine_nearest",
)
"""Further figures that gates and status words are made of: the mean cosine with the last context chunk; the mean cosine
at the published frame's k=+1 over the windows of its margin; R@5 minus chance; R@5 of rollout step 2; the change of the
cosine under each order ablation; the mean cosine in the coherence bin `normal`; MRR in the other readings; the larger
of the cosines with the mean of the article and with that of the split, and the largest with a chunk of the article."""


FIGURES = (*HEADLINE, *MORE)
"""The figures of a split that have a bootstrap interval, but for those of the rollout steps."""


def figure_names(steps: int) -> tuple[str, ...]:
    """All figures that have one, in the order of the stored draws: FIGURES, then R@5 of each of so many steps."""
    recalls = (name for step in range(1, steps + 1) for name in step_columns(step)[1:])
    return *FIGURES, *(name for name in recalls if name not in FIGURES)


def figures_in(summary: Mapping[str, Any]) -> dict[str, float | None]:
    """All of them in one split's summary (`fivecat.figures.summarise`), None where undefined.

    Raises:
        KeyError: one is missing.
    """
    by_step = summary["rollout_by_step"]
    recalls = {
        f"{STEP_RECALL}_{step}{reading}": found[f"recall_at_{ROLLOUT_RANK}{reading}"]
        for step, found in by_step.items()
        for reading in READINGS
    }
    found = recalls | {name: summary[name] for name in FIGURES}
    return {name: found[name] for name in figure_names(len(by_step))}


def headline(summary: Mapping[str, Any]) -> dict[str, float | None]:
    """The headline figures of one split's summary (`fivecat.figures.summarise`), None where undefined."""
    return {name: summary[name] for name in HEADLINE}


def headlines(summaries: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Headline figures by split."""
    return {split: headline(summary) for split, summary in summaries.items()}


ROW_FIGURES = ("r5", "r5_vs_rival", "mrr", "cosine", "ood_r5", "ood_r5_vs_copy")
"""Keys of metrics/<row>.json."""


def row_figures(
    summary: Mapping[str, Mapping[str, Any]], rivals: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> dict[str, float | None]:
    """The figures of metrics/<row>.json: few, flat, with short names; None where undefined.

    R@5 is in the article, `r5_vs_rival` its distance to the best of the rivals, all of val; `ood_r5_vs_copy` is the
    distance to `copy_last` on ood.

    Args:
        summary: of the row, by split.
        rivals: summaries of the reference predictors that the row is held against, itself not among them.
    """

    def r5(of: Mapping[str, Mapping[str, Any]], split: str) -> float | None:
        value: float | None = of[split]["recall_at_5"]
        return value

    best = max((value for one in rivals.values() if (value := r5(one, "val")) is not None), default=None)
    copying = r5(rivals["copy_last"], "ood") if "copy_last" in rivals else r5(summary, "ood")
    val, ood = r5(summary, "val"), r5(summary, "ood")
    further = _difference(val, best), summary["val"]["mrr"], summary["val"]["cosine"]
    return dict(zip(ROW_FIGURES, (val, *further, ood, _difference(ood, copying)), strict=True))


def _difference(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other


def measured_headlines(summaries: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """The same without figures that are undefined on these data, or whose test was not made."""
    return {
        split: {name: value for name, value in values.items() if value is not None}
        for split, values in headlines(summaries).items()
    }


OFFSETS = range(-4, 5)
"""Offsets k of the profile, relative to the last context chunk: k=+1 is the target."""

MARGIN_OFFSETS = range(-3, 4)
"""Offsets whose means over the same windows make the margin (published: k=-3..+3)."""

UNSEEN_OFFSETS = range(2, 5)
"""Offsets after the target, which no context chunk can imitate."""

SPLITS = ("val", "ood")
