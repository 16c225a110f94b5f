"""Where things lie: names and folders that more than one stage must agree on."""

from __future__ import annotations

from pathlib import Path

from lvm_core.errors import LvmError

REFERENCES = (
    *("oracle", "copy_last", "context_mean", "linear5", "ridge"),
    *("article_centroid", "corpus_mean", "random"),
)
"""Names of the reference predictors, in the order of the tables."""


def phase_directory(recipe: str, phase: str) -> Path:
    """Model directory of a recipe after a phase.

    Raises:
        LvmError: there is no such phase.
    """
    if phase not in ("a", "b", "c"):
        raise LvmError(f"phase = {phase!r} is not allowed; phases are a, b, c")
    return Path("data/models") / recipe if phase == "c" else Path("data/phases") / phase / recipe
