"""The figures that go into `metrics/*.json` and the comparison table; imports no numerical library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADLINE = (
    "cosine",
    "margin",
    "margin_last",
    "margin_unseen",
    "recall_at_1",
    "recall_at_5",
    "mrr",
    "rollout",
    "recall_at_1_unmasked",
    "recall_at_5_unmasked",
    "mrr_unmasked",
    "published_margin",
    "published_rollout",
)
"""Names of the headline figures of a split, in the order of the tables; retrieval is masked unless named otherwise, and
the frame is the corrected one unless the name begins with `published`."""


def headline(summary: Mapping[str, Any]) -> dict[str, float | None]:
    """The headline figures of one split's summary (`summary.summarise`), None where undefined."""
    masked, unmasked = summary["retrieval"], summary["retrieval_unmasked"]
    values = {
        **{name: summary[name] for name in ("cosine", "margin", "margin_last", "margin_unseen")},
        **{name: masked[name] for name in ("recall_at_1", "recall_at_5", "mrr")},
        "rollout": summary["rollout"]["cosine"],
        **{f"{name}_unmasked": unmasked[name] for name in ("recall_at_1", "recall_at_5", "mrr")},
        **{f"published_{name}": summary["published"][name] for name in ("margin", "rollout")},
    }
    return {name: values[name] for name in HEADLINE}


def headlines(summaries: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Headline figures by split."""
    return {split: headline(summary) for split, summary in summaries.items()}
