"""What the report says of trained rows beside the formulas."""

from __future__ import annotations

from typing import Any

from lvm_core.report.gains import gains

READINGS = ("recall_at_5", "recall_at_5_forward")


def row(name: str, *leads: float | None, half: float = 0.005, kind: str = "recipe") -> dict[str, Any]:
    """Leads of masked and forward R@5, each on val and on ood."""

    def lead(value: float | None) -> dict[str, Any]:
        ends = (None, None) if value is None else (value - half, value + half)
        return {"rival": "decay", "difference": value, "lo": ends[0], "hi": ends[1]}

    pairs = zip(leads[::2], leads[1::2], strict=True)
    found = {reading: pair for reading, pair in zip(READINGS, pairs, strict=True)}
    sides = {
        split: {reading: lead(pair[side]) for reading, pair in found.items()}
        for side, split in enumerate(("val", "ood"))
    }
    return {"name": name, "kind": kind, "sees": "context", "vs_rival": sides}


def test_the_rows_nearest_to_the_goal_are_those_with_the_largest_least_lead():
    rows = [
        row("high", 0.5, -0.4, 0.5, 0.5),
        row("even", 0.01, 0.012, 0.011, 0.013),
        row("bad", -0.5, -0.5, -0.5, -0.5),
    ]
    found = gains([*rows, row("low", -0.1, -0.1, 0, 0), row("formula", 1, 1, 1, 1, kind="reference")])
    assert found is not None
    assert found.table.columns[1:] == ["even", "low", "high"]
    assert [line.cells[2].text for line in found.table.lines] == ["+0.500", "−0.400", "+0.500", "+0.500"]
    assert (
        "No recipe reaches it. even comes nearest: its interval is above 0 in 4 of 4; it falls short in"
        in found.sentence
    )
    assert found.sentence.endswith("masked on val, forward on val.")


def test_the_goal_asks_for_the_size_and_for_an_interval_above_0():
    reached = gains([row("a", 0.03, 0.02, 0.03, 0.02), row("b", 0.03, 0.02, 0.03, 0.02, half=0.025)])
    assert reached is not None
    assert reached.sentence.endswith(" a reaches it.")
    assert gains([row("undefined", None, None, None, None)]) is None
