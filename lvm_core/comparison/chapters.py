"""The chapters of metrics/comparison.md between its tables and the published frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lvm_core.claims import Claim, claims_text
from lvm_core.comparison.as_published import as_published_chapter
from lvm_core.comparison.build import Comparison
from lvm_core.comparison.text import seeds_chapter, time_direction_chapter
from lvm_core.frontier.answer import answer
from lvm_core.gates.after_phases import after_phases_text
from lvm_core.gates.params import GatesParams
from lvm_core.gates.text import gates_text


def chapters(done: Comparison, gates: GatesParams, frontier: Mapping[str, Any], claims: Sequence[Claim]) -> list[str]:
    """What can be reached, time direction, seeds (where there are any), gates, claims, the published table.

    Args:
        done: the comparison.
        gates: policy and sets.
        frontier: metrics/frontier.json.
        claims: measured.

    Returns:
        Markdown, each beginning with a heading.
    """
    rows = done.json["rows"]
    return [
        f"## What can be reached\n\n{answer(frontier, rows)}",
        *time_direction_chapter(done.json["time_direction"], done.json["left_out"]["time_direction"]),
        *seeds_chapter(done.json["seeds"], done.json["left_out"]["seeds"]),
        gates_text(gates, done.results, {row["name"]: row["kind"] for row in rows}),
        after_phases_text(gates, done.after_phases),
        "\n".join(claims_text(claims)),
        as_published_chapter(done.json["as_published"]),
    ]
