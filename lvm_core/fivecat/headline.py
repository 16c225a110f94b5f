"""The figures that go into `metrics/*.json` and the comparison table; imports no numerical library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADLINE = (
    "cosine",
    "centred_cosine",
    "margin",
    "margin_last",
    "margin_unseen",
    "recall_at_1",
    "recall_at_5",
    "mrr",
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
named otherwise, and the frame is the corrected one unless the name begins with `published`."""

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
)
"""Further figures that gates and status words are made of: the mean cosine with the last context chunk; the mean cosine
at the published frame's k=+1 over the windows of its margin; R@5 minus chance; R@5 of rollout step 2; the change of the
cosine under each order ablation; the mean cosine in the coherence bin `normal`."""


def headline(summary: Mapping[str, Any]) -> dict[str, float | None]:
    """The headline figures of one split's summary (`summary.summarise`), None where undefined."""
    masked, unmasked, whole = summary["retrieval"], summary["retrieval_unmasked"], summary["full_bank"]
    own = ("cosine", "centred_cosine", "margin", "margin_last", "margin_unseen")
    values = {
        **{name: summary[name] for name in (*own, "contrastive_accuracy", "par", "raw_norm")},
        **{name: masked[name] for name in ("recall_at_1", "recall_at_5", "mrr")},
        "rollout": summary["rollout"]["cosine"],
        **{f"{name}_unmasked": unmasked[name] for name in ("recall_at_1", "recall_at_5", "mrr")},
        **{f"full_bank_{name}": whole[name] for name in ("recall_at_1", "recall_at_5", "recall_at_10")},
        **{f"published_{name}": summary["published"][name] for name in ("margin", "rollout")},
    }
    return {name: values[name] for name in HEADLINE}


def headlines(summaries: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Headline figures by split."""
    return {split: headline(summary) for split, summary in summaries.items()}


def measured_headlines(summaries: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """The same without figures that are undefined on these data, or whose test was not made."""
    return {
        split: {name: value for name, value in values.items() if value is not None}
        for split, values in headlines(summaries).items()
    }
