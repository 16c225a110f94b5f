"""Recipes that are not compared with their variants because they were stopped; imports no numerical library."""

from __future__ import annotations

from collections.abc import Sequence


def left_out_text(names: Sequence[str]) -> str:
    """Why recipes that were stopped do not stand beside their variants, in one line; nothing without names."""
    if not names:
        return ""
    return (
        f"Left out: {', '.join(names)}, stopped after phase A, whereas a variant (reversed articles, another seed) is "
        "trained through all phases."
    )
