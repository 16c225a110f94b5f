"""Where things lie: names and folders that more than one stage must agree on."""

from __future__ import annotations

from pathlib import Path

from lvm_core.errors import LvmError

REFERENCES = (
    *("oracle", "copy_last", "context_mean", "linear5", "decay", "decay_centred", "ridge"),
    *("article_centroid", "corpus_mean", "random"),
)
"""Names of the reference predictors, in the order of the tables."""

REVERSED = "reversed"
"""Variant of a recipe that is trained and tested on articles read backwards."""


def phase_directory(recipe: str, phase: str) -> Path:
    """Model directory of a recipe after a phase.

    Raises:
        LvmError: there is no such phase.
    """
    if phase not in ("a", "b", "c"):
        raise LvmError(f"phase = {phase!r} is not allowed; phases are a, b, c")
    return Path("data/models") / recipe if phase == "c" else Path("data/phases") / phase / recipe


def seed_variant(seed: int | str) -> str:
    """Variant of a recipe that is trained with another seed."""
    return f"seed-{seed}"


def variant_directory(variant: str, recipe: str) -> Path:
    """Model directory of a variant of a recipe."""
    return Path("data/variants") / variant / recipe


def model_directory(recipe: str, kind: str) -> Path:
    """Model directory of a recipe after a phase (`a`, `b`, `c`), or of a variant (`reversed`, `seed-<number>`).

    Raises:
        LvmError: there is no such phase or variant.
    """
    if kind == REVERSED or kind.startswith(seed_variant("")):
        return variant_directory(kind, recipe)
    return phase_directory(recipe, kind)


AFTER_B = "after_b"
"""Folder within a recipe's evaluation in `evaluation_directory("c")`: of its model after phase B."""


def evaluation_directory(kind: str) -> Path:
    """Folder of the evaluations of one kind, with a folder (tables of windows, summary) for each row.

    Args:
        kind: a phase (`a`, or `c`, in whose folders that of `b` lies: `AFTER_B`), a variant, `references`, or
            `references-reversed`.
    """
    return Path("data/evaluation") / kind
