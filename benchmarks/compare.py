"""Do two summaries say the same?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def differences(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Absolute difference of every figure of `one` from the same of `other`, by dotted name.

    Infinite where only one of them is defined; figures that only `other` has are not looked at.

    Raises:
        KeyError: `other` lacks a figure.
    """
    apart: dict[str, float] = {}
    for key, value in one.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            apart |= differences(value, other[key], f"{name}.")
        elif value is None or other[key] is None:
            apart[name] = 0.0 if value is other[key] else float("inf")
        else:
            apart[name] = abs(value - other[key])
    return apart
